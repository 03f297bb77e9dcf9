"""What became of a training of the zoo: what `diagnose` calls it, and whether its first remedy helps."""

from __future__ import annotations

from dataclasses import dataclass

from pawprint.symptoms import Kind, Remedy, Symptom
from pawprint.symptoms.diagnose import diagnose
from tests.illnesses.plants import LESS_IS_BETTER, Plant, Training
from tests.illnesses.trainings import changed, train


@dataclass(frozen=True)
class Cure:
    """A remedy applied: the measure before and after."""

    says: str
    before: float
    after: float
    is_better: bool


@dataclass(frozen=True)
class Outcome:
    """What was said of a training, the surest first, states among it; of a plant also its cure."""

    symptoms: list[Symptom]
    cure: Cure | None = None

    @property
    def kinds(self) -> list[Kind]:
        return [symptom.kind for symptom in self.symptoms]

    @property
    def alarms(self) -> list[Kind]:
        return [symptom.kind for symptom in self.symptoms if symptom.is_alarm]

    def names(self, plant: Plant) -> bool:
        """Whether the first two kinds have the planted one, or one of its accepted names."""
        return bool({plant.kind, *plant.accepted} & {*self.kinds[:2]})


def outcome_of(training: Training) -> Outcome:
    """Train and diagnose; a plant is trained again with the first remedy of the symptom that comes first."""
    trained = train(training.settings, training.data(), training.seed, training.change)
    found = diagnose(trained.curves, trained.facts)
    if not isinstance(training, Plant) or not found:
        return Outcome(found)
    remedy = _first(found[0], training)
    if remedy is None:
        return Outcome(found)
    is_of_data = training.cured is not None and not remedy.settings
    data = training.cured() if training.cured and is_of_data else training.data()
    settings = changed(training.settings, remedy.settings)
    change = training.change if remedy.settings else None  # told in words, it is undone
    cured = train(settings, data, training.seed, change)
    before, after = trained.scores[training.measure], cured.scores[training.measure]
    is_better = after < before if training.measure in LESS_IS_BETTER else after > before
    return Outcome(found, Cure(remedy.options or remedy.says.partition(":")[0], before, after, is_better))


def _first(symptom: Symptom, plant: Plant) -> Remedy | None:
    """The first remedy that can be applied: a setting, or words where what was planted can be undone."""
    usable = (remedy for remedy in symptom.remedies if remedy.settings or plant.cured or plant.change)
    return next(usable, None)

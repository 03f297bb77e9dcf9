"""Why it is slow, on functions where the answer is known: each driven by real steps, measured as a training is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pawprint.data.batches import Batch
from pawprint.diagnostics.gradient_norm import gradient_norm, gradient_norms
from pawprint.diagnostics.slowness import verdicts
from pawprint.errors import PawprintError
from pawprint.training.diagnose import Diagnostics
from pawprint.training.history import History
from pawprint.types import LossTerms, RunSpec, TrainState

N_EXAMPLES, N_WINDOWS, EVERY = 512, 4, 5
Ground = Callable[[torch.Tensor], torch.Tensor]


class Place(nn.Module):
    """A place on a ground; each example tilts it in another direction, all together in none."""

    def __init__(self, ground: Ground, start: list[float]) -> None:
        super().__init__()
        self.weights, self.ground = nn.Parameter(torch.tensor(start)), ground

    def forward(self, tilts: torch.Tensor) -> torch.Tensor:
        return self.ground(self.weights) + (tilts @ self.weights).mean()


@dataclass(frozen=True)
class Case:
    ground: Ground
    start: list[float]
    lr: float
    verdicts: str  # of the four windows, by their first letters
    noise: float = 0.0
    n_steps: int = 200
    momentum: float = 0.0
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.SGD


def mean_loss(model: nn.Module, batch: Batch) -> LossTerms:
    return LossTerms(model(batch.images), {})


def train(case: Case, batch_size: int = 16) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of diagnostics and steps, of batches drawn with `case.noise` or, without, of the whole set."""
    chance = np.random.default_rng(0)
    tilts = chance.standard_normal((N_EXAMPLES, len(case.start)))
    tilts = torch.from_numpy(case.noise * (tilts - tilts.mean(axis=0))).float()
    labels = torch.zeros(N_EXAMPLES, dtype=torch.long)
    batch_size = batch_size if case.noise else N_EXAMPLES
    model = Place(case.ground, case.start)
    settings: dict[str, Any] = {"momentum": case.momentum} if case.momentum else {}
    optimizer = case.optimizer(model.parameters(), lr=case.lr, **settings)
    spec = RunSpec(study="slowness", variant="made", run="made", seed=0, batch_size=batch_size,
                   diagnostics=("gradient_noise", "curvature"))  # fmt: skip
    diagnostics = Diagnostics(spec, mean_loss, Batch(tilts, labels), N_EXAMPLES)
    state, history, rows = TrainState(model, optimizer, None, 0, 0), History(), []
    for step in range(1, case.n_steps + 1):
        diagnosis = diagnostics.begin(state) if step == 1 or step % EVERY == 0 else None
        drawn = torch.from_numpy(chance.permutation(N_EXAMPLES)[:batch_size])
        optimizer.zero_grad()
        loss = mean_loss(model, Batch(tilts[drawn], labels[drawn])).total
        loss.backward()
        rows.append(
            {
                "step": step,
                "training_loss": loss.item(),
                "learning_rate": case.lr,
                **gradient_norm(gradient_norms(model)),
            }
        )
        optimizer.step()
        if diagnosis:
            diagnosis.see_step(model)
            history.add_diagnostics(step, step * batch_size, diagnosis.values)
    return history.diagnostics_table(), pd.DataFrame(rows)


def bowl(weights: torch.Tensor) -> torch.Tensor:
    """Curvatures 1 and 4, above a floor of 1."""
    return 1 + bowl_to_nothing(weights)


def bowl_to_nothing(weights: torch.Tensor) -> torch.Tensor:
    return 0.5 * (torch.tensor([1.0, 4.0]) * weights**2).sum()


def saddle(weights: torch.Tensor) -> torch.Tensor:
    """Up by 1 along the first weight, down by 1 along the second, to minima at ± 1."""
    x, y = weights
    return 1 + x**2 / 2 - y**2 / 2 + y**4 / 4


def ravine(weights: torch.Tensor) -> torch.Tensor:
    """Walls of curvature 100, a floor of 0.01."""
    return 0.5 * (torch.tensor([100.0, 0.01]) * weights**2).sum()


def raised_ravine(weights: torch.Tensor) -> torch.Tensor:
    return 1 + ravine(weights)


def gentle_ravine(weights: torch.Tensor) -> torch.Tensor:
    return 0.5 * (torch.tensor([100.0, 2.0]) * weights**2).sum()


def plateau(weights: torch.Tensor) -> torch.Tensor:
    """A well of radius 1 around 0; far from it there is nothing to feel."""
    return 2 - torch.exp(-(weights**2).sum() / 2)


def saturated(weights: torch.Tensor) -> torch.Tensor:
    """Squared errors of two sigmoid units that should answer 0."""
    return (torch.sigmoid(weights) ** 2).sum()


CASES = {
    "bowl": Case(bowl, [3.0, 3.0], lr=0.1, verdicts="dccc"),
    "bowl, down to a loss of nothing": Case(bowl_to_nothing, [3.0, 3.0], lr=0.1, verdicts="dddd"),
    "bowl, small step": Case(bowl, [3.0, 3.0], lr=1e-5, verdicts="ssss"),
    "bowl, tiny step": Case(bowl, [3.0, 3.0], lr=1e-9, verdicts="ssss"),
    "bowl, small step of Adam": Case(bowl, [3.0, 3.0], lr=1e-5, verdicts="ssss", optimizer=torch.optim.Adam),
    "bowl, step right for Adam": Case(bowl, [3.0, 3.0], lr=0.3, verdicts="ddcc", optimizer=torch.optim.Adam),
    "bowl, step at the bound": Case(bowl, [0.0, 3.0], lr=0.5, verdicts="bbbb"),
    "bowl, step just below the bound": Case(bowl, [0.0, 3.0], lr=0.48, verdicts="dccc"),
    "bowl, step beyond the bound": Case(bowl, [0.0, 3.0], lr=0.51, verdicts="bbbb"),
    "bowl, momentum at the bound": Case(bowl, [0.0, 3.0], lr=0.95, momentum=0.9, verdicts="bbbb"),
    "bowl, momentum": Case(bowl, [0.0, 3.0], lr=0.1, momentum=0.9, verdicts="ddcc"),
    "bowl, noise, large step": Case(bowl, [3.0, 3.0], lr=0.3, noise=4.0, verdicts="dbbb"),
    "bowl, noise, small enough step": Case(bowl, [3.0, 3.0], lr=0.03, noise=0.5, verdicts="ddcc"),
    "saddle": Case(saddle, [0.0, 1e-6], lr=0.1, verdicts="~~dc"),
    "saddle, begun beside it": Case(saddle, [1.0, 0.5], lr=0.1, verdicts="dccc"),
    "ravine, from wall to wall": Case(ravine, [1.0, 30.0], lr=0.02, verdicts="bbbb"),
    "ravine, from wall to wall by noise": Case(raised_ravine, [1.0, 0.0], lr=0.015, noise=10.0, verdicts="dbbb"),
    "ravine, along its floor": Case(ravine, [1.0, 30.0], lr=0.005, verdicts="dfff"),
    "ravine that is less steep": Case(gentle_ravine, [1.0, 30.0], lr=0.005, verdicts="dddd"),
    "plateau": Case(plateau, [5.0, 0.0], lr=0.1, verdicts="ffff"),
    "noisy plateau": Case(plateau, [5.0, 0.0], lr=0.1, noise=0.2, verdicts="ffff"),
    "in the well": Case(plateau, [1.0, 0.0], lr=0.1, verdicts="dccc"),
    "in the well, noise": Case(plateau, [1.0, 0.0], lr=0.1, noise=0.2, verdicts="dccc"),
    "saturated": Case(saturated, [12.0, 13.0], lr=0.5, verdicts="ffff"),
    "not saturated": Case(saturated, [1.0, 2.0], lr=0.5, verdicts="dddd"),
}
LETTERS = {"descending": "d", "bouncing": "b", "step too small": "s", "saddle": "~", "converged": "c", "flat": "f"}


@pytest.mark.parametrize("name", CASES)
def test_the_reason_is_the_one_that_was_built_in(name: str) -> None:
    case = CASES[name]
    rows = verdicts(*train(case), n_windows=N_WINDOWS)
    found = "".join(LETTERS[verdict] for verdict in rows["verdict"])
    assert found == case.verdicts, "\n".join(rows["reading"])


def test_the_reading_names_the_numbers() -> None:
    def said(name: str, window: int) -> str:
        return verdicts(*train(CASES[name]), n_windows=N_WINDOWS)["reading"][window]

    assert said("saddle", 0).startswith("saddle: the loss fell by ")
    assert "bends down by 1 (up by 1), where a deviation grows e-fold in 10 steps" in said("saddle", 0)
    assert "steps of 1/4, 25,000 times as long, would bring" in said("bowl, small step", 0)
    bouncing = said("bowl, step at the bound", 1)
    assert "took 100 % of what its slope promised the steps" in bouncing
    assert "learning rate × largest eigenvalue is 2 of at most 2" in bouncing
    assert "turns to a cosine of -1.00" in bouncing
    assert "of at most" not in said("bowl, small step of Adam", 0)
    assert "no end of it is in sight" in said("plateau", 0)
    assert "100 % of the loss is left along it" in said("ravine, along its floor", 2)


def test_shares_are_what_a_quadratic_says() -> None:
    """At lr 0.05 on curvature 4 from 1: slope 4, step 0.2; what is left is the height itself."""
    case = Case(bowl, [0.0, 1.0], lr=0.05, verdicts="", n_steps=4)
    (row,) = verdicts(*train(case), n_windows=1).to_dict("records")  # measured at the first step only
    assert row["promise"] * row["loss"] == pytest.approx(4 * 4 * 0.2)
    assert row["cost"] * row["loss"] == pytest.approx(4 * 4 * 0.2**2 / 2)
    assert row["remaining"] * row["loss"] == pytest.approx(2)
    assert row["attainable"] == row["remaining"]  # four steps of 1/4 would bring more than there is
    assert row["rate"] == pytest.approx(0.05)
    losses = [1 + 2 * 0.8 ** (2 * k) for k in range(4)]
    slope, _ = np.polyfit(range(4), losses, 1)
    assert row["fall"] == pytest.approx(-4 * slope / np.mean(losses), rel=1e-5)


def test_the_error_of_a_fall_is_the_spread_of_falls() -> None:
    """Of windows of pure noise: 2 standard errors are exceeded as seldom as they should be."""
    chance = np.random.default_rng(0)
    diagnostics = train(Case(bowl, [0.0, 1.0], lr=0.05, verdicts="", n_steps=1))[0]
    falls = []
    for _ in range(300):
        steps = pd.DataFrame({"step": range(1, 51), "training_loss": 1 + 0.1 * chance.standard_normal(50),
                              "gradient_norm_total": 1.0})  # fmt: skip
        (row,) = verdicts(diagnostics, steps, n_windows=1).to_dict("records")
        falls.append(row["fall"] / row["fall_error"])
    assert np.std(falls) == pytest.approx(1, abs=0.15)
    assert np.mean(np.array(falls) > 2) < 0.06


def test_a_loss_that_is_no_number_is_bouncing() -> None:
    diagnostics, steps = train(Case(bowl, [0.0, 3.0], lr=0.51, verdicts=""))
    steps.loc[199, "training_loss"] = np.nan
    last = verdicts(diagnostics, steps, n_windows=N_WINDOWS).iloc[-1]
    assert last["reading"] == "bouncing: in steps 151 to 200 the loss left the numbers"


def test_a_loss_that_surely_rises_is_not_converged() -> None:
    diagnostics, steps = train(CASES["bowl"])
    place, chance = np.linspace(0, 1, 50), np.random.default_rng(0)
    for rise, noise, verdict in ((0.05, 0.01, "bouncing"), (0.05, 0.2, "converged"), (0.005, 0.001, "converged")):
        steps.loc[150:, "training_loss"] = 1 + rise * place + noise * chance.standard_normal(50)
        assert verdicts(diagnostics, steps, n_windows=N_WINDOWS)["verdict"].iloc[-1] == verdict


def test_windows_without_a_measurement_have_no_verdict() -> None:
    diagnostics, steps = train(CASES["bowl"])
    few = diagnostics[diagnostics["step"].isin([1, 120])]
    assert verdicts(few, steps, n_windows=N_WINDOWS)["first_step"].tolist() == [1, 101]


def test_what_was_not_measured_is_named() -> None:
    diagnostics, steps = train(Case(bowl, [0.0, 1.0], lr=0.05, verdicts="", n_steps=1))
    without = diagnostics[~diagnostics["quantity"].str.startswith(("noise_", "gradient_square"))]
    with pytest.raises(PawprintError, match="noise_share, gradient_square not measured; expected both gradient_noise"):
        verdicts(without, steps)

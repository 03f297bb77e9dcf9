"""The table of symptoms: which runs have an alarm, each run's first finding with evidence and what to try."""

from pawprint.report.readings.symptoms import symptoms_of
from pawprint.symptoms import Remedy, Symptom

LARGE = Symptom("rate_too_large", 0.95, "the loss leaps at step 3", {"leap": 9.0},
                (Remedy("lower the rate", {"lr": 0.01}), Remedy("standardize the pictures")), step=3)  # fmt: skip
VANISHING = Symptom("vanishing", 0.7, "small", {})
IMPROVING = Symptom("not_converged", 0.8, "it falls", {})


def test_a_run_with_an_alarm_is_named_with_evidence_and_remedies() -> None:
    reading = symptoms_of({"healthy": [IMPROVING], "ill": [LARGE, VANISHING]})
    assert reading.outcome == "yes"
    assert reading.sentences == ("1 of the 2 runs has an alarm.", "Learning rate too large: ill (almost certain).")
    assert reading.table[1] == {
        "run": "ill", "symptom": "learning rate too large, almost certain",
        "evidence": "the loss leaps at step 3", "to try": "lower the rate (-S lr=0.01); standardize the pictures",
        "also": "vanishing gradients",
    }  # fmt: skip
    assert reading.table[0]["symptom"] == "still improving"


def test_healthy_runs_have_no_alarm() -> None:
    reading = symptoms_of({"healthy": [IMPROVING], "unknown": []})
    assert reading.outcome == "no"
    assert reading.sentences == ("None of the 2 runs has an alarm.",)
    assert [line["symptom"] for line in reading.table] == ["still improving", "none"]

"""Whole works: the healthy one, each planted fault, each function that is missing, each exception."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pawprint.audit.audit import Audit, audit
from pawprint.audit.work import AuditError
from pawprint.errors import SettingsError
from tests.audit.conftest import DATASET, HEALTHY, MODEL, TEST_SET, TRAINED, Write

QUICK = ("leakage", "brightness")  # one of the pictures, one of the trained model


def verdicts(found: Audit) -> dict[str, str]:
    return {test.name: test.verdict for test in found.tests}


def reading(found: Audit, name: str) -> str:
    return next(test.finding.reading for test in found.tests if test.name == name)


def test_a_healthy_work_runs_through_every_test(write: Write) -> None:
    found = audit(write(HEALTHY))
    assert {name for name, verdict in verdicts(found).items() if verdict in ("left out", "could not run")} == set()
    assert {"leakage", "output_shape", "parameter_update", "normalization", "calibration"} <= set(verdicts(found))
    assert verdicts(found)["leakage"] == verdicts(found)["normalization"] == "passed"
    for part in ("train", "val", "test", "get_test_set()"):
        assert found.fed[part]["normalization"] == "ImageNet's statistics"
        assert found.fed[part]["certainty"] == "exact"
    assert found.fed["train"]["n_read"] == 36


def test_two_audits_are_equal_and_leave_nothing(write: Write) -> None:
    shuffling = DATASET.replace('tensors("train"),', 'Subset(tensors("train"), torch.randperm(36)[:30]),')
    file = write(shuffling, MODEL, TRAINED)
    here, state, python_state = Path.cwd(), torch.get_rng_state(), random.getstate()
    deterministic = torch.are_deterministic_algorithms_enabled()
    first, second = (
        json.dumps(audit(file, ("leakage", "calibration", "parameter_update")).as_json()) for _ in range(2)
    )
    assert first == second
    assert str(file.parent) not in first
    assert Path.cwd() == here
    assert torch.equal(state, torch.get_rng_state())
    assert random.getstate() == python_state
    assert torch.are_deterministic_algorithms_enabled() == deterministic


def test_a_leak_is_found(write: Write) -> None:
    leaking = DATASET.replace('tensors("train")', 'ConcatDataset([tensors("train"), Subset(tensors("test"), [3, 5])])')
    found = audit(write(leaking), ("leakage",))
    assert verdicts(found) == {"leakage": "failed"}
    assert found.exit_code == 1


def test_a_test_set_of_its_own_that_holds_training_pictures_is_found(write: Write) -> None:
    found = audit(write(DATASET, TEST_SET.replace('"test"', '"train"')), ("leakage",))
    assert verdicts(found) == {"leakage": "failed"}
    assert any("get_test_set() offers 36 pictures, get_dataset()'s test 24" in note for note in found.notes)


@pytest.mark.parametrize("by", ["(0.0,) * 3, (1.0,) * 3", "(0.5,) * 3, (0.5,) * 3", "(0.0,) * 3, (1 / 255,) * 3"])
def test_a_test_set_that_is_fed_otherwise_fails(write: Write, by: str) -> None:
    found = audit(write(DATASET, MODEL, TRAINED, TEST_SET.replace('"test"', f'"test", {by}')), ("normalization",))
    assert verdicts(found) == {"normalization": "failed"}
    assert any("get_test_set() is not normalized as train is" in note for note in found.notes)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([DATASET], {"leakage": "passed", "brightness": "left out", "parameter_update": "left out"}),
        ([TEST_SET, MODEL, TRAINED], {"leakage": "left out", "brightness": "measured", "calibration": "left out"}),
        ([TEST_SET, MODEL, TRAINED], {"corruptions": "measured", "tta": "left out"}),
        ([DATASET, MODEL], {"leakage": "passed", "brightness": "left out", "parameter_update": "passed"}),
        ([DATASET, MODEL, TRAINED], {"brightness": "measured", "normalization": "passed"}),
        ([MODEL], {"leakage": "left out", "parameter_update": "left out", "brightness": "left out"}),
        ([MODEL, TRAINED], {"leakage": "left out", "brightness": "left out", "normalization": "left out"}),
        ([TEST_SET], {"leakage": "left out", "brightness": "left out"}),
    ],
)
def test_what_is_missing_leaves_out_what_needs_it(write: Write, parts: list[str], expected: dict[str, str]) -> None:
    found = audit(write(*parts), tuple(expected))
    assert verdicts(found) == expected
    assert found.exit_code == 0
    for test in found.tests:
        assert test.finding.question.endswith("?")
        if test.verdict == "left out":
            assert "needs get_" in test.finding.reading


def test_two_parts_are_train_and_test(write: Write) -> None:
    two = DATASET.replace(' tensors("val"),', "")
    found = audit(write(two, MODEL, TRAINED), ("leakage", "calibration", "brightness", "tta"))
    left_out = {"calibration": "left out", "tta": "left out"}
    assert verdicts(found) == {"leakage": "passed", "brightness": "measured", **left_out}
    assert all("val" in reading(found, name) for name in left_out)
    none = DATASET.replace('tensors("val")', "None")
    assert verdicts(audit(write(none), ("leakage",))) == {"leakage": "passed"}


@pytest.mark.parametrize(
    ("parts", "could_not", "said"),
    [
        ([DATASET.replace('return tensors("train")', "1 / 0"), TEST_SET, MODEL, TRAINED], "leakage", "ZeroDivision"),
        ([DATASET, MODEL, TRAINED.replace("return model", "return loss")], "brightness", "returned a Tensor, expected"),
        ([DATASET, MODEL, TRAINED.replace("return model", "return torch.load('net.pt')")], "brightness", "begin at"),
        ([DATASET, MODEL, TRAINED, "\nNet.forward = lambda self, x: (x.nope, x)\n"], "brightness", "nope"),
        ([DATASET, MODEL, "\ndef get_trained_model(): return nn.Sequential(nn.Flatten(), nn.Linear(3072, 2))\n"],
         "brightness", "gives (2, 2), expected a tensor (2, 3)"),
        ([DATASET, MODEL, TRAINED, "\nget_test_set = lambda: [(1, 2)]\n"], "brightness", "get_test_set()[0]: the"),
        ([DATASET.replace("return", "return {}, "), MODEL, TRAINED], "leakage", "returned a tuple of 4, expected"),
    ],
    ids=["dataset", "no_module", "no_weights", "forward", "head", "test_set", "four_parts"],
)  # fmt: skip
def test_an_exception_stops_its_tests_and_no_other(write: Write, parts: list[str], could_not: str, said: str) -> None:
    found = audit(write(*parts), QUICK)
    other = {"leakage": "brightness", "brightness": "leakage"}[could_not]
    assert verdicts(found)[could_not] == "could not run"
    assert said in reading(found, could_not)
    if "tuple of 4" not in said:  # of which both need a part
        assert verdicts(found)[other] in ("passed", "measured")
    assert found.exit_code == 2


def test_a_model_with_a_part_that_never_learns_fails(write: Write) -> None:
    forgotten = "\ndef get_optimizer(model): return torch.optim.SGD(model[5].parameters(), lr=0.1)\n"
    found = audit(write(DATASET, MODEL, forgotten), ("parameter_update",))
    assert verdicts(found) == {"parameter_update": "failed"}
    assert found.exit_code == 1


def test_what_stands_in_is_told(write: Write) -> None:
    notes = audit(write(DATASET, MODEL), ("leakage",)).notes
    assert any(note.startswith("get_optimizer() is not offered: Adam") for note in notes)
    assert any(note.startswith("get_loss() is not offered: cross-entropy") for note in notes)
    loss = "\ndef get_loss(): return nn.CrossEntropyLoss()"
    optimizer = "\ndef get_optimizer(model): return torch.optim.SGD(model.parameters(), 1)"
    notes = audit(write(DATASET, MODEL, loss, optimizer), ("leakage",)).notes
    assert not any("stands in" in note for note in notes)


def test_a_loss_that_is_no_scalar_is_refused(write: Write) -> None:
    own = "\ndef get_loss(): return nn.CrossEntropyLoss(reduction='none')\n"
    found = audit(write(DATASET, MODEL, own), ("parameter_update",))
    assert "the criterion gives (32,), expected one number" in reading(found, "parameter_update")


def test_one_model_for_all_calls_is_copied_and_told(write: Write) -> None:
    shared = MODEL + "\nthe_model = Net()\ndef get_model(): return the_model\n"
    found = audit(write(DATASET, shared), ("parameter_update",))
    assert verdicts(found) == {"parameter_update": "passed"}
    assert any("the same weights each time" in note for note in found.notes)


def test_gradients_that_the_work_switched_off_are_on_for_the_tests(write: Write) -> None:
    off = "\ntorch.set_grad_enabled(False)\n"
    assert verdicts(audit(write(DATASET, MODEL, off), ("parameter_update",))) == {"parameter_update": "passed"}
    assert torch.is_grad_enabled()


def test_a_split_that_is_drawn_anew_is_told(write: Write) -> None:
    drawn_anew = '\ndef get_dataset(): return random_split(tensors("train"), [20, 8, 8])\n'
    fixed = drawn_anew.replace("[20, 8, 8]", "[20, 8, 8], torch.Generator().manual_seed(0)")
    assert any("another test set each time" in note for note in audit(write(drawn_anew), ("leakage",)).notes)
    assert not any("another test set" in note for note in audit(write(fixed), ("leakage",)).notes)


AUGMENTED = """
class Augmented(Dataset):
    def __init__(self, part, noise):
        self.of, self.noise = tensors(part), noise
    def __len__(self):
        return len(self.of)
    def __getitem__(self, i):
        picture, label = self.of[i]
        return picture.roll(int(torch.randint(5, ())), 2) + self.noise * torch.rand(()), label
def get_dataset():
    return Augmented("train", {noise}), tensors("val"), {test}
"""


@pytest.mark.parametrize("noise", ["0.0", "0.01"])
def test_augmentation_of_train_is_healthy_and_that_of_test_is_told(write: Write, noise: str) -> None:
    healthy = AUGMENTED.replace("{noise}", noise).replace("{test}", 'tensors("test")')
    found = audit(write(healthy, MODEL, TRAINED), ("normalization",))
    assert verdicts(found) == {"normalization": "passed"}
    assert found.fed["train"]["normalization"] == "ImageNet's statistics"
    assert found.fed["train"]["certainty"] == ("exact" if noise == "0.0" else "estimated")
    assert next(note for note in found.notes if "at random" in note).startswith("train changes its pictures")
    faulty = AUGMENTED.replace("{noise}", noise).replace("{test}", 'Augmented("test", 0.0)')
    notes = audit(write(faulty), ("leakage",)).notes
    assert any(note.startswith("test changes its pictures at random: each evaluation") for note in notes)


PIL_PICTURES = """
def pictures(part, side=None):
    images = [Image.fromarray(p) for p in stored[part]]
    images = [im.resize((32 + (i % 3 if side is None else 0), 32)) for i, im in enumerate(images)]
    return [(im, int(k)) for im, k in zip(images, stored[part + "_labels"])]
def get_dataset():
    return pictures("train", {side}), pictures("val", {side}), pictures("test", {side})
"""


def test_pictures_without_a_transform_are_fed_as_totensor_has_them(write: Write) -> None:
    found = audit(write(PIL_PICTURES.replace("{side}", "32"), MODEL, TRAINED), ("normalization", "leakage"))
    assert verdicts(found) == {"leakage": "passed", "normalization": "passed"}
    assert found.fed["test"]["certainty"] == "assumed"
    assert any("8-bit pixels, which no model takes" in note for note in found.notes)


def test_pictures_of_several_sizes_are_compared_and_no_model_gets_them(write: Write) -> None:
    found = audit(write(PIL_PICTURES.replace("{side}", "None"), MODEL, TRAINED), (*QUICK, "parameter_update"))
    assert verdicts(found) == {"leakage": "passed", "brightness": "could not run", "parameter_update": "could not run"}
    assert "3 sizes, from 32 x 32 to 34 x 32 pixels" in reading(found, "brightness")
    assert "lacks a Resize" in reading(found, "parameter_update")


@pytest.mark.parametrize(
    ("shift", "classes", "verdict"),
    [(0, None, "passed"), (1, None, "failed"), (0, ["a", "b"], "failed"), (0, ["a", "b", "c"], "passed")],
)
def test_classes_are_those_offered_or_counted(write: Write, shift: int, classes: Any, verdict: str) -> None:
    text = f"""
class Labelled(Dataset):
    {"classes = " + repr(classes) if classes else ""}
    def __init__(self, part): self.of = tensors(part)
    def __len__(self): return len(self.of)
    def __getitem__(self, i): return self.of[i][0], int(self.of[i][1]) + {shift}
def get_dataset(): return [Subset(Labelled(p), range(12)) for p in ("train", "val", "test")]
"""
    found = audit(write(text, MODEL), ("output_shape",))
    assert verdicts(found) == {"output_shape": verdict}
    assert found.fed["classes"]["names"] == (classes or [str(k + shift) for k in range(3)])


def test_a_limit_reads_and_probes_fewer(write: Write) -> None:
    found = audit(write(DATASET, MODEL, TRAINED), ("brightness",), limit=20, probed=10)
    assert (found.fed["train"]["n_read"], found.fed["train"]["n_offered"]) == (20, 36)
    assert any("train 20 of 36 (evenly spaced)" in note for note in found.notes)
    assert any("the probes use 10 of the 20 test pictures" in note for note in found.notes)


def test_a_test_that_is_none_is_refused(write: Write) -> None:
    with pytest.raises(SettingsError, match="did you mean 'leakage'"):
        audit(write(HEALTHY), ("leakages",))


def test_a_dark_part_is_fed_as_the_others(write: Write, drawn: dict[str, np.ndarray]) -> None:
    """Own statistics of odd decimals: a test set without black would be placed 20 levels too low by itself."""
    drawn["test"][:] = drawn["test"] // 2 + 20
    own = "\nMEAN, STD = (0.46234567, 0.4412, 0.40021), (0.19101234, 0.1827, 0.1671)\n"
    text = own + DATASET.replace('")', '", MEAN, STD)')
    fed = audit(write(text), ("leakage",)).fed
    assert fed["test"]["certainty"] == fed["train"]["certainty"] == "exact"
    assert fed["test"]["mean"] == pytest.approx([0.46234567, 0.4412, 0.40021], abs=1e-5)


def test_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(AuditError, match="no such file"):
        audit(Path("nowhere.py"))

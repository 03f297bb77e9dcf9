"""Names and descriptions come from resolved settings: what shapes a training, and nothing else."""

from dataclasses import replace

import pytest

from pawprint.labels import coinciding, differences, effective, label, main_settings
from pawprint.types import RunSpec

BASELINE = RunSpec("s", "baseline", "baseline", 0)


def variant(name: str, **settings) -> RunSpec:
    return replace(BASELINE, variant=name, run=name, **settings)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (("a", "a"), "a"),
        (("question", "first"), "question/first"),
        (("pretrained", "pretrained", "drawn_animals"), "pretrained (drawn_animals)"),
    ],
)
def test_label_says_run_and_source_where_they_add_something(name: tuple[str, ...], expected: str):
    assert label(*name) == expected


def test_main_settings_of_a_run_by_itself():
    assert main_settings(BASELINE) == "adam, lr 1e-3, batch_size 32, no scheduler, random weights"
    other = variant("a", scheduler="cosine", pretrained=True, pretrained_on="imagenet", optimizer="sgd")
    assert main_settings(other) == "sgd, lr 1e-3, batch_size 32, scheduler cosine, pretrained on imagenet"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"lr": 0.01}, "lr 1e-2"),
        ({"batch_size": 64}, "batch_size 64"),
        ({"batch_size": 64, "lr_scaling": "sqrt"}, "batch_size 64, lr_scaling sqrt: lr 1.41e-3"),
        (
            {"batch_size": 64, "lr_scaling": "adam_full"},
            "batch_size 64, lr_scaling adam_full: lr 1.41e-3, betas 0.8/0.998, eps 7.07e-9",
        ),
        ({"pretrained": True, "pretrained_on": "drawn_animals"}, "pretrained on drawn_animals"),
        ({"scheduler": "onecycle"}, "scheduler onecycle"),
        ({"scheduler": "onecycle", "onecycle_pct_start": 0.3}, "scheduler onecycle, onecycle_pct_start 0.3"),
        ({"optimizer": "sgd", "momentum": 0.9, "nesterov": True}, "sgd, momentum 0.9, nesterov"),
        ({"random_flip": False, "weight_decay": 1e-4}, "weight_decay 1e-4, no random_flip"),
    ],
)
def test_differences_are_what_changed_and_what_a_rule_makes_of_it(settings: dict, expected: str):
    assert differences(variant("a", **settings), BASELINE) == expected


def test_differences_against_a_richer_reference():
    reference = variant("r", scheduler="onecycle", pretrained=True, pretrained_on="imagenet")
    assert differences(BASELINE, reference) == "no scheduler, random weights"


@pytest.mark.parametrize(
    "settings",
    [
        {"momentum": 0.9},  # adam has none
        {"onecycle_pct_start": 0.3},  # no such schedule
        {"mlp_widths": (4,)},  # a resnet
        {"lr_scaling": "linear"},  # of the batch size that the rate is meant for
        {"seed": 7},
    ],
)
def test_settings_that_shape_nothing_make_no_difference(settings: dict):
    assert effective(variant("a", **settings)) == effective(BASELINE)
    assert differences(variant("a", **settings), BASELINE) == ""


def test_coinciding_runs_are_found_by_what_they_do():
    specs = [BASELINE, variant("rule", lr_scaling="sqrt"), variant("other", lr=0.01), variant("rate", lr=0.001)]
    same = coinciding(specs)
    assert same["baseline", "baseline"] == ["rule", "rate"]
    assert same["rate", "rate"] == ["baseline", "rule"]
    assert same["other", "other"] == []


def test_another_source_of_weights_is_another_training():
    one, two = (variant(name, pretrained=True, pretrained_on=name) for name in ("imagenet", "folder"))
    assert coinciding([one, two])["imagenet", "imagenet"] == []
    assert differences(one, two) == "pretrained on imagenet"

"""What a run is called and what it is, in words made from its resolved settings, for tables and charts.

A name like `lr_1e-2` says what somebody meant; after `-S lr=1e-2` the baseline has that rate too. So everything
here compares what *shapes* a training: batch-size rules are worked out to the rate (and betas, eps) that the
optimizer gets, and settings that the chosen model, optimizer or schedule does not read are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pawprint.contradictions import FALL_TO_A_FLOOR
from pawprint.types import RUN_SETTINGS, RunSpec, short_number

RunName = tuple[str, str]  # (variant, run)

UNLABELLED = ("self_training", "fixmatch")  # objectives that learn from unlabelled pictures
OF_STRONG_VIEWS = ("randaugment_ops", "randaugment_magnitude", "cutout_percent", "erasing_percent")
READ_ONLY_BY: dict[str, tuple[str, tuple[str, ...]]] = {  # setting → the setting that decides, its deciding values
    "mlp_widths": ("model", ("mlp",)),
    "mlp_activation": ("model", ("mlp",)),
    "mlp_layer_norm": ("model", ("mlp",)),
    "mlp_init": ("model", ("mlp",)),
    "cnn_widths": ("model", ("cnn",)),
    "cnn_grid": ("model", ("cnn",)),
    "cnn_hidden": ("model", ("cnn",)),
    "threshold": ("objective", UNLABELLED),
    "temperature": ("objective", UNLABELLED),
    "unlabelled_weight": ("objective", UNLABELLED),
    "unlabelled_ratio": ("objective", UNLABELLED),
    "mixing_alpha": ("mixing", ("mixup", "cutmix")),
    "betas": ("optimizer", ("adam", "adamw", "radam", "lamb")),
    "amsgrad": ("optimizer", ("adam", "adamw")),
    "alpha": ("optimizer", ("rmsprop",)),
    "eps": ("optimizer", ("adam", "adamw", "radam", "lamb", "adagrad", "rmsprop")),
    "momentum": ("optimizer", ("sgd", "rmsprop", "lars")),
    "nesterov": ("optimizer", ("sgd", "lars")),
    "trust_coefficient": ("optimizer", ("lars",)),
    "onecycle_pct_start": ("scheduler", ("onecycle",)),
    "onecycle_final_div_factor": ("scheduler", ("onecycle",)),
    "lr_decay": ("scheduler", ("exponential", "step", "piecewise", "plateau")),
    "lr_floor": ("scheduler", FALL_TO_A_FLOOR),
    "lr_milestone_epochs": ("scheduler", ("piecewise",)),
    "lr_period_epochs": ("scheduler", ("step", "cyclic", "restarts", "plateau")),
    "lr_power": ("scheduler", ("polynomial",)),
    "warmup_epochs": ("scheduler", ("warmup", "warmup_cosine")),
}
SCALED = ("lr", "betas", "eps")  # what a batch-size rule changes
MEASURES_ONLY = ("epoch_curves", "diagnostics", "diagnose_every_steps")  # they shape no training
POWERS = ("lr", "lr_floor", "eps", "weight_decay")  # written as powers of ten, as in the variants' names
RULE = ("lr_scaling", "lr_base_batch_size")  # told by what comes of it


def label(variant: str, run: str, pretrained_on: str | None = None) -> str:
    """`variant`, `variant/run` where the run's name is another, and what its weights were trained on before."""
    name = variant if run == variant else f"{variant}/{run}"
    return f"{name} ({pretrained_on})" if pretrained_on else name


def effective(spec: RunSpec) -> dict[str, Any]:
    """The settings that shape the training; equal dictionaries mean the same trainings, seed by seed."""
    read = [name for name in RUN_SETTINGS if name not in (*RULE, *MEASURES_ONLY) and _is_read(name, spec)]
    values = {name: getattr(spec, f"scaled_{name}" if name in SCALED else name) for name in read}
    return values | {"pretrained_on": spec.pretrained_on}


def coinciding(specs: Iterable[RunSpec]) -> dict[RunName, list[str]]:
    """For each (variant, run) the other runs with equal effective settings: they are the same trainings."""
    settings = {(s.variant, s.run): effective(s) for s in specs}
    return {
        name: [label(*other) for other in settings if other != name and settings[other] == settings[name]]
        for name in settings
    }


def main_settings(spec: RunSpec) -> str:
    """What a run is by itself: `adam, lr 1e-3, batch_size 32, no scheduler, random weights`."""
    schedule = f"scheduler {spec.scheduler}" if spec.scheduler != "none" else "no scheduler"
    start = _start(spec.pretrained_on)
    return f"{spec.optimizer}, lr {_power(spec.scaled_lr)}, batch_size {spec.batch_size}, {schedule}, {start}"


def differences(spec: RunSpec, reference: RunSpec) -> str:
    """In what a run differs from the one it is held against; empty where it does not.

    What a batch-size rule brings about stands last, behind the rule: `batch_size 64, lr_scaling sqrt: lr 1.41e-3`.
    """
    ours, theirs = effective(spec), effective(reference)
    # What only the new optimizer or schedule reads is news where it is not the default.
    told = [name for name in ours if ours[name] != (theirs[name] if name in theirs else getattr(RunSpec, name))]
    if "pretrained_on" in told:
        told = [name for name in told if name != "pretrained"]
    ruled = [name for name in told if name in SCALED] if _rule_acts(spec) else []
    words = [_words(name, ours[name]) for name in told if name not in ruled]
    if ruled:
        ends = ", ".join(_words(name, ours[name]) for name in ruled)
        words.append(f"lr_scaling {spec.lr_scaling}: {ends}")
    return ", ".join(words)


def _is_read(name: str, spec: RunSpec) -> bool:
    if name in OF_STRONG_VIEWS:
        return spec.augmentation == "strong" or spec.objective == "fixmatch"
    decider, values = READ_ONLY_BY.get(name, (name, ()))
    return decider == name or getattr(spec, decider) in values


def _rule_acts(spec: RunSpec) -> bool:
    return spec.lr_scaling != "none" and spec.batch_ratio != 1


def _words(name: str, value: Any) -> str:
    if name == "pretrained_on":
        return _start(value)
    if name == "optimizer":
        return str(value)
    if name == "scheduler" and value == "none":
        return "no scheduler"
    if isinstance(value, bool):
        return name if value else f"no {name}"
    if name in POWERS:
        return f"{name} {_power(value)}"
    if value == ():
        return f"no {name}"
    numbers = value if isinstance(value, tuple) else (value,)
    return f"{name} {'/'.join(f'{n:g}' if isinstance(n, float) else str(n) for n in numbers)}"


def _power(value: float) -> str:
    """`1.41e-3`: three digits are enough to tell rates apart."""
    return short_number(float(f"{value:.3g}"))


def _start(pretrained_on: str | None) -> str:
    return f"pretrained on {pretrained_on}" if pretrained_on else "random weights"

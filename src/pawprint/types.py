"""The core records. This module imports nothing of pawprint, so that everything else may import it.

Settings records (`DataSettings`, `RunSpec`, `StudySettings`) are pydantic dataclasses: constructing one
validates types and ranges. Their defaults are the assignment's baseline (SPEC row A3); `params.yaml`
overrides them and explains each. The other records are plain dataclasses. All are frozen but `TrainState`.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass as validated

if TYPE_CHECKING:
    import numpy as np
    import torch
    from matplotlib.figure import Figure

STRICT = ConfigDict(strict=True, extra="forbid")
NESTED = ConfigDict(extra="forbid")  # of records inside others, which YAML has as mappings and lists

# A thousand million of anything is a slip of the keyboard, and far from where floats and 64-bit integers end.
MOST = 1_000_000_000
PositiveInt = Annotated[int, Field(ge=1, le=MOST)]
NonNegativeInt = Annotated[int, Field(ge=0, le=MOST)]
Rate = Annotated[float, Field(ge=0, le=1e30, allow_inf_nan=False)]  # a model's float32 ends at 3e38
BatchSize = Annotated[int, Field(ge=1, le=1_000_000)]  # a step of more fits into no memory
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what every generator takes; NumPy's old one no more
# Folders and files are named for it: no path, no option; 64 leave room for what names are put together of (255 bytes).
NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]


def can_be_looked_for(path: str) -> str:
    """The path, or ValueError: file systems refuse longer ones in their own words, and an empty one would mean here."""
    if not path or len(path.encode()) > 4096 or max(len(part.encode()) for part in path.split("/")) > 255:
        raise ValueError(f"expected a path of 1 to 4096 bytes, each name in it at most 255, found {path[:80]!r}")
    if path.startswith("~") and os.path.expanduser(path) == path:  # noqa: PTH111 pathlib's raises
        raise ValueError(f"expected a path, found {path[:80]!r}: nobody has that name here")
    return path


Location = Annotated[str, AfterValidator(can_be_looked_for)]


@validated(frozen=True, config=STRICT)
class DataSettings:
    """Which pictures, at what size, split how (`data:` in params.yaml)."""

    source: Literal[
        "procedural", "drawn_animals", "oxford_pet", "folder", "digits", "fashion_mnist", "cifar10", "food11"
    ] = "procedural"
    path: Location | None = None  # folder (or .zip) of pictures, as seen from the study's; null: the source's own way
    split_file: Location | None = None  # CSV image_name,label,split; null: the source's own split, or a drawn one
    draw_pixels: Annotated[int, Field(ge=16, le=512)] = 64  # side of a drawn picture (procedural)
    n_per_class: Annotated[int, Field(ge=5, le=MOST)] = 40  # pictures drawn of each class (procedural, drawn_animals)
    seed: Seed = 0  # of the drawn pictures
    on_bad: Literal["stop", "drop"] = "stop"  # pictures and rows that cannot be used: say all and stop, or leave out
    classes: tuple[str, ...] = ()  # the classes used, by name; (): all
    max_per_class: NonNegativeInt = 0  # pictures used of a class in each given split; 0: all
    image_size: Annotated[int, Field(ge=8, le=1024)] = 224  # side of the prepared square picture, pixels
    val_percent: Annotated[float, Field(gt=0, lt=100)] = 20.0
    test_percent: Annotated[float, Field(gt=0, lt=100)] = 20.0
    labels_per_class: NonNegativeInt = 0  # of train's pictures that keep their label; 0: all, none is unlabelled
    split_seed: Seed = 0


@validated(frozen=True, config=STRICT)
class RunSpec:
    """One training, completely: identity, then every setting that shapes it."""

    study: str
    variant: Name
    run: Name
    seed: Seed  # of initial weights, batch order and augmentation
    pretrained_on: str | None = None  # what the starting weights were trained on; None: they are random

    model: Literal["resnet18", "mlp", "cnn"] = "resnet18"
    # Hidden units, layer by layer (mlp). Without normalization, sixteen layers learn nothing.
    mlp_widths: Annotated[tuple[PositiveInt, ...], Field(max_length=32)] = (128, 56)
    mlp_activation: Literal["relu", "leaky_relu", "sigmoid", "tanh"] = "relu"
    mlp_layer_norm: tuple[PositiveInt, ...] = ()  # the hidden layers, counted from 1, whose outputs are normalized
    mlp_init: Literal["default", "gaussian", "xavier", "he"] = "default"
    # Channels of the convolutions, each followed by batch normalization, ReLU and 2 x 2 max-pooling (cnn).
    cnn_widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=8)] = (64, 128, 256)
    cnn_grid: Annotated[int, Field(ge=1, le=64)] = 1  # side of the grid that what is left is averaged to
    cnn_hidden: Annotated[tuple[PositiveInt, ...], Field(max_length=8)] = ()  # units of its linear layers but the last
    dropout: Fraction = 0.0  # share of the units that are dropped before each linear layer but the first of an MLP
    pretrained: bool = False  # start from the weights of the study's `pretrained_source`, with a new head
    objective: Literal["supervised", "self_training", "fixmatch", "distill"] = "supervised"
    loss: Literal["cross_entropy", "squared_error", "hinge"] = "cross_entropy"  # what `supervised` descends
    label_smoothing: Fraction = 0.0  # share of a label that is spread over all classes
    # What the unlabelled pictures bring (self_training, fixmatch); symbols of arXiv 2001.07685.
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.95  # tau: how sure a pseudo-label must be to count
    temperature: Annotated[float, Field(ge=0, le=100)] = 0.0  # T of soft pseudo-labels; 0: the likeliest class
    unlabelled_weight: Rate = 1.0  # lambda_u, of the unlabelled loss
    unlabelled_ratio: Annotated[int, Field(ge=1, le=100)] = 7  # mu: unlabelled pictures for each labelled one
    # What a student learns from its teacher (distill); arXiv 1503.02531.
    distill_temperature: Annotated[float, Field(gt=0, le=100)] = 4.0  # T, by which both sides' logits are divided
    distill_weight: Annotated[float, Field(ge=0, le=1)] = 0.9  # of the teacher's answers; the rest is the labels'

    optimizer: Literal["adam", "adamw", "sgd", "adagrad", "rmsprop", "radam", "lars", "lamb"] = "adam"
    lr: Rate = 1e-3  # learning rate at `lr_base_batch_size`; the peak where the scheduler has one
    lr_scaling: Literal["none", "sqrt", "linear", "adam_full"] = "none"  # with batch_size / lr_base_batch_size
    lr_base_batch_size: BatchSize = 32
    # Averaging of gradient and its square, of the optimizers that are Adam's kin (adamw, radam, lamb).
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    amsgrad: bool = False  # adam's and adamw's
    alpha: Fraction = 0.99  # RMSProp's averaging of the squared gradient
    eps: Annotated[float, Field(gt=0, le=1e30, allow_inf_nan=False)] = 1e-8  # in the denominator; not sgd's and lars's
    momentum: Rate = 0.0  # sgd's, rmsprop's and lars's
    nesterov: bool = False  # sgd's and lars's
    trust_coefficient: Rate = 0.001  # lars's: a layer's step as a share of its weights' norm
    weight_decay: Rate = 0.0
    weight_decay_on: Literal["all", "weights"] = "all"  # weights: not biases, nor what batch normalization learns
    ema_decay: Fraction = 0.0  # of the average of weights that is evaluated and kept; 0: the weights themselves

    scheduler: Literal[
        "none", "onecycle", "cosine", "exponential", "step", "piecewise", "polynomial", "linear", "warmup",
        "warmup_cosine", "cosine_7_16", "cyclic", "restarts", "plateau",
    ] = "none"  # fmt: skip
    lr_decay: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.9  # exponential, step, piecewise, plateau
    lr_floor: Rate = 0.0  # the rate falls no further; `contradictions.FALL_TO_A_FLOOR`
    lr_milestone_epochs: tuple[PositiveInt, ...] = (15, 30)  # after which the rate falls (piecewise)
    lr_period_epochs: PositiveInt = 3  # from fall to fall (step), of a cycle (cyclic, restarts), of patience (plateau)
    lr_power: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 2.0  # of the polynomial
    warmup_epochs: PositiveInt = 4  # in which the rate rises (warmup, warmup_cosine)
    onecycle_pct_start: Annotated[float, Field(gt=0, lt=1)] = 0.1  # share of the steps in which the rate rises
    onecycle_final_div_factor: Annotated[float, Field(ge=1e-3, le=1e12)] = (
        10.0  # below 1: the rate ends above its start
    )

    batch_size: BatchSize = 32  # examples per optimizer step
    epochs: PositiveInt = 10
    steps_per_epoch: NonNegativeInt = 0  # 0: once through train; else as many batches, passing through it again
    patience_epochs: NonNegativeInt = 0  # stop when `select_on` is no better for so many; 0: never
    clip_norm: Rate = 0.0  # largest total gradient norm; 0: no clipping
    # Every class equally often: balanced keeps the epoch's length, the others go by the largest, the smallest class.
    sampling: Literal["natural", "balanced", "oversample", "undersample"] = "natural"
    class_weights: Literal["none", "balanced"] = "none"  # of the loss; balanced: inverse to a class's pictures
    random_flip: bool = True  # mirror every second training picture
    random_crop_percent: Annotated[float, Field(ge=0, le=50)] = 10.0  # largest shift, of the picture's side
    resized_crop_area: Annotated[float, Field(gt=0, le=1)] = 1.0  # least share that is cut out and enlarged; 1: none is
    color_jitter: Annotated[float, Field(ge=0, le=1)] = 0.0  # largest change of brightness, contrast and saturation
    augmentation: Literal["weak", "strong"] = "weak"  # of labelled pictures; strong adds the next four
    randaugment_ops: Annotated[int, Field(ge=0, le=14)] = 2  # operations on a picture (arXiv 1909.13719)
    randaugment_magnitude: Annotated[int, Field(ge=0, le=30)] = 30  # the largest; each picture's is drawn
    cutout_percent: Annotated[float, Field(ge=0, le=100)] = 50.0  # largest side of a gray square, of the picture's
    erasing_percent: Annotated[float, Field(ge=0, le=100)] = 0.0  # pictures with an erased rectangle (1708.04896)
    mixing: Literal["none", "mixup", "cutmix"] = "none"  # of labelled pictures and their labels, two and two
    mixing_alpha: Annotated[float, Field(gt=0, le=100)] = 1.0  # of the Beta distribution that the shares are drawn from

    # Splits that are measured at each epoch's end beside val, for their curves alone: they choose nothing.
    epoch_curves: Annotated[tuple[Literal["train", "test"], ...], Field(max_length=2)] = ()
    diagnostics: tuple[
        Literal[
            "layer_gradients", "layer_updates", "activations", "histograms",
            "weight_gradients", "gradient_noise", "curvature", "weight_norm",
        ], ...,
    ] = ()  # fmt: skip
    diagnose_every_steps: PositiveInt = 50
    select_on: Literal["val_loss", "val_accuracy", "val_balanced_accuracy"] = "val_loss"  # which epoch's weights stay
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"  # of the training's arithmetic
    compile: bool = False  # the model, by torch.compile: half a minute once; for accelerators
    # Of the processor, per process; another number gives other bytes. No processor has more than 512 today.
    threads: Annotated[int, Field(ge=1, le=512)] = 1
    # Processes with a device each that share every batch (`pawprint.training.processes`).
    devices: Annotated[int, Field(ge=1, le=1024)] = 1  # of each machine
    num_nodes: Annotated[int, Field(ge=1, le=10_000)] = 1  # machines
    strategy: Literal["auto", "ddp"] = "auto"  # Fabric's: auto is ddp where there are several processes

    @property
    def name(self) -> str:
        """The run's name in trackers, e.g. `baseline-lr1e-3-bs32-none-s0`."""
        run = self.variant if self.run == self.variant else f"{self.variant}-{self.run}"
        return f"{run}-lr{short_number(self.lr)}-bs{self.batch_size}-{self.scheduler}-s{self.seed}"

    @property
    def key(self) -> str:
        """The run's folder inside its variant's, e.g. `baseline-s0`."""
        return f"{self.run}-s{self.seed}"

    @property
    def has_batch_norm(self) -> bool:
        return self.model != "mlp"

    @property
    def learns_unlabelled(self) -> bool:
        """Whether its steps have unlabelled pictures beside the labelled ones."""
        return self.objective in ("self_training", "fixmatch")

    @property
    def n_processes(self) -> int:
        """How many share each batch."""
        return self.devices * self.num_nodes

    @property
    def parts(self) -> tuple[str, ...]:
        """What a step's row has beside the loss."""
        if self.objective == "distill":
            return DISTILLED_PARTS
        return UNLABELLED_PARTS if self.learns_unlabelled else ()

    @property
    def pictures_per_step(self) -> int:
        """How many go through the model in a step, each view counted: what a step costs, whatever the machine."""
        n_views = {"self_training": 1, "fixmatch": 2}.get(self.objective, 0)
        return self.batch_size * (1 + n_views * self.unlabelled_ratio)

    @property
    def batch_ratio(self) -> float:
        """How many times the batch is larger than the one that `lr` is meant for."""
        return self.batch_size / self.lr_base_batch_size

    @property
    def scaled_lr(self) -> float:
        """The learning rate after the batch-size rule (linear: arXiv 1706.02677; sqrt: arXiv 2205.10287)."""
        factors = {"none": 1.0, "linear": self.batch_ratio, "sqrt": self.batch_ratio**0.5}
        return self.lr * (factors | {"adam_full": factors["sqrt"]})[self.lr_scaling]

    @property
    def scaled_betas(self) -> tuple[float, float]:
        """Adam's betas; `adam_full` keeps the number of *examples* averaged over (arXiv 2205.10287)."""
        if self.lr_scaling != "adam_full":
            return self.betas
        first, second = (1 - self.batch_ratio * (1 - beta) for beta in self.betas)
        return first, second

    @property
    def scaled_eps(self) -> float:
        """Adam's eps; `adam_full` lowers it as the noise of the gradient falls (arXiv 2205.10287)."""
        return self.eps / self.batch_ratio**0.5 if self.lr_scaling == "adam_full" else self.eps


# Of each step of an objective that learns from unlabelled pictures (`pawprint.objectives.pseudo_labels`).
UNLABELLED_PARTS = ("labelled_loss", "unlabelled_loss", "mask_rate", "pseudo_label_accuracy", "agreement")
DISTILLED_PARTS = ("labelled_loss", "distillation_loss", "agreement")  # `pawprint.objectives.distill`
CLASS_COUNTS = ("n", "n_confident", "n_known", "n_right", "n_agreeing")  # of the same, by class and epoch

# The diagnostics of a fixed batch's loss, which has to be a function of weights and labelled pictures alone.
OF_PROBE = ("weight_gradients", "gradient_noise", "curvature", "weight_norm")

# What is measured of a layer while training: one of these, and then its name in the model, e.g. `layer1.0.conv1`.
GRADIENT = "gradient_of_layer_"  # root mean square of its gradients, of each step
UPDATE = "update_ratio_of_layer_"  # norm of a step's change of its weights by the norm of the weights
ACTIVATION = "activation_std_of_layer_"  # standard deviation of its outputs over a batch of train
DEAD = "dead_share_of_layer_"  # share of its units that are 0 for every picture of a batch of train; of ReLU alone
LAYER_QUANTITIES = (GRADIENT, UPDATE, ACTIVATION, DEAD)

RUN_IDENTITY = ("study", "variant", "run", "seed", "pretrained_on")
RUN_SETTINGS = tuple(f.name for f in dataclasses.fields(RunSpec) if f.name not in RUN_IDENTITY)
OF_PROCESSES: dict[str, Any] = {"devices": 1, "num_nodes": 1, "strategy": "auto"}  # as one process has them


@dataclasses.dataclass(frozen=True)
class Conduct:
    """How trainings are gone about: what shapes none of their numbers."""

    trackers: tuple[str, ...] = ()
    save_every_seconds: float = 30.0
    workers: int = 0


Measure = Literal["test_accuracy", "overfitting", "swing", "weight_norm"]  # of a training (`pawprint.claims`)


@validated(frozen=True, config=NESTED)
class Expectation:
    """What a claim expects of two runs, each `variant` or `variant/run`: one measure above the other, or sameness."""

    of: str
    measure: Measure | None = None  # with `above`
    above: str | None = None  # the run whose measure is lower
    same_as: str | None = None  # the run that is the same training, step by step

    def __post_init__(self) -> None:
        if (self.measure is None) == (self.same_as is None) or (self.measure is None) != (self.above is None):
            raise ValueError("expected either `measure` and `above`, or `same_as`")


@validated(frozen=True, config=NESTED)
class Claim:
    """What somebody said, and what would bear it out or speak against it (`pawprint.claims`)."""

    says: Annotated[str, Field(min_length=1)]
    confirmed_by: tuple[Expectation, ...] = ()
    refuted_by: tuple[Expectation, ...] = ()


@validated(frozen=True, config=STRICT)
class StudySettings:
    """What params.yaml holds besides the settings of a training."""

    study: Annotated[str, Field(min_length=1, max_length=100)]  # W&B refuses groups of more than 128
    data: DataSettings
    variants: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]  # name → delta: settings, `seeds`, `runs`
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0, 1)
    pretrained_source: Literal["none", "imagenet", "drawn_animals", "folder"] = "none"  # of `pretrained: true`
    pretrain: dict[str, Any] = dataclasses.field(default_factory=dict)  # the source task: `data`, `seed` and settings
    questions: dict[str, list[str]] = dataclasses.field(default_factory=dict)  # name → the variants that answer
    asks: dict[str, str] = dataclasses.field(default_factory=dict)  # a question's name → the question in words
    asks_zh: dict[str, str] = dataclasses.field(default_factory=dict)  # the same in Chinese
    language: Literal["en", "zh"] = "en"  # of the questions in the report; its readings are English
    claims: dict[str, Claim] = dataclasses.field(default_factory=dict)  # name → what somebody said, and its test
    checks: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)  # name → level and settings
    probes: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)  # name → settings
    probed: tuple[str, ...] = ()  # the variants that `probe` looks into
    exported: tuple[str, ...] = ()  # the variants that are handed on: files (`export`) and a model card each
    compressed: tuple[str, ...] = ()  # the variants of which `compress` makes smaller models
    compress: dict[str, Any] = dataclasses.field(default_factory=dict)  # `CompressSettings`
    trackers: tuple[Literal["dvclive", "wandb", "tensorboard"], ...] = ()
    save_every_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0  # of the resumable state
    workers: Annotated[int, Field(ge=0, le=64)] = 0  # processes that make batches ahead; 0: the training's own

    @property
    def conduct(self) -> Conduct:
        return Conduct(self.trackers, self.save_every_seconds, self.workers)


@validated(frozen=True, config=STRICT)
class CompressSettings:
    """How smaller models are made of a variant's (`compress:` in params.yaml)."""

    calibration_pictures: Annotated[int, Field(ge=1, le=MOST)] = 256  # of train, by which int8's ranges are set
    most_points_lost: Annotated[float, Field(ge=0, le=100)] = 0.5  # of val accuracy, with which int8 is content
    weights_percent: Annotated[float, Field(gt=0, lt=100)] = 70.0  # set to zero, one by one
    channels_percent: Annotated[float, Field(gt=0, lt=100)] = 40.0  # taken out, whole
    fine_tune: dict[str, Any] = dataclasses.field(default_factory=dict)  # settings of the training after pruning
    student: dict[str, Any] = dataclasses.field(default_factory=dict)  # settings of the smaller model and its training
    darker: Annotated[float, Field(ge=0, lt=1)] = 0.8  # what test's pixels are multiplied by, for robustness
    turned: Annotated[float, Field(gt=0, lt=360)] = 60.0  # degrees counter-clockwise that test is turned, for the same


@dataclasses.dataclass(frozen=True)
class Split:
    """One part of the data, in memory or memory-mapped."""

    names: list[str]
    images: np.ndarray  # (N, H, W, C) uint8
    labels: np.ndarray  # (N,) int64, index into class_names

    def __len__(self) -> int:
        return len(self.names)


@dataclasses.dataclass(frozen=True)
class Data:
    """A prepared data set."""

    train: Split
    val: Split
    test: Split
    unlabelled: Split | None  # labels that are hidden, and measured by; -1 where nobody knows
    class_names: list[str]
    image_shape: tuple[int, int, int]  # (C, H, W)
    mean: tuple[float, ...]  # per channel, of train's pixels in [0, 1], the unlabelled ones among them
    std: tuple[float, ...]
    split_hash: str  # sha256 of the split as text
    content_hash: str  # sha256 of pictures, labels and split
    resize: str | None = None  # how files were brought to image_shape, in words; None: pawprint did not do it


@dataclasses.dataclass(frozen=True)
class LossTerms:
    """What an objective returns: the scalar to descend, and its parts for the record."""

    total: torch.Tensor  # () with graph
    parts: dict[str, torch.Tensor]  # name → () detached
    of_classes: dict[str, torch.Tensor] = dataclasses.field(default_factory=dict)  # name → counts (K,)


SCORES = ("loss", "accuracy", "balanced_accuracy", "macro_f1")  # of an `Evaluation`


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A model's answers on one split."""

    loss: float  # mean cross-entropy, nats
    accuracy: float  # share, 0 to 1
    balanced_accuracy: float  # mean over classes of the share of their pictures found (recall)
    macro_f1: float  # mean over classes of F1
    probabilities: np.ndarray  # (N, K) float32

    @property
    def scores(self) -> dict[str, float]:
        """What is logged and tabulated of it."""
        return {name: getattr(self, name) for name in SCORES}


@dataclasses.dataclass
class TrainState:
    """All that a training needs to go on, beside torch's generator; the only record that changes."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler | None
    step: int  # optimizer steps done
    examples_seen: int
    ema: torch.optim.swa_utils.AveragedModel | None = None  # of the weights, where they are averaged
    scaler: torch.amp.GradScaler | None = None  # of the loss, in half precision


@dataclasses.dataclass(frozen=True)
class Finding:
    """The outcome of a check or probe: a value, and the verdict on it.

    `passed` is None where there is no pass or fail, only a measurement.
    """

    name: str
    question: str
    numbers: dict[str, float]
    passed: bool | None
    limit: str  # what `passed` was judged by
    reading: str  # one sentence made from the numbers
    remedy: str | None = None
    figure: Figure | None = None
    table: tuple[dict[str, Any], ...] = ()  # what was found, one by one, where the reading names but the first
    drop_from_train: tuple[str, ...] = ()  # names of training pictures to leave out

    def as_json(self) -> dict[str, Any]:
        """The verdict and what it stands on, ready for `json.dump`; not what a file of its own holds."""
        elsewhere = ("figure", "table", "drop_from_train")
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in elsewhere}


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What became of one training; written as run.json beside its weights."""

    id: str  # hash of settings, data and code
    spec: RunSpec
    outcome: Literal["finished", "diverged"]
    reading: str  # one sentence: how it ended
    n_parameters: int
    steps: int
    selection: str  # the rule that chose the checkpoint
    selected_epoch: int  # 0: the untrained weights, when no epoch ended with a finite validation loss
    val: dict[str, float]  # loss, accuracy, balanced_accuracy, macro_f1 of the chosen checkpoint
    test: dict[str, float]
    device: str
    versions: dict[str, str]


@dataclasses.dataclass(frozen=True)
class TrainOutputs:
    """Where a variant's training leaves its results."""

    models: Path  # <run>-s<seed>/weights.safetensors and run.json below it
    curves: Path  # <run>-s<seed>-steps.csv and -epochs.csv below it
    metrics: Path  # one JSON for the variant


def short_number(value: float) -> str:
    """`0.001` as `1e-3`, `0.0005` as `5e-4`, `0.3` as `3e-1`: short, and the same for equal values."""
    mantissa, exponent = f"{value:.6e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}" if value else "0"

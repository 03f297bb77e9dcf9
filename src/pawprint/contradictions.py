"""Settings that are each valid, and together cannot work: told before anything runs. Each fault begins with a name."""

import math
from itertools import pairwise

from pawprint.types import OF_PROBE, DataSettings, RunSpec

DRAWN_CLASSES = {"procedural": 37, "drawn_animals": 40}  # of the sources that draw as many pictures as one asks for
GREY = ("digits", "fashion_mnist")  # sources of one channel
MOST_DRAWN_BYTES = 100e9  # pictures as they are packed; drawing that many would take weeks
FALL_TO_A_FLOOR = ("exponential", "cosine", "linear", "warmup_cosine", "cyclic", "restarts", "plateau")
OF_LAYERS = "diagnostics of layers alone: layer_gradients, layer_updates, activations, histograms"
MOST_PARAMETERS = 10**8  # of an MLP: 1.6 GB with gradients and Adam's two averages; ResNet-18 has 11 million


def of_run(spec: RunSpec) -> list[str]:
    """Faults of one training, whatever its data."""
    faults = []
    if spec.nesterov and spec.optimizer in ("sgd", "lars") and spec.momentum == 0:
        faults.append("nesterov needs momentum > 0, found 0")
    if spec.objective == "distill":
        faults.append(
            "objective: distill learns from a teacher, which no variant has; the stage compress trains a student so:"
            " name the teacher in `compressed`, the student's settings in `compress.student`"
        )
    faults += _of_schedule(spec) + _of_labels(spec) + _of_processes(spec)
    beyond = [number for number in spec.mlp_layer_norm if number > len(spec.mlp_widths)]
    if beyond and spec.model == "mlp":
        faults.append(f"mlp_layer_norm: there are {len(spec.mlp_widths)} hidden layers, found {beyond}")
    if spec.pretrained and spec.model != "resnet18":
        faults.append(f"pretrained: true has weights for resnet18 only, found model: {spec.model}")
    if spec.lr_scaling == "adam_full" and spec.optimizer not in ("adam", "adamw"):
        faults.append(f"lr_scaling: adam_full is a rule for adam and adamw, found optimizer: {spec.optimizer}")
    if spec.lr_scaling == "adam_full" and min(spec.scaled_betas) < 0:
        betas = f"betas {list(spec.betas)} become {[round(beta, 4) for beta in spec.scaled_betas]}"
        faults.append(
            f"lr_scaling: adam_full: a batch of {spec.batch_size} is {spec.batch_ratio:g} times lr_base_batch_size,"
            f" for which {betas}; expected none below 0: lower batch_size, or raise betas"
        )
    return faults + _of_diagnostics(spec)


def _of_labels(spec: RunSpec) -> list[str]:
    """Labels that are smoothed or mixed, where the loss has no use for such."""
    faults = []
    if spec.label_smoothing and spec.loss != "cross_entropy":
        faults.append(f"label_smoothing is cross_entropy's, found loss: {spec.loss}")
    if spec.mixing != "none" and spec.loss == "hinge":
        faults.append(f"mixing: {spec.mixing} makes labels of shares, of which loss: hinge can make nothing")
    if spec.mixing != "none" and spec.class_weights == "balanced":
        faults.append(
            f"mixing: {spec.mixing} gives a picture several classes, and class_weights: balanced weighs it by one;"
            " expected class_weights: none"
        )
    return faults


def _of_processes(spec: RunSpec) -> list[str]:
    """Several processes, whose mean would not be that of the whole batch."""
    faults, n = [], spec.n_processes
    if spec.batch_size % n:
        faults.append(
            f"batch_size: {spec.batch_size} examples are shared by devices x num_nodes = {n} processes alike; expected"
            f" a multiple of {n}"
        )
    if n > 1 and spec.class_weights == "balanced":
        faults.append(
            "class_weights: balanced divides by the weights of a batch, and each of several processes knows its share"
            " alone; expected class_weights: none (sampling: balanced does alike), or devices: 1"
        )
    if n > 1 and spec.mixing != "none":
        faults.append(
            f"mixing: {spec.mixing} takes the batch whole, and each of several processes has its share alone; expected"
            " mixing: none, or devices: 1"
        )
    return faults


def _of_diagnostics(spec: RunSpec) -> list[str]:
    """Diagnostics of what the training has not: a loss of each example by itself."""
    faults = []
    of_probe = [name for name in spec.diagnostics if name in OF_PROBE]
    if of_probe and spec.objective != "supervised":
        faults.append(
            f"diagnostics: {', '.join(of_probe)}: measured on labelled pictures alone, which is not the loss of"
            f" objective: {spec.objective}; expected {OF_LAYERS}"
        )
    if of_probe and spec.dropout:
        faults.append(
            f"diagnostics: {', '.join(of_probe)}: with dropout the loss differs each time it is asked for; expected"
            f" dropout: 0, or {OF_LAYERS}"
        )
    by_itself = [name for name in spec.diagnostics if name in ("gradient_noise", "curvature")]
    if by_itself and spec.model != "mlp":
        faults.append(
            f"diagnostics: {', '.join(by_itself)}: {spec.model}'s batch normalization makes an example's loss depend on"
            " the others of its batch; expected model: mlp, or weight_gradients alone"
        )
    if "gradient_noise" in by_itself and spec.class_weights == "balanced":
        faults.append(
            "diagnostics: gradient_noise: class_weights: balanced divides by the weights of a batch, so that an example"
            " has no gradient of its own; expected class_weights: none, or diagnostics without gradient_noise"
        )
    return faults


def _of_schedule(spec: RunSpec) -> list[str]:
    faults = []
    if spec.lr_floor > spec.scaled_lr and spec.scheduler in FALL_TO_A_FLOOR:
        faults.append(f"lr_floor: {spec.lr_floor:g} is above the rate {spec.scaled_lr:g} that falls to it")
    if spec.scheduler == "warmup_cosine" and spec.warmup_epochs >= spec.epochs:
        faults.append(
            f"warmup_epochs: {spec.warmup_epochs} of {spec.epochs} epochs leave none for the cosine; expected fewer"
        )
    return faults


def of_run_with_data(spec: RunSpec, data: DataSettings) -> list[str]:
    """Faults of one training of these pictures: a model that fits into no memory, or that they do not fit."""
    if spec.model == "cnn" and 2 ** len(spec.cnn_widths) > data.image_size:
        return [
            f"cnn_widths: {len(spec.cnn_widths)} convolutions halve {data.image_size} px to nothing; expected at most"
            f" {int(math.log2(data.image_size))}"
        ]
    if spec.model != "mlp":
        return []
    n_channels = 1 if data.source in GREY else 3
    n_parameters = sum(math.prod(pair) for pair in pairwise([n_channels * data.image_size**2, *spec.mlp_widths]))
    if n_parameters <= MOST_PARAMETERS:
        return []
    return [
        f"mlp_widths: {list(spec.mlp_widths)} for pictures of {data.image_size} px are {n_parameters:.2g} parameters;"
        f" expected at most {MOST_PARAMETERS:.0e}: lower mlp_widths or data.image_size"
    ]


def of_data(data: DataSettings) -> list[str]:
    """Faults of a section `data`, whatever the pictures are."""
    faults = []
    n_classes = len(data.classes) or DRAWN_CLASSES.get(data.source, 0)
    n_pictures = data.n_per_class * n_classes if data.source in DRAWN_CLASSES else 0
    pixels = max(data.draw_pixels, data.image_size)
    n_bytes = 3 * n_pictures * pixels**2
    if n_bytes > MOST_DRAWN_BYTES:
        faults.append(
            f"n_per_class: {data.n_per_class} a class are {n_pictures:,} pictures of {pixels} px, {n_bytes / 1e9:,.0f}"
            f" GB; expected at most {MOST_DRAWN_BYTES / 1e9:g}: lower it, image_size or draw_pixels"
        )
    is_split_by_us = data.source in (*DRAWN_CLASSES, "digits") and data.split_file is None
    if is_split_by_us and data.val_percent + data.test_percent >= 100:
        faults.append(
            f"val_percent {data.val_percent:g} and test_percent {data.test_percent:g} leave nothing for training;"
            " expected less than 100 together"
        )
    if data.source in ("folder", "food11") and data.path is None:
        faults.append("path: not set; pictures of a folder need one, or a .zip")
    return faults + _of_classes(data)


def _of_classes(data: DataSettings) -> list[str]:
    """Classes that are none, and more labels than a class has pictures."""
    faults = []
    if data.classes and len(set(data.classes)) < max(2, len(data.classes)):
        faults.append(f"classes: expected two or more, each once, found {list(data.classes)}")
    limits = {
        "n_per_class": data.n_per_class if data.source in DRAWN_CLASSES else 0,
        "max_per_class": data.max_per_class,
    }
    faults += [
        f"labels_per_class: {data.labels_per_class} of the {most} pictures of a class ({name}); expected fewer"
        for name, most in limits.items()
        if 0 < most < data.labels_per_class
    ]
    return faults

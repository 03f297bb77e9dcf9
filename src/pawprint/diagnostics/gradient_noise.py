"""How much of a step's gradient is the luck of its batch.

Question: would a larger batch, or a longer average, see the way down better? Method: the simple noise scale of
McCandlish et al., arXiv 1812.06162: the trace S of the covariance of single examples' gradients, against the square of
the true gradient G. S is estimated without bias from the gradients of the probe's first examples, one by one
(torch.func's vmap over grad); |G|² from the mean gradient g of all n examples of the probe, as |g|² less the noise that
is left in it (their appendix A.1, with batches of 1 and n). An epoch draws its N examples without putting any back, so
the noise of a batch of B is S / B (1 - B / N): none where the batch is the whole set.

Limits: |G|² is what is left of a difference, and may be below 0 where the gradient is lost in the probe's own noise: it
is told as it is, and counts as 0 in the share. The examples are not augmented; augmentation adds noise of its own. Each
example's loss must be its own: batch normalization mixes them, and so do class weights (they are divided by the
batch's sum); `contradictions` refuses both. S sums over all weights: that of single directions may be quite another.
"""

import math

import torch
from torch.func import functional_call, grad, vmap

from pawprint.diagnostics.probe_loss import Examples, ProbeLoss

CHUNK_VALUES = 2**22  # of gradients held at a time: 16 MiB in float32, which a processor's cache nearly holds


def gradient_noise(probe: ProbeLoss, batch_size: int, n_train: int) -> dict[str, float]:
    """Of the loss's gradient, all in units of the loss and the weights.

    probe_loss        mean loss of the probe
    gradient_norm     |g|, noise of the probe included
    gradient_square   |G|², without bias
    noise_trace       S
    noise_norm        root of the expected square of a batch's noise
    noise_scale       S / |G|², examples: the batch whose noise is as large as the gradient; NaN where |G|² <= 0
    noise_share       of the expected square of a batch's gradient, the part that is noise, 0 to 1
    """
    norm = torch.linalg.vector_norm(probe.slope.gradient.double()).item()
    trace = noise_trace(probe)
    square = norm**2 - _noise(trace, len(probe.examples["labels"]), n_train)
    noise = _noise(trace, batch_size, n_train)
    expected = max(square, 0.0) + noise
    return {
        "probe_loss": probe.slope.loss,
        "gradient_norm": norm,
        "gradient_square": square,
        "noise_trace": trace,
        "noise_norm": math.sqrt(noise),
        "noise_scale": trace / square if square > 0 else math.nan,
        "noise_share": noise / expected if expected else math.nan,
    }


def noise_trace(probe: ProbeLoss) -> float:
    """Trace of the covariance of the costly examples' gradients, its denominator one less than their number."""
    weights = {name: value.detach() for name, value in probe.weights.items()}

    def loss_of_one(at: dict[str, torch.Tensor], example: Examples) -> torch.Tensor:
        loss: torch.Tensor = functional_call(probe, at, ({name: value[None] for name, value in example.items()},))
        return loss

    each = vmap(grad(loss_of_one), in_dims=(None, 0), randomness="different")
    n_examples = len(probe.costly["labels"])
    n_at_a_time = max(1, CHUNK_VALUES // sum(value.numel() for value in weights.values()))
    squares, totals = 0.0, {name: torch.zeros_like(value, dtype=torch.double) for name, value in weights.items()}
    for start in range(0, n_examples, n_at_a_time):
        chunk = {name: values[start : start + n_at_a_time] for name, values in probe.costly.items()}
        for name, gradients in each(weights, chunk).items():  # (n, *shape)
            squares += torch.linalg.vector_norm(gradients.flatten(1), dim=1).double().square().sum().item()
            totals[name] += gradients.sum(dim=0)
    of_mean = sum(total.square().sum().item() for total in totals.values()) / n_examples
    return max(squares - of_mean, 0.0) / (n_examples - 1) if n_examples > 1 else math.nan


def _noise(trace: float, n_drawn: int, n_all: int) -> float:
    """Expected square of how far the mean gradient of `n_drawn` of `n_all` examples is from that of all."""
    return trace * (1 / n_drawn - 1 / n_all) if n_drawn < n_all else 0.0

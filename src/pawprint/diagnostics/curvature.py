"""How the loss bends: the most, where it bends down, along the gradient, and along the step that was taken.

Question: is a step too long or too short for the ground it is on, and is that ground a bowl, a saddle or a plain?
Method: products with the Hessian of the probe's loss (curvlinops' HessianLinearOperator), never the matrix itself. Its
outermost eigenvalues by Lanczos' method (scipy's eigsh) from a start vector that is a function of the seed. Gradient
descent on a quadratic diverges where learning rate × largest eigenvalue exceeds 2; with momentum b, as torch has it,
2 (1 + b); with Nesterov's, 2 (1 + b) / (1 + 2 b) (Cohen et al., arXiv 2103.00065, appendix B). Curvature along a
direction d is dᵀHd / dᵀd.

Along the step, H and the gradient are those of where it began. So -slope × length is what the step promised, and
½ curvature × length² what the bend took of it, for every optimizer, where the bounds above are for SGD alone (an
adaptive rate has its own, arXiv 2207.14484).

Limits: H is that of the probe's first examples: with 512 of Fashion-MNIST's 60,000 the largest eigenvalue was up to
a third from that of 8,192, mostly above it. `TOLERANCE` leaves the largest exact to three digits there; the smallest,
which is crowded by others, is up to 5 % too high. Where the loss is piecewise linear (ReLU, hinge), the Hessian does
not see the kinks. Weight decay is left out: SGD's adds itself to every eigenvalue. Batch normalization has no Hessian
here: `contradictions` refuses it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from pawprint.diagnostics.probe_loss import ProbeLoss, flat
from pawprint.seeding import generator

if TYPE_CHECKING:
    from curvlinops import HessianLinearOperator

TOLERANCE = 0.2  # eigsh: of an eigenvector's residual, as a share of its eigenvalue; that one's error is of its square
N_VECTORS = 30  # of Lanczos' method: products before the first look at the tolerance, which they mostly meet
MOST_RESTARTS = 10
N_DENSE = N_VECTORS  # weights up to which the whole matrix is made: Lanczos' method wants more


@contextmanager
def _quiet() -> Iterator[None]:
    """Not told that torch.jit goes: it is torch itself and a package of curvlinops that use it, once each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is", FutureWarning)
        yield


@_quiet()
def curvature(probe: ProbeLoss, lr: float, seed: int) -> dict[str, float]:
    """At the weights as they are; NaN where the loss is not finite, or Lanczos' method found no end.

    eigenvalue_max, eigenvalue_min    of the Hessian
    curvature_along_gradient
    lr_times_eigenvalue               lr × eigenvalue_max, to be held against `stability_bound`
    """
    gradient = probe.slope.gradient
    hessian = hessian_of(probe)
    smallest, largest = outermost(hessian, seed) if gradient.isfinite().all() else (math.nan, math.nan)
    return {
        "eigenvalue_max": largest,
        "eigenvalue_min": smallest,
        "curvature_along_gradient": along(hessian, gradient),
        "lr_times_eigenvalue": lr * largest,
    }


@_quiet()
def curvature_along_step(probe: ProbeLoss, after: nn.Module) -> dict[str, float]:
    """Of the step from the probe's weights to those of the model `after`; NaN where there was none.

    step_norm               its length
    slope_along_step        of the probe's loss at its start, by unit of length; negative: downhill
    curvature_along_step    at its start
    gradient_cosine         between the probe's gradients before and after: -1 where they turn round
    """
    weights = probe.weights_of(after)
    step = flat(weights.values()) - flat(probe.weights.values())
    gradient, gradient_after = probe.slope.gradient, probe.slope_at(weights).gradient
    length = torch.linalg.vector_norm(step.double()).item()
    return {
        "step_norm": length,
        "slope_along_step": _dot(gradient, step) / length if length else math.nan,
        "curvature_along_step": along(hessian_of(probe), step),
        "gradient_cosine": _cosine(gradient, gradient_after),
    }


def stability_bound(optimizer: torch.optim.Optimizer) -> float:
    """What lr × eigenvalue must not exceed; NaN for optimizers other than SGD."""
    if not isinstance(optimizer, torch.optim.SGD):
        return math.nan
    group = optimizer.param_groups[0]
    momentum = float(group["momentum"])
    return 2 * (1 + momentum) / (1 + 2 * momentum if group["nesterov"] else 1)


def hessian_of(probe: ProbeLoss) -> HessianLinearOperator:
    """A (P, P) operator: `@` multiplies it with a vector (P,)."""
    from curvlinops import HessianLinearOperator  # takes half a second

    weights = [weight for weight in probe.parameters() if weight.requires_grad]
    n = len(probe.costly["labels"])
    return HessianLinearOperator(
        probe, _LossItself(), weights, [(probe.costly, probe.costly["labels"])], check_deterministic=False,
        num_data=n, batch_size_fn=lambda examples: len(examples["labels"]),
    )  # fmt: skip


def along(hessian: HessianLinearOperator, direction: torch.Tensor) -> float:
    """Curvature along a direction (P,) of any length; NaN where it has none, or is not finite."""
    length = torch.linalg.vector_norm(direction)
    if not length.isfinite() or not length:
        return math.nan
    unit = direction / length
    return _dot(unit, hessian @ unit)


def outermost(hessian: HessianLinearOperator, seed: int) -> tuple[float, float]:
    """The smallest and the largest eigenvalue."""
    from scipy.sparse.linalg import ArpackError, eigsh
    from threadpoolctl import threadpool_limits

    n = hessian.shape[0]
    if n <= N_DENSE:
        matrix = (hessian @ torch.eye(n, dtype=hessian.dtype, device=hessian.device)).double()
        eigenvalues = torch.linalg.eigvalsh((matrix + matrix.T) / 2)
        return eigenvalues[0].item(), eigenvalues[-1].item()
    kind = np.float64 if hessian.dtype == torch.float64 else np.float32
    chance = generator("curvature", seed)
    start = chance.standard_normal(n).astype(kind)
    operator = hessian.to_scipy(kind)
    if not operator.matvec(start).any():
        return 0.0, 0.0  # a plain, on which Lanczos' method finds no second vector
    try:
        with threadpool_limits(1):  # NumPy's own threads would change the last digits
            values = eigsh(operator, k=2, which="BE", v0=start, ncv=N_VECTORS, tol=TOLERANCE,
                           maxiter=MOST_RESTARTS, return_eigenvectors=False, rng=chance)  # fmt: skip
    except ArpackError:
        return math.nan, math.nan
    return float(min(values)), float(max(values))


class _LossItself(nn.Module):
    """For curvlinops, which puts a loss behind the model: ours has it inside."""

    reduction = "mean"

    def forward(self, loss: torch.Tensor, _labels: torch.Tensor) -> torch.Tensor:
        return loss


def _dot(one: torch.Tensor, other: torch.Tensor) -> float:
    return torch.dot(one.double(), other.double()).item()


def _cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    lengths = torch.linalg.vector_norm(one.double()) * torch.linalg.vector_norm(other.double())
    return _dot(one, other) / lengths.item() if lengths else math.nan

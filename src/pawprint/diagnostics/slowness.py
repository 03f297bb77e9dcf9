"""Why training is slow where it is slow: saddle, flat, step too small, bouncing or converged.

Question: the loss hardly falls; is there nothing left to gain, is the ground at fault, or the step? Method: a training
is cut into windows of equal length. Of each, from what `gradient_noise` and `curvature` measured in it and from the
loss of every step, all as shares of the window's mean loss, for n steps:

    fall          of the loss, by its trend over the window (least squares), with its standard error
    promise       n × mean of -gᵀd: what the steps d would bring, were the ground as it slopes at their start
    cost          n × mean of ½ dᵀHd: what the bend of the ground takes of it
    attainable    n × ½ |G|² (1 - noise share) / λ: what steps of 1/λ are sure to bring, λ being the eigenvalue that is
                  largest by size (descent lemma), less what the noise of the batch costs (McCandlish et al., arXiv
                  1812.06162, eq. 2.7); never more than `remaining`
    remaining     |G|² / 2h: what there is to gain along the gradient, where the curvature h along it is positive

The rule, in this order; the first that holds is the verdict:

    descending      fall >= SLOW, and beyond 2 standard errors
    bouncing        remaining and cost >= SLOW, and cost >= half the promise: the steps end past the lowest point of
                    their line, and shorter ones would gain more. Also where the loss rises as surely as it would have
                    to fall, or is no number any more
    step too small  attainable >= SLOW, at a rate below 1/λ: longer steps are stable and would gain
    saddle          λ_min <= -NEGATIVE λ_max, and at this rate a deviation along it grows e-fold within the window
    converged       remaining < SLOW, and the ground bends up enough to be felt within the window, at the highest rate
                    so far
    flat            none of these: the gradient is lost in noise or near nothing, and so is the bend; or (a ravine's
                    floor) what is left lies along what is flat beside the steepest wall, which limits the step

SLOW is 1 % of the loss in a window: a whole training of six such windows would take 6 % off. NEGATIVE is 0.1: in MLPs
on Fashion-MNIST the smallest eigenvalue was -0.5 to -8 % of the largest after the first epochs, whatever the loss did.

Limits. A window tells one thing: more of them find what is short, and have fewer steps to tell a fall from noise by (of
30 epochs of Fashion-MNIST in batches of 256 six could, and of ten the last three could not). `converged` is said of the
ground as its gradient and steepest directions show it: where a schedule had let the rate fall to nothing, 0.1 % of the
loss was left along the gradient, and a rate that stayed would have gone on down a floor that is flatter than either. A
loss must be positive and 0 where all is well, as cross-entropy; a constant added to it hides what happens. The rate is
the length of a step by that of its gradient: for an adaptive optimizer a mean over very different ones, and 1/λ is what
plain descent could do.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from pawprint.errors import PawprintError

N_WINDOWS = 6
SLOW = 0.01  # fall of the loss in a window, share
SURE = 2.0  # standard errors of a fall
OVERSHOOT = 0.5  # cost by promise: 0.5 where a step ends at the lowest point of its line, 1 where it gains nothing
NEGATIVE = 0.1  # |λ_min| by λ_max
FELT = 1.0  # rate × curvature × steps: e-folds in a window
VERDICTS = ("descending", "bouncing", "step too small", "saddle", "converged", "flat")  # the first that holds
MEDIANS = (
    *("noise_share", "eigenvalue_max", "eigenvalue_min", "lr_times_eigenvalue", "stability_bound", "gradient_cosine"),
)
NEEDED = (
    *MEDIANS,
    *("gradient_square", "curvature_along_gradient", "step_norm", "slope_along_step", "curvature_along_step"),
)


@dataclass(frozen=True)
class Window:
    """What the rule judges by; shares are of the window's mean loss. Medians over its measurements, but as said."""

    first_step: int
    last_step: int
    loss: float  # mean
    fall: float  # share
    fall_error: float  # share, one standard error
    promise: float  # share, by the mean
    cost: float  # share, by the mean
    attainable: float  # share
    remaining: float  # share
    noise_share: float
    eigenvalue_max: float
    eigenvalue_min: float
    lr_times_eigenvalue: float
    stability_bound: float  # NaN: the optimizer has none
    gradient_cosine: float  # before and after a step
    rate: float  # length of a step by that of its gradient
    highest_rate: float  # of this window and those before

    @property
    def n_steps(self) -> int:
        return self.last_step - self.first_step + 1

    @property
    def sharpness(self) -> float:
        """The largest eigenvalue by size."""
        return max(self.eigenvalue_max, -self.eigenvalue_min)

    @property
    def is_descending(self) -> bool:
        return self.fall >= max(SLOW, SURE * self.fall_error)

    @property
    def is_bouncing(self) -> bool:
        if not math.isfinite(self.loss) or -self.fall >= max(SLOW, SURE * self.fall_error):
            return True
        return self.remaining >= SLOW and self.cost >= max(SLOW, OVERSHOOT * self.promise)

    @property
    def is_step_too_small(self) -> bool:
        return self.attainable >= SLOW and self.rate * self.sharpness < 1

    @property
    def is_at_saddle(self) -> bool:
        bends_down = -self.eigenvalue_min >= NEGATIVE * self.eigenvalue_max
        return bends_down and -self.eigenvalue_min * self.rate * self.n_steps >= FELT

    @property
    def is_converged(self) -> bool:
        return self.remaining < SLOW and self.eigenvalue_max * self.highest_rate * self.n_steps >= FELT


def verdicts(diagnostics: pd.DataFrame, steps: pd.DataFrame, n_windows: int = N_WINDOWS) -> pd.DataFrame:
    """A row a window: `verdict`, `reading` (a sentence with the numbers), and the fields of `Window`.

    `diagnostics` and `steps` are the tables of one training. A window in which nothing was measured has no row. Raises
    PawprintError where a quantity is missing: gradient_noise and curvature have to be measured both.
    """
    missing = [name for name in NEEDED if name not in set(diagnostics["quantity"])]
    if missing:
        raise PawprintError(
            f"diagnostics: {', '.join(missing)} not measured; expected both gradient_noise and curvature: "
            "set diagnostics: [gradient_noise, curvature]"
        )
    measured = diagnostics.pivot(index="step", columns="quantity", values="value")
    logged = steps.set_index("step")
    ends = np.linspace(0, len(logged), n_windows + 1).round().astype(int)
    rows, highest = [], 0.0
    for first, last in zip(ends[:-1] + 1, ends[1:], strict=True):
        points = measured.loc[first:last]
        if points.empty:
            continue
        window = _window(points, logged.loc[first:last], highest)
        highest = window.highest_rate
        verdict = judge(window)
        rows.append({"verdict": verdict, "reading": reading(window, verdict), **asdict(window)})
    return pd.DataFrame(rows)


def judge(window: Window) -> str:
    """One of VERDICTS, by the rule above."""
    holds = (
        window.is_descending, window.is_bouncing, window.is_step_too_small, window.is_at_saddle, window.is_converged,
        True,
    )  # fmt: skip
    return VERDICTS[holds.index(True)]


def reading(window: Window, verdict: str) -> str:
    """The verdict as a sentence made from the numbers that led to it."""
    w = window
    if not math.isfinite(w.loss):
        return f"{verdict}: in steps {w.first_step} to {w.last_step} the loss left the numbers"
    moved = f"{'fell' if w.fall >= 0 else 'rose'} by {_percent(abs(w.fall))} (± {_percent(w.fall_error)}) of its mean"
    return f"{verdict}: the loss {moved} in {w.n_steps} steps; {_because(w, verdict)}"


def _because(w: Window, verdict: str) -> str:
    taken = "the steps led uphill"
    if w.promise > 0:
        taken = f"the bend of the ground took {_percent(w.cost / w.promise)} of what its slope promised the steps"
    product = f"learning rate × largest eigenvalue is {w.lr_times_eigenvalue:.2g}"
    if not math.isnan(w.stability_bound):
        product += f" of at most {w.stability_bound:.2g}"
    left = "no end of it is in sight"
    if math.isfinite(w.remaining):
        left = f"{_percent(w.remaining)} of the loss is left along it"
    room = f"steps of 1/{w.sharpness:.2g}, {_times(w)} as long, would bring {_percent(w.attainable)}"
    match verdict:
        case "descending":
            return f"{taken}; {product}"
        case "bouncing":
            turns = f"from before a step to after it the gradient turns to a cosine of {w.gradient_cosine:.2f}"
            return f"{taken}; {product}, {turns}, and {left}"
        case "step too small":
            return f"{room}; {product}"
        case "saddle":
            grows = f"a deviation grows e-fold in {-1 / (w.eigenvalue_min * w.rate):.0f} steps"
            bends = f"the ground bends down by {-w.eigenvalue_min:.2g} (up by {w.eigenvalue_max:.2g})"
            return f"along the gradient steps would bring {_percent(w.attainable)}, but {bends}, where {grows}"
        case "converged":
            bends = f"bends up by {w.eigenvalue_max:.2g} (down by {max(-w.eigenvalue_min, 0):.2g})"
            return f"{_percent(w.remaining)} of the loss is left along the gradient, and the ground {bends}"
    return f"{room}; {_percent(w.noise_share)} of a step's gradient is noise, and {left}"


def _window(points: pd.DataFrame, logged: pd.DataFrame, highest_rate: float) -> Window:
    losses = logged["training_loss"].to_numpy()
    n, loss = len(losses), max(abs(float(np.mean(losses))), np.finfo(float).tiny)  # a loss of 0 has nothing left
    fall, error = _fall(losses)
    length, curvature = points["step_norm"], points["curvature_along_gradient"]
    square = points["gradient_square"].clip(lower=0)
    sharpness = np.maximum(points["eigenvalue_max"], -points["eigenvalue_min"])
    remaining = _ratio(square, 2 * curvature.clip(lower=0))
    attainable = np.minimum(n * _ratio(square * (1 - points["noise_share"]), 2 * sharpness), remaining)
    rate = (length / logged.loc[points.index, "gradient_norm_total"]).median()
    return Window(
        first_step=int(logged.index[0]),
        last_step=int(logged.index[-1]),
        loss=loss,
        fall=fall / loss,
        fall_error=error / loss,
        promise=n * (-points["slope_along_step"] * length).mean() / loss,
        cost=n * (points["curvature_along_step"] * length**2).mean() / 2 / loss,
        attainable=attainable.median() / loss,
        remaining=remaining.median() / loss,
        rate=rate,
        highest_rate=max(highest_rate, rate),
        **{name: points[name].median() for name in MEDIANS},
    )


def _fall(losses: np.ndarray) -> tuple[float, float]:
    """Of the straight line through the losses (n,), from the window's begin to its end, and its standard error."""
    n = len(losses)
    if n < 3 or not np.isfinite(losses).all():
        return math.nan, math.nan
    place = (np.arange(n) - (n - 1) / 2) / n  # its ends are one window apart
    slope = place @ losses / (place @ place)
    left = losses - losses.mean() - slope * place
    return -float(slope), math.sqrt(left @ left / (n - 2) / (place @ place))


def _ratio(one: pd.Series, other: pd.Series) -> pd.Series:
    """0 / 0 is 0: where there is no gradient, nothing is to be gained, whatever the ground."""
    return (one / other).where(one != 0, 0.0)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if abs(share) < 0.1 else f"{100 * share:,.0f} %"


def _times(w: Window) -> str:
    times = 1 / (w.rate * w.sharpness) if w.rate * w.sharpness else math.inf
    return f"{times:.2g} times" if times < 10 else f"{float(f'{times:.2g}'):,.0f} times"

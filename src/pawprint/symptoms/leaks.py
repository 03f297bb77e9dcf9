"""Is validation too good for what is learned?

Two signs. *Beside another set*: where the epochs have test_accuracy (`epoch_curves: [test]`), validation is better than
it by more than GAP: what helps with validation does not help with other pictures. *Beside train*: once the training
loss has come down to a LEARNED-th of its beginning, which pictures that were not learned from follow with a gap,
validation's loss is no higher than train's in most of the epochs of the second half.

Limits: a task so easy that nothing is learned by heart has no gap either; augmentation, dropout and mixing raise the
training loss and hide or feign the second sign, which is then left out. A leak into test and validation alike does not
show here; `checks.leakage` looks at the pictures themselves.
"""

from __future__ import annotations

import numpy as np

from pawprint.symptoms import Curves, Facts, Remedy, Symptom
from pawprint.symptoms.measures import by_epoch, grade, start

GAP = 0.1  # of accuracy
LEARNED = 0.03
BESIDE = 1.2  # validation's loss against train's
MOST = 0.7  # of the epochs of the second half

REMEDIES = (
    Remedy("look for copies: `checks.leakage` in params.yaml, with `on_leak: drop_from_train`"),
    Remedy("split by subject and look at what marks a class in the pictures: borders, corners, names"),
)


def leak(curves: Curves, facts: Facts) -> Symptom | None:
    """Validation is too good for what is learned."""
    val, test = by_epoch(curves, "val_accuracy"), by_epoch(curves, "test_accuracy")
    both = val.index.intersection(test.index)
    if len(both) > 1:
        late = both[len(both) // 2 :]
        gap = float((val[late] - test[late]).mean())
        if gap > GAP:
            said = (
                f"validation accuracy is {val[late].mean():.2f} where test's is {test[late].mean():.2f} (mean over "
                f"epochs {late[0]} to {late[-1]})"
            )
            return Symptom("leak", grade(gap, GAP, 4 * GAP), said, {"gap": gap}, REMEDIES)
        return None
    return _beside_train(curves, facts)


def _beside_train(curves: Curves, facts: Facts) -> Symptom | None:
    losses, training = by_epoch(curves, "val_loss"), by_epoch(curves, "training_loss")
    began = start(curves, facts)
    half = losses.index.intersection(training.index)
    half = half[half > half.max() / 2] if len(half) else half
    if len(half) < 3 or not began > 0 or _is_harder_to_train(facts):
        return None
    learned = training[half] < LEARNED * began
    if learned.sum() < 3:
        return None
    ratio = (losses[half] / training[half])[learned]
    share = float(np.mean(ratio < BESIDE))
    if share < MOST:
        return None
    sure = 0.5 + 0.4 * share * (1.0 if facts.spec is not None else 0.3)
    last = half[-1]
    said = (
        f"the training loss came from {began:.3g} to {training[last]:.3g} and validation's with it, to "
        f"{losses[last]:.3g}: no gap in {100 * share:.0f} % of the epochs from {half[0]} on"
    )
    return Symptom("leak", sure, said, {"share": share, "ratio": float(ratio.median())}, REMEDIES)


def _is_harder_to_train(facts: Facts) -> bool:
    """Whether what raises the training loss alone is set."""
    spec = facts.spec
    return spec is not None and bool(
        spec.random_flip or spec.random_crop_percent or spec.dropout or spec.augmentation == "strong"
        or spec.color_jitter or spec.mixing != "none" or spec.label_smoothing or spec.resized_crop_area < 1
        or spec.loss != "cross_entropy"
    )  # fmt: skip

"""What answering by several views of a picture costs in time, against one pass over the pictures as they are.

The probe `tta` counts forward passes, which are the same on every machine; here they are timed, with the making of the
views and the averaging. The same untrained ResNet-18, one thread, pictures of noise in memory, each set of views in
turn with the plain pass: a ratio near the number of passes says that these are the cost. Ways of averaging differ by
no time to speak of; mean of probabilities stands for all.
"""

from functools import partial

from benchmarks.ratio import Comparison, in_turn, timed
from benchmarks.step import noise
from benchmarks.threads import threads
from pawprint.data.batches import in_order
from pawprint.models import build_model
from pawprint.test_time_augmentation import augmented_probabilities, view_sets
from pawprint.training.evaluate import BATCH_SIZE, log_probabilities
from pawprint.types import Data, RunSpec

N_PICTURES = BATCH_SIZE
PLACES = {32: 5, 64: 3}  # side of the picture, pixels → repeats


def run() -> list[Comparison]:
    """A comparison for each picture size and set of views, on one thread as every evaluation of the graph."""
    with threads(1):
        return [row for pixels, repeats in PLACES.items() for row in compare(noise(pixels, N_PICTURES), repeats)]


def compare(data: Data, repeats: int) -> list[Comparison]:
    """Each set of views against the plain pass, over the train pictures of `data`."""
    spec = RunSpec(study="bench", variant="tta", run="tta", seed=0, accelerator="cpu")
    model = build_model(spec, data)
    batches = [images for images, _ in in_order(data.train, BATCH_SIZE)]
    sets = {name: list(views.values()) for name, views in view_sets(data.mean).items()}
    answer = partial(log_probabilities, model, data=data)
    works = {"plain": timed(partial(answer, batches))}
    for name, views in sets.items():
        works[name] = timed(partial(augmented_probabilities, answer, batches, views, "probabilities"))
    seconds = in_turn(works, repeats)
    return [
        Comparison(
            f"tta, {name}, {len(views)} passes, {data.image_shape[1]} px", "one pass, pictures as they are",
            seconds[name], seconds["plain"],
        )
        for name, views in sets.items()
    ]  # fmt: skip

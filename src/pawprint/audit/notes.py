"""What is said about a work besides the tests: what was read, how it is fed, what stands in for what is missing."""

from typing import Any

from pawprint.audit.feed import Encoded
from pawprint.audit.parts import TESTED, Part, Parts
from pawprint.audit.work import Work
from pawprint.data.statistics import Statistics

NEAR = 1e-4  # statistics that differ by less are the same


def what_is_fed(parts: Parts) -> dict[str, dict[str, Any]]:
    """Of each part its size and how it is fed, ready for JSON."""
    return {name: _described(part) for name, part in parts.by_name.items()} | (
        {"classes": {"n": len(parts.class_names), "names": parts.class_names}} if parts.by_name else {}
    )


def notes_on(work: Work, parts: Parts) -> list[str]:
    """Sentences, each about one thing that a reader of the findings should know."""
    notes = [f"{function}(): its data could not be read: {fault}" for function, fault in parts.faults.items()]
    notes += _grouped({f"{name} {_counted(part)}": _looks(part) for name, part in parts.by_name.items()}, "{0}: {1}")
    notes += _grouped({name: _fed(part) for name, part in parts.by_name.items()}, "normalization of {1}: {0}")
    for name, part in parts.by_name.items():
        notes += _peculiar(name, part)
    notes += _disagreements(parts)
    if "get_model" in work.functions:
        notes += _stand_ins(work)
    return notes


def _described(part: Part) -> dict[str, Any]:
    pictures, statistics = part.pictures, part.feed.statistics
    return {
        "n_offered": pictures.n_offered,
        "n_read": len(pictures),
        "form": pictures.form,
        "n_channels": pictures.n_channels,
        "smallest": list(pictures.sizes[0]),
        "largest": list(pictures.sizes[-1]),
        "is_random": pictures.is_random,
        "mean": list(statistics.mean),
        "std": list(statistics.std),
        "normalization": part.feed.by,
        "certainty": part.feed.certainty,
    }


def _grouped(texts: dict[str, str], sentence: str) -> list[str]:
    """One sentence a text: {0} is the text, {1} what it is said of."""
    return [
        sentence.format(text, ", ".join(k for k, t in texts.items() if t == text))
        for text in dict.fromkeys(texts.values())
    ]


def _counted(part: Part) -> str:
    n, n_offered = len(part.pictures), part.pictures.n_offered
    return f"{n:,}" + (f" of {n_offered:,} (evenly spaced)" if n_offered > n else "")


def _looks(part: Part) -> str:
    low, high = part.pictures.sizes[0], part.pictures.sizes[-1]
    size = f"{low[1]} x {low[0]}" + (f" to {high[1]} x {high[0]}" if low != high else "")
    color = "grey" if part.pictures.n_channels == 1 else "color"
    return f"{color} pictures of {size} pixels, as {part.pictures.form}"


def _fed(part: Part) -> str:
    how = {"exact": "read off exactly", "estimated": "estimated", "assumed": "assumed"}[part.feed.certainty]
    return f"{part.feed.by} ({listed(part.feed.statistics)}), {how}"


def _peculiar(name: str, part: Part) -> list[str]:
    pictures, notes = part.pictures, []
    if pictures.is_random and name == "train":
        notes.append("train changes its pictures at random, as augmentation does: one draw of each was read")
    elif pictures.is_random:
        notes.append(
            f"{name} changes its pictures at random: each evaluation gives another result; leave its transform the "
            "steps that are the same every time"
        )
    if isinstance(pictures.pixels, Encoded) and any(channel.has_fill for channel in pictures.pixels.channels):
        notes.append(
            f"{name}: zeros were filled in after normalization, as padding or erasing does; they count as gray"
        )
    if part.fault:
        notes.append(f"{part.fault}; for the search of leaks they were reduced to one size")
    return notes


def _disagreements(parts: Parts) -> list[str]:
    notes = []
    if parts.is_split_anew:
        notes.append(
            "get_dataset() gives another test set each time: what the model is tested on now, it may have been trained "
            "on; give the split a seed of its own (random_split: generator)"
        )
    train = parts.by_name.get("train")
    for name, part in parts.by_name.items():
        if train is None or part is train:
            continue
        if "assumed" not in (part.feed.certainty, train.feed.certainty) and not _same(part, train):
            notes.append(f"{name} is not normalized as train is: {listed(part.feed.statistics)}, {part.feed.certainty}")
        if part.pictures.sizes != train.pictures.sizes and not part.fault and not train.fault:
            notes.append(f"{name}'s pictures are of another size than train's")
        offered, of_train = part.pictures.class_names, train.pictures.class_names
        if offered and of_train and offered != of_train:
            notes.append(f"{name}'s classes are not train's, or in another order: their labels mean different things")
    if TESTED in parts.by_name and "test" in parts.by_name:
        n_tested, n_test = (parts.by_name[name].pictures.n_offered for name in (TESTED, "test"))
        if n_tested != n_test:
            notes.append(
                f"get_test_set() offers {n_tested:,} pictures, get_dataset()'s test {n_test:,}; probed is the first"
            )
    return notes


def _stand_ins(work: Work) -> list[str]:
    notes = []
    if "get_optimizer" not in work.functions:
        notes.append(
            "get_optimizer() is not offered: Adam with torch's defaults stands in, and no learning rate is judged"
        )
    if "get_loss" not in work.functions:
        notes.append("get_loss() is not offered: cross-entropy stands in")
    return notes


def _same(part: Part, train: Part) -> bool:
    one, other = part.feed.statistics, train.feed.statistics
    pairs = zip((*one.mean, *one.std), (*other.mean, *other.std), strict=False)
    return len(one.mean) == len(other.mean) and all(abs(a - b) <= NEAR * max(1, abs(b)) for a, b in pairs)


def listed(statistics: Statistics) -> str:
    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (statistics.mean, statistics.std))
    return f"mean {mean}; standard deviation {std}"

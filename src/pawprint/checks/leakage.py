"""Are pictures shared between train, val and test?

Method, in three steps. Pictures that are equal pixel by pixel are found by their content. Of the others, pairs whose
perceptual hashes (data/hashes.py) differ in at most `radius` bits are candidates: each picture, and each window of
it, against each other one as it is and mirrored. A candidate is a copy if, aligned, its details correlate by `likeness`
or more (data/likeness.py). A copy across parts is a leak; one inside a part is told, and is none. An unlabelled picture
that is in val or test is a leak as well: the training looks at it, and fits what it takes it for. One that is in train
is none, as both are learned from.

The limit of likeness is measured, with `python -m benchmarks.leakage`: at 0.95 no two of 2,220 drawn pictures are
accused (the most alike: 0.93), nor any two photographs that do not show one scene. The radius is measured as well: of
crops by a tenth, 14 bits bring 99 % to the second step, 12 bits 95 to 97 %.

Limits: of copies cropped by a tenth a twentieth is missed, of copies changed in three ways at once up to as many;
a turn, a crop of more than that, or a copy in other colors is not looked for. Two frames of one scene, taken a
moment apart, can count as copies, and mostly should. Pictures of fewer than `MIN_PIXELS` a side, and even ones,
hold too little to be told apart: of these only equal ones are found.

Silhouettes on an even ground are near each other by the thousand: of Fashion-MNIST 1.2 % of all pairs are within 14
bits (of photographs 0.005 %), more than can be aligned in a day. So the radius falls to where at most `MOST_CANDIDATES`
pairs are left, and the reading says so. Nor does 0.95 tell such pictures apart: within 2 bits 766 of its pairs reach
that, among them different garments of one cut; the 58 that reach 0.99 look like copies.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass as plain_dataclass
from itertools import product
from typing import Annotated, Literal, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from pawprint.data.hashes import WHOLE, WINDOWS, Pairs, Window, near_pairs_between, phashes, thumbnails
from pawprint.data.index import UNLABELLED
from pawprint.data.likeness import likeness
from pawprint.figures.pairs import ShownPair, pairs_figure
from pawprint.types import STRICT, Data, Finding, NonNegativeInt, Split

LEARNED = ("train", UNLABELLED)  # the parts that a training looks at
PARTS = (*LEARNED, "val", "test")
MIN_PIXELS = 16  # side
MIN_CONTRAST = 2.0  # standard deviation, of 255: below, a hash is noise
MOST_CANDIDATES = 1_000_000  # pairs to align: ten minutes, if none is screened out
SAMPLE = 1000  # pictures whose neighbors are counted, to know before how many candidates there will be
SCREEN = 0.65  # correlation before alignment; 1 % of crops by a tenth are below 0.74

CROPPED_SIDE = 0.965  # of the aligned window: below, the kind is called cropped


@dataclass(frozen=True, config=ConfigDict(**STRICT))
class Settings:
    radius: Annotated[int, Field(ge=0, le=16)] = 14  # bits of 64 by which the hashes of a candidate pair may differ
    likeness: Annotated[float, Field(gt=0, le=1)] = 0.95  # correlation of the aligned details, from which on: a copy
    cropped: bool = True  # look for crops and borders as well: 7 times the search
    on_leak: Literal["fail", "drop_from_train"] = "fail"  # drop: learned copies of val's and test's pictures go
    n_named: NonNegativeInt = 3  # pairs named in the reading
    n_shown: NonNegativeInt = 8  # pairs drawn in the figure


@plain_dataclass(frozen=True, order=True)
class Picture:
    """Where a picture is."""

    part: str
    row: int
    name: str


@plain_dataclass(frozen=True)
class CopyPair:
    """Two pictures that are one; `first` is of an earlier part, or an earlier row of the same."""

    first: Picture
    second: Picture
    distance: int  # bits between the hashes that brought them together
    likeness: float
    kind: str  # identical, alike, mirrored, cropped, mirrored and cropped

    @property
    def parts(self) -> tuple[str, str]:
        return self.first.part, self.second.part

    @property
    def crosses(self) -> bool:
        """Whether it is a leak: the second is in another part, and that is not learned from."""
        return self.first.part != self.second.part and self.second.part not in LEARNED


class Found(NamedTuple):
    """What a search brought."""

    pairs: list[CopyPair]  # those across parts first, then inside each; within these the most alike first
    narrowed: str  # what was not looked for, as the pictures are too many and too alike; mostly empty


class Match(NamedTuple):
    """How a candidate pair fits once aligned."""

    likeness: float
    distance: int  # bits
    side: float  # of the window that fits, as a share of the picture's


def run(data: Data, settings: Settings) -> Finding:
    """Fails where a copy crosses parts; a table of all pairs, and with `drop_from_train` whom to leave out."""
    pairs, narrowed = find(data, settings)
    crossing = [pair for pair in pairs if pair.crosses]
    drops = settings.on_leak == "drop_from_train"
    dropped = {part: names for part in LEARNED if drops and (names := dropped_names(pairs, part))}
    # What dropping from what is learned cannot mend: copies between val and test.
    left = [pair for pair in crossing if pair.first.part not in dropped]
    emptied = [part for part, names in dropped.items() if len(names) == len(getattr(data, part))]
    return Finding(
        name="leakage",
        question="Are pictures shared between train, val and test?",
        numbers=_numbers(data, pairs, dropped),
        passed=not left and not emptied,
        limit="no pair across parts" + (f" but those dropped from {' and '.join(dropped)}" if dropped else ""),
        reading=_reading(data, pairs, dropped, settings.n_named) + narrowed,
        remedy=_remedy(left, emptied),
        figure=_figure(data, pairs, settings.n_shown),
        table=tuple(_row(pair) for pair in pairs),
        drop_from_train=tuple(sorted(name for names in dropped.values() for name in names)),
    )


def find(data: Data, settings: Settings) -> Found:
    """All pairs of copies."""
    splits = _splits(data)
    pictures = [Picture(part, row, name) for part, split in splits.items() for row, name in enumerate(split.names)]
    members, thumbs = _distinct(list(splits.values()))
    found = {(i, i): (1.0, 0, "identical") for i, rows in enumerate(members) if len(rows) > 1}
    narrowed = ""
    if min(data.image_shape[1:]) >= MIN_PIXELS:
        near, radius = _near_copies(thumbs, settings)
        found |= near
        narrowed = _narrowed(radius, settings)
    pairs = [
        CopyPair(pictures[a], pictures[b], distance, alike, kind)
        for (i, j), (alike, distance, kind) in found.items()
        for a, b in _across(members[i], members[j], pictures)
    ]
    return Found(sorted(pairs, key=_order), narrowed)


def dropped_names(pairs: Sequence[CopyPair], part: str) -> list[str]:
    """Names of the pictures of a part that is learned from which have a copy in val or test, sorted."""
    return sorted({pair.first.name for pair in pairs if pair.crosses and pair.first.part == part})


def _splits(data: Data) -> dict[str, Split]:
    """The parts that there are, in the order of PARTS."""
    return {part: split for part in PARTS if (split := getattr(data, part)) is not None}


def _row(pair: CopyPair) -> dict[str, str | float]:
    return {
        "first_part": pair.first.part,
        "first_name": pair.first.name,
        "second_part": pair.second.part,
        "second_name": pair.second.name,
        "kind": pair.kind,
        "likeness": round(pair.likeness, 4),
    }


def _order(pair: CopyPair) -> tuple[bool, float, int, int, int, int]:
    places = (PARTS.index(pair.first.part), pair.first.row, PARTS.index(pair.second.part), pair.second.row)
    return (not pair.crosses, -round(pair.likeness, 6), *places)


def _distinct(splits: Sequence[Split]) -> tuple[list[list[int]], np.ndarray]:
    """The rows of each distinct picture, counted through all parts, and the distinct ones' thumbnails.

    Hundreds of equal placeholders would otherwise make a pair each with each, and many times over.
    """
    members: dict[bytes, list[int]] = {}
    thumbs = []
    row = 0
    for split in splits:
        for image in split.images:
            digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
            if digest not in members:
                members[digest] = []
                thumbs.append(thumbnails(image[None])[0])
            members[digest].append(row)
            row += 1
    return list(members.values()), np.stack(thumbs)


def _near_copies(
    thumbs: np.ndarray, settings: Settings
) -> tuple[dict[tuple[int, int], tuple[float, int, str]], int | None]:
    """(i, j), i < j, of distinct pictures that are copies → likeness, distance, kind of the best alignment; the radius.

    The radius is None where so many hashes are equal that even their pairs are too many.
    """
    rows = np.flatnonzero(_contrast(thumbs) >= MIN_CONTRAST)
    thumbs = thumbs[rows]
    turned = np.ascontiguousarray(thumbs[:, :, ::-1])
    as_it_is, mirrored = (thumbs, phashes(thumbs)), (turned, phashes(turned))
    found: dict[tuple[int, int], tuple[float, int, str]] = {}
    others = WINDOWS if settings.cropped else (WHOLE,)
    radius = _affordable_radius(as_it_is[1], 2 * len(others), settings.radius)
    if radius is None:
        return found, None
    hashes = {window: as_it_is[1] if window == WHOLE else phashes(thumbs, window) for window in others}
    for window, (targets, target_hashes) in product(others, (as_it_is, mirrored)):
        pairs = near_pairs_between(hashes[window], target_hashes, radius)
        for i, j, match in _copies(thumbs, targets, pairs, window, settings.likeness):
            key = (int(rows[min(i, j)]), int(rows[max(i, j)]))
            kind = _kind(targets is turned, match.side < CROPPED_SIDE)
            if key not in found or match.likeness > found[key][0]:
                found[key] = (match.likeness, match.distance, kind)
    return found, radius


def _contrast(thumbs: np.ndarray) -> np.ndarray:
    """Standard deviation of each thumbnail's grey, (N,); a part at a time, as float64 takes eight times the room."""
    parts = np.array_split(thumbs, 1 + len(thumbs) // 1024)
    return np.concatenate([part.mean(axis=3).std(axis=(1, 2)) for part in parts])


def _affordable_radius(hashes: np.ndarray, n_searches: int, radius: int) -> int | None:
    """The largest radius up to `radius` at which all searches together bring MOST_CANDIDATES pairs at most.

    None where there is none. Reckoned from the neighbors of SAMPLE of the hashes, evenly spaced: what windows and
    mirrored pictures bring is about the same.
    """
    n = len(hashes)
    if n_searches * n**2 <= MOST_CANDIDATES:
        return radius
    sample = np.unique(np.linspace(0, n - 1, SAMPLE).astype(int))
    distances = near_pairs_between(hashes[sample], hashes, radius).distance
    within = np.bincount(distances, minlength=radius + 1).cumsum() - len(sample)  # by radius; each is its own neighbor
    affordable = np.flatnonzero(n_searches * within * (n / len(sample)) <= MOST_CANDIDATES)
    return int(affordable[-1]) if len(affordable) else None


def _copies(
    thumbs: np.ndarray, targets: np.ndarray, pairs: Pairs, window: Window, least: float
) -> Iterator[tuple[int, int, Match]]:
    """Of the candidates those in which the first's window is the second's target: rows, and how they match."""
    other = pairs.first != pairs.second
    first, second, distance = (column[other] for column in pairs)
    alike, side = likeness(thumbs, targets, first, second, window, SCREEN)
    for k in np.flatnonzero(alike >= least):
        yield int(first[k]), int(second[k]), Match(float(alike[k]), int(distance[k]), float(side[k]))


def _kind(mirrored: bool, cropped: bool) -> str:
    words = [word for word, holds in (("mirrored", mirrored), ("cropped", cropped)) if holds]
    return " and ".join(words) or "alike"


def _across(first: list[int], second: list[int], pictures: list[Picture]) -> Iterator[tuple[int, int]]:
    """Each member of either with the first of the other in each part: enough to name everything that is shared."""
    pairs = set()
    for some, others in ((first, second), (second, first)):
        heads = {pictures[row].part: row for row in reversed(others)}
        pairs |= {(min(a, b), max(a, b)) for a in some for b in heads.values() if a != b}
    yield from sorted(pairs)


def _numbers(data: Data, pairs: Sequence[CopyPair], dropped: dict[str, list[str]]) -> dict[str, float]:
    parts = list(_splits(data))
    learned = [part for part in LEARNED if part in parts]
    counts = {_count_name(first, second): 0.0 for n, first in enumerate(parts) for second in parts[n:]}
    for pair in pairs:
        counts[_count_name(*pair.parts)] += 1
    return {
        "n_pairs_across": float(sum(pair.crosses for pair in pairs)),
        **counts,
        **{
            f"{part}_in_{other}_percent": _percent_in(other, data, pairs, part)
            for other in learned
            for part in ("test", "val")
        },
        **{f"n_dropped_from_{part}": float(len(dropped.get(part, ()))) for part in learned},
    }


def _count_name(first: str, second: str) -> str:
    return f"n_{first}_{second}" if first != second else f"n_inside_{first}"


def _percent_in(other: str, data: Data, pairs: Sequence[CopyPair], part: str) -> float:
    """How much of a part is in another one that is learned from."""
    rows = {pair.second.row for pair in pairs if pair.parts == (other, part)}
    return 100 * len(rows) / max(1, len(getattr(data, part)))


def _reading(data: Data, pairs: Sequence[CopyPair], dropped: dict[str, list[str]], n_named: int) -> str:
    crossing = [pair for pair in pairs if pair.crosses]
    n_inside = sum(pair.first.part == pair.second.part for pair in pairs)
    inside = f"; {n_inside} {_pairs(n_inside)} of copies inside one part" if n_inside else ""
    n_learned = len(pairs) - len(crossing) - n_inside
    inside += f"; {n_learned} between train and unlabelled, which is no leak" if n_learned else ""
    if not crossing:
        n_pictures = sum(map(len, _splits(data).values()))
        return f"no copy across parts among {n_pictures:,} pictures{inside}"
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for pair in crossing:
        counts[pair.parts] += 1
    where = ", ".join(f"{n} between {first} and {second}" for (first, second), n in sorted(counts.items()))
    named = "; ".join(
        f"{_whose(pair.first.part)} {pair.first.name} and {_whose(pair.second.part)} {pair.second.name} ({pair.kind})"
        for pair in crossing[:n_named]
    )
    more = f" and {len(crossing) - n_named} more" if len(crossing) > n_named else ""
    share = f"{_percent_in('train', data, pairs, 'test'):.2g} % of test's pictures are in train"
    if data.unlabelled is not None:
        share += f", {_percent_in(UNLABELLED, data, pairs, 'test'):.2g} % among the unlabelled"
    gone = "".join(f"; {len(names)} of {_whose(part)} pictures are dropped" for part, names in dropped.items())
    listed = f": {named}{more}" if named else ""
    return f"{len(crossing)} {_pairs(len(crossing))} of copies across parts ({where}); {share}{gone}{inside}{listed}"


def _whose(part: str) -> str:
    return "the unlabelled" if part == UNLABELLED else f"{part}'s"


def _narrowed(radius: int | None, settings: Settings) -> str:
    if radius == settings.radius:
        return ""
    compared = "equal pictures" if radius is None else f"pairs within {radius} bits"
    too_many = f"more than {MOST_CANDIDATES:,} pairs are within the {settings.radius} of checks.leakage.radius"
    return f"; looked for were only {compared}: {too_many}"


def _pairs(n: int) -> str:
    return "pair" if n == 1 else "pairs"


def _remedy(left: Sequence[CopyPair], emptied: Sequence[str]) -> str | None:
    one_part = "put all copies of a picture into one part"
    if emptied:
        whose = " and of ".join(map(_whose, emptied))
        return f"{one_part}: each of {whose} pictures is in val or test, and nothing would be left of it"
    learned = [part for part in LEARNED if any(pair.first.part == part for pair in left)]
    if learned:
        whose = " and ".join(map(_whose, learned))
        return (
            f"{one_part}, or take {whose} out of it (in a study: `data.split_file`, or `checks.leakage.on_leak: "
            "drop_from_train`)"
        )
    return f"{one_part} (in a study: `data.split_file`): val and test share some, which no drop mends" if left else None


def _figure(data: Data, pairs: Sequence[CopyPair], n_shown: int) -> Figure | None:
    if not pairs[:n_shown]:
        return None
    shown = [
        ShownPair(
            _pixels(data, pair.first),
            _pixels(data, pair.second),
            (pair.first.part, pair.first.name),
            (pair.second.part, pair.second.name),
            f"{pair.kind}, likeness {pair.likeness:.2f}",
        )
        for pair in pairs[:n_shown]
    ]
    return pairs_figure(shown, f"Copies: {len(shown)} of {len(pairs)} {_pairs(len(pairs))}")


def _pixels(data: Data, picture: Picture) -> np.ndarray:
    return np.asarray(getattr(data, picture.part).images[picture.row])

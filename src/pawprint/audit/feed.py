"""How a work turns pixels into what its model is fed, recovered from what it feeds.

Almost every pipeline is, channel by channel, `(pixel - mean) / std` of 8-bit pixels: ToTensor, then Normalize. What
comes out lies on a lattice of at most 256 values with the spacing 1 / (255 std), and both numbers can be read off it:
the spacing from the differences of the distinct values, `mean` from the lattice's lowest point, if that is pixel 0.
The lattice is fitted to all distinct values by least squares, which leaves some 1e-7 of float32's rounding.

The lowest value need not be pixel 0, nor the spacing that of neighboring pixels: dark and few-leveled pictures leave
several answers. Of these are taken, in this order: what another part of the same data is fed by, then statistics in
common use (`usual`), if they put every value of every channel on a whole pixel; what makes 0 and 255 of the extremes,
if the lattice has 256 points; what has mean and standard deviation of at most four decimals, if but one does; else
the darkest is taken for 0, and the answer called estimated. That pictures are normalized by their own mean does not
help: what is fed has mean 0 then, whatever the pixels were.

Values off any lattice (resized, turned or jittered as floats) show their range alone: it is compared with what the
same statistics would give, and else taken for 0 to 255. That, too, is called estimated.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from pawprint.data.statistics import CIFAR10, IMAGENET, Statistics

LEVELS = 256  # of an 8-bit pixel
SAMPLE = 256  # pictures whose values are sorted at first; all are, where these do not show the lattice
MOST_DISTINCT = 4 * LEVELS  # beyond, the values lie on no lattice
FINEST = 64  # part of the smallest difference that is tried as spacing: pictures of few levels skip some
FEW_SPAN = 64  # spacings between the extremes: below, the levels are few and taken to reach from 0 to 255
ROUNDINGS = 1.25  # of the number format, relative to the range, by which a value may be off
WHOLE = 0.02  # distance from a whole pixel that is rounding
BLUNTED = 8.0  # pixels by which blurring may keep the extremes inside 0 to 255
ROUNDED = 2.0  # pixels by which rounding may take them beyond
OVERSHOT = 32.0  # pixels by which bicubic interpolation may
OWN = "statistics of its own"
SNAP = 2e-6  # numbers so near to one of few decimals are it
INSIDE_PICTURES = (0.2023, 0.1994, 0.2010)  # mean over CIFAR-10's pictures of each one's own deviation; often copied

Certainty = Literal["exact", "estimated", "assumed"]


class Usual(NamedTuple):
    """Statistics that pictures are commonly normalized by."""

    name: str
    statistics: Statistics

    def by_channel(self) -> Iterable[tuple[float, float]]:
        return zip(self.statistics.mean, self.statistics.std, strict=True)


def usual(n_channels: int) -> tuple[Usual, ...]:
    """Those for pictures of so many channels."""
    even = tuple(
        Usual(name, Statistics((mean,) * n_channels, (std,) * n_channels))
        for name, mean, std in (
            ("none: pixels in 0 to 1", 0.0, 1.0),
            ("mean 0.5 and standard deviation 0.5", 0.5, 0.5),
            ("none: pixels in 0 to 255", 0.0, 1 / 255),
        )
    )
    own = {
        3: (
            Usual("ImageNet's statistics", IMAGENET),
            Usual("CIFAR-10's statistics", CIFAR10),
            Usual("CIFAR-10's means, and spreads inside a picture", Statistics(CIFAR10.mean, INSIDE_PICTURES)),
        ),
        1: (
            Usual("MNIST's statistics", Statistics((0.1307,), (0.3081,))),
            Usual("Fashion-MNIST's statistics", Statistics((0.2860,), (0.3530,))),
        ),
    }  # fmt: skip
    return even + own.get(n_channels, ())


@dataclass(frozen=True)
class Feed:
    """What a model is fed: (pixel - mean) / std by channel, of pixels in [0, 1]."""

    statistics: Statistics
    certainty: Certainty
    by: str  # the statistics' usual name, or how they were found


class Channel(NamedTuple):
    """Values of one channel: `lowest + spacing * code`, codes from 0 to `span`."""

    lowest: float
    spacing: float  # 0: one value only
    span: int
    is_lattice: bool
    rounding: float  # of the number format, relative
    has_fill: bool = False  # zeros that are not on the lattice: filled in after normalization

    @property
    def highest(self) -> float:
        return self.lowest + self.spacing * self.span

    @property
    def slack(self) -> float:
        """Distance from a code that is rounding."""
        largest = max(abs(self.lowest), abs(self.highest))
        return min(0.25, max(WHOLE, 2 * self.rounding * largest / self.spacing)) if self.spacing else WHOLE

    def pixels(self, mean: float, std: float) -> tuple[float, float]:
        """What these statistics say the lowest and the highest value were, in 0 to 255."""
        return 255 * (self.lowest * std + mean), 255 * (self.highest * std + mean)

    def fits(self, mean: float, std: float, overshot: float) -> bool:
        """Would these statistics have made the values of 8-bit pixels, taken beyond 0 to 255 by so much if blurred?"""
        low, high = self.pixels(mean, std)
        if not self.is_lattice:
            return -overshot <= low <= BLUNTED and -overshot <= 255 - high <= BLUNTED
        step = 255 * self.spacing * std
        is_whole = all(abs(value - round(value)) <= self.slack for value in (low, high, step))
        return is_whole and round(low) >= 0 and round(high) <= 255 and (round(step) >= 1 or not self.spacing)

    def is_alike(self, other: "Channel") -> bool:
        """Are both on one lattice, or both on none and of nearly one range?"""
        if self.is_lattice != other.is_lattice or not self.spacing or not other.spacing:
            return False
        ends = (other.lowest - self.lowest) / self.spacing, (other.highest - self.highest) / self.spacing
        if not self.is_lattice:
            return max(map(abs, ends)) <= BLUNTED
        return all(abs(end - round(end)) <= self.slack for end in ends) and self.joined(other).span < LEVELS

    def joined(self, other: "Channel") -> "Channel":
        """As wide as both, which are alike."""
        lowest, highest = min(self.lowest, other.lowest), max(self.highest, other.highest)
        if not self.is_lattice:
            return self._replace(lowest=lowest, spacing=(highest - lowest) / (LEVELS - 1))
        return self._replace(lowest=lowest, span=round((highest - lowest) / self.spacing))


@dataclass(frozen=True)
class Encoded:
    """Pictures of floats as codes of 8 bits, channel by channel."""

    codes: list[np.ndarray]  # (H, W, C) uint8 each
    channels: tuple[Channel, ...]
    max_error: float  # of a value made from its code, in spacings; zeros that were filled in do not count

    def pixels(self, statistics: Statistics) -> list[np.ndarray]:
        """The pictures, (H, W, C) uint8 each, that these statistics make the values from."""
        tables = []
        for channel, mean, std in zip(self.channels, statistics.mean, statistics.std, strict=True):
            values = channel.lowest + channel.spacing * np.arange(LEVELS)
            tables.append(np.rint(255 * (values * std + mean)).clip(0, 255).astype(np.uint8))
        return [np.stack([table[code[:, :, c]] for c, table in enumerate(tables)], axis=2) for code in self.codes]


def encode(pictures: Sequence[np.ndarray]) -> Encoded:
    """Pictures (C, H, W) of finite floats, at least one."""
    sample = [pictures[i] for i in np.unique(np.linspace(0, len(pictures) - 1, SAMPLE).astype(int))]
    encoded = _coded(pictures, [_channel(pictures, sample, c) for c in range(len(pictures[0]))])
    if len(sample) < len(pictures) and encoded.max_error > max(channel.slack for channel in encoded.channels):
        encoded = _coded(pictures, [_channel(pictures, pictures, c) for c in range(len(pictures[0]))])
    return encoded


def recover(channels: Sequence[Channel], known: Sequence[Usual] = ()) -> Feed:
    """How the channels were fed; `known` is what other parts of the same data are fed by."""
    is_lattice = all(channel.is_lattice for channel in channels)
    named = _nearest(channels, known, ROUNDED) or _nearest(channels, usual(len(channels)), OVERSHOT)
    if named is not None:
        return Feed(named.statistics, "exact" if is_lattice else "estimated", named.name)
    if not is_lattice:
        return _from_range(channels)
    answers = [[_stretched(c)] if c.span == LEVELS - 1 else _of_few_decimals(c) for c in channels]
    found = _statistics([some[0] if some else _stretched(c) for some, c in zip(answers, channels, strict=True)])
    if all(len(some) == 1 for some in answers):
        return Feed(found, "exact", OWN)
    name = next((u.name for u in usual(len(channels)) if u.statistics == found), OWN)
    return Feed(found, "estimated", f"{name}; the darkest pixel could be another than was taken for it")


def _nearest(channels: Sequence[Channel], candidates: Sequence[Usual], overshot: float) -> Usual | None:
    """Of those that fit all channels the one that brings the extremes nearest to 0 and 255, the first of equals."""

    def distance(candidate: Usual) -> float:
        extremes = [c.pixels(m, s) for c, (m, s) in zip(channels, candidate.by_channel(), strict=True)]
        return round(sum(abs(low) + abs(255 - high) for low, high in extremes), 1)

    def fits(candidate: Usual) -> bool:
        return all(c.fits(m, s, overshot) for c, (m, s) in zip(channels, candidate.by_channel(), strict=True))

    fitting = [candidate for candidate in candidates if fits(candidate)]
    return min(fitting, key=distance) if fitting else None


def _stretched(channel: Channel) -> tuple[float, float]:
    """Mean and standard deviation that make the lowest value 0, and of few levels the highest 255."""
    width = channel.spacing * (LEVELS - 1 if channel.span >= FEW_SPAN else channel.span)
    std = _snapped(1 / width) if width else 1.0
    return _snapped(-channel.lowest * std), std


def _of_few_decimals(channel: Channel) -> list[tuple[float, float]]:
    """Pairs of mean and standard deviation with at most three decimals, else four, that fit: the darkest first."""
    found: dict[int, list[tuple[float, float]]] = {3: [], 4: []}
    for pixels_per_code in range(1, (LEVELS - 1) // channel.span + 1) if channel.span >= FEW_SPAN else ():
        std = pixels_per_code / (255 * channel.spacing)
        darkest = np.arange(LEVELS - pixels_per_code * channel.span)
        means = darkest / 255 - channel.lowest * std
        for decimals, pairs in found.items():
            if _is_round(std, decimals) and 0.02 <= std <= 1:
                chosen = means[(means >= 0) & (means <= 1) & _is_round(means, decimals)]
                pairs += [(round(float(mean), decimals), round(std, decimals)) for mean in chosen]
    return found[3] or found[4]


def _from_range(channels: Sequence[Channel]) -> Feed:
    """Of values on no lattice, none of the usual statistics'."""
    low, high = min(c.lowest for c in channels), max(c.highest for c in channels)
    by_name = {u.name: u for u in usual(len(channels))}
    if low >= 0 and high <= 255 and not 1 < high <= BLUNTED:
        of_range = by_name["none: pixels in 0 to 1" if high <= 1 else "none: pixels in 0 to 255"]
        return Feed(of_range.statistics, "estimated", of_range.name)
    found = _statistics([_stretched(channel) for channel in channels])
    return Feed(found, "estimated", f"{OWN}; the darkest and the brightest value were taken for black and white")


def _statistics(by_channel: Sequence[tuple[float, float]]) -> Statistics:
    return Statistics(tuple(mean for mean, _ in by_channel), tuple(std for _, std in by_channel))


def _snapped(value: float) -> float:
    return round(value, 4) + 0.0 if _is_round(value, 4) else value  # and no -0.0


def _is_round(value: np.ndarray | float, decimals: int) -> np.ndarray | bool:
    return np.abs(value - np.round(value, decimals)) <= SNAP


def _coded(pictures: Sequence[np.ndarray], channels: Sequence[Channel]) -> Encoded:
    lowest, spacing = (np.array([getattr(c, name) for c in channels])[:, None, None] for name in ("lowest", "spacing"))
    has_fill = np.array([channel.has_fill for channel in channels])[:, None, None]
    codes, max_error = [], 0.0
    for picture in pictures:
        exact = (picture - lowest) / np.where(spacing > 0, spacing, 1)
        whole = np.rint(exact).clip(0, LEVELS - 1)
        max_error = max(max_error, float((np.abs(exact - whole) * ~(has_fill & (picture == 0))).max()))
        codes.append(np.ascontiguousarray(whole.transpose(1, 2, 0).astype(np.uint8)))
    return Encoded(codes, tuple(channels), max_error)


def _channel(pictures: Sequence[np.ndarray], sample: Sequence[np.ndarray], c: int) -> Channel:
    """The lattice of the sample's values and all pictures' extremes; if there is none, 256 steps between these."""
    rounding = float(np.finfo(pictures[0].dtype).eps)
    extremes = [f(picture[c]) for picture in pictures for f in (np.min, np.max)]
    distinct = np.unique(extremes)
    for picture in sample:
        if len(distinct) > MOST_DISTINCT:
            break
        distinct = np.union1d(distinct, picture[c])
    distinct = distinct.astype(np.float64)
    for has_fill, values in ((False, distinct), (True, distinct[distinct != 0])):
        lattice = _lattice(values, rounding) if 0 < len(values) <= MOST_DISTINCT else None
        if lattice:
            return Channel(*lattice, is_lattice=True, rounding=rounding, has_fill=has_fill)
    low, high = float(distinct[0]), float(distinct[-1])
    return Channel(low, (high - low) / (LEVELS - 1), LEVELS - 1, is_lattice=False, rounding=rounding)


def _lattice(distinct: np.ndarray, rounding: float) -> tuple[float, float, int] | None:
    """Lowest point, spacing and span of the coarsest lattice of 256 points that holds the sorted values, if any."""
    noise = ROUNDINGS * rounding * max(np.abs(distinct).max(), np.ptp(distinct))
    points = distinct[np.concatenate([[True], np.diff(distinct) > noise])]
    if len(points) == 1:
        return float(points[0]), 0.0, 0
    points = points.astype(np.longdouble)
    steps = np.diff(points)
    for part in range(1, FINEST + 1):
        places = np.concatenate([[0], np.cumsum(np.rint(steps * part / steps.min()))])
        if places[-1] >= LEVELS:
            return None
        # Least squares in closed form, in more digits than doubles have: LAPACK's rounding, which the processor
        # decides, is about `noise` where the values are doubles.
        centered = places - places.mean()
        spacing = (centered * points).sum() / (centered**2).sum()
        lowest = points.mean() - spacing * places.mean()
        if np.abs(points - lowest - spacing * places).max() <= noise:
            return float(lowest), float(spacing), int(places[-1])
    return None

"""Line-and-fill drawings of animals, made of few shapes in normalised coordinates.

A pet, which is any animal here, is a head, two ears and a body. Every part has its own frame, whose unit is
the head's radius and whose origin is the head's centre, x to the right and y downwards, as in image
coordinates. A `Pen` carries such a frame onto the canvas (scale, tilt, mirror, place). A part is painted in
two steps: the coat pattern goes onto a layer of its own, and the part's outline cuts the layer out, so no
pattern has to know where the part ends. The canvas is `OVERSAMPLING` times as large as the picture and is
averaged down at the end.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

Species = Literal["cat", "dog"]
Pattern = Literal[
    "solid", "ticked", "tabby", "spots", "rosettes", "points", "tent", "wrinkled", "patch", "blaze",
    "mask", "flecks", "hood", "sides", "spectacles", "tan_points", "urajiro", "brindle", "veil", "saddle",
    "eye_patches", "bandit", "badger", "tear_lines", "mane", "back_stripes",
]  # fmt: skip
Ears = Literal[
    "pricked", "large", "bat", "small", "tufted", "rose", "button", "drooping", "trailing", "feathered",
    "round", "dish", "low", "hare", "fan", "sideways", "horned", "antlered",
]  # fmt: skip
Muzzle = Literal["cat", "flat", "square", "long", "pointed", "bearded", "bear", "spoon", "snout", "broad", "trunk"]
Head = Literal["round", "wedge", "long", "square", "broad"]
Build = Literal["slim", "medium", "stout"]
Pose = Literal["sitting", "standing", "lying"]
Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]] | np.ndarray
Subject = Callable[[Image.Image, np.random.Generator], None]  # draws something of its own onto the canvas

OVERSAMPLING = 4
CONTOUR = 0.07  # width of inked outlines, in the part's unit

COLOURS: dict[str, Colour] = {
    "white": (240, 237, 230),
    "cream": (230, 210, 176),
    "fawn": (208, 166, 116),
    "ginger": (200, 122, 58),
    "brown": (124, 78, 46),
    "seal": (70, 50, 42),
    "black": (38, 36, 40),
    "grey": (122, 128, 140),
    "silver": (186, 186, 186),
    "pink": (222, 176, 160),
    "rose": (214, 128, 128),
    "blue": (84, 164, 236),
    "green": (136, 190, 84),
    "amber": (236, 172, 48),
    "dark": (56, 34, 24),
}
SCENERY: tuple[Colour, ...] = (
    (104, 150, 82), (76, 120, 74), (148, 190, 220), (110, 150, 190), (196, 120, 104), (160, 140, 176),
)  # fmt: skip


@dataclass(frozen=True)
class Breed:
    """How the pets of one breed are drawn; colours are keys of `COLOURS`."""

    name: str
    species: Species  # whose eyes, nose and whiskers the face has
    coat: str
    marking: str
    trim: str  # muzzle, chest and paws
    pattern: Pattern
    ears: Ears
    muzzle: Muzzle
    head: Head
    build: Build
    fur: float  # length of the hair, from 0 (bare) to 1 (a ball of fur)
    eyes: str


@dataclass(frozen=True)
class Pen:
    """Draws shapes given in a part's own frame; `place` and `scale` are in canvas pixels."""

    image: Image.Image
    place: tuple[float, float]
    scale: float
    tilt: float = 0.0  # radians
    mirror: bool = False

    def on_canvas(self, points: Points) -> list[tuple[float, float]]:
        """The points, shape (n, 2), in canvas pixels."""
        xy = np.asarray(points, dtype=np.float64) * self.scale
        x = -xy[:, 0] if self.mirror else xy[:, 0]
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        turned = np.stack([cos * x - sin * xy[:, 1], sin * x + cos * xy[:, 1]], axis=1) + self.place
        return list(map(tuple, turned.tolist()))

    def fill(self, points: Points, colour: Colour | int, ink: Colour | None = None) -> None:
        """Fill a polygon and, if asked, ink its outline."""
        ImageDraw.Draw(self.image).polygon(self.on_canvas(points), fill=colour)
        if ink is not None:
            self.contour(points, ink)

    def contour(self, points: Points, ink: Colour) -> None:
        """Ink the outline of a polygon."""
        corners = self.on_canvas(points)
        thickness = max(1, round(CONTOUR * self.scale))
        ImageDraw.Draw(self.image).line([*corners, corners[0]], fill=ink, width=thickness)

    def stroke(self, points: Points, colour: Colour, width: float) -> None:
        """Draw an open line; `width` is in the part's unit."""
        thickness = max(1, round(width * self.scale))
        ImageDraw.Draw(self.image).line(self.on_canvas(points), fill=colour, width=thickness, joint="curve")

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour, ink: Colour | None = None) -> None:
        """Fill an ellipse with centre (x, y) and half axes rx, ry."""
        self.fill(ellipse(x, y, rx, ry), colour, ink)

    def cut_out(self, outline: Points, coat: Colour, ink: Colour, paint: Callable[[Pen], None]) -> None:
        """Fill the outline with a coat, on which `paint` draws; nothing it draws leaves the outline."""
        layer = Image.new("RGB", self.image.size, coat)
        paint(replace(self, image=layer))
        mask = Image.new("L", self.image.size, 0)
        replace(self, image=mask).fill(outline, 255)
        self.image.paste(layer, mask=mask)
        self.contour(outline, ink)


# ---------------------------------------------------------------------------------------------- shapes


def ellipse(x: float, y: float, rx: float, ry: float, corners: int = 20) -> np.ndarray:
    """Points (corners, 2) on an ellipse."""
    angle = np.linspace(0.0, 2.0 * np.pi, corners, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def square(x: float, y: float, side: float) -> Points:
    """The corners of a square whose upper left one is (x, y)."""
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


def rounded(points: Points, rounds: int = 2) -> np.ndarray:
    """A closed polygon with its corners cut `rounds` times (Chaikin); n points become n * 2**rounds."""
    xy = np.asarray(points, dtype=np.float64)
    for _ in range(rounds):
        after = np.roll(xy, -1, axis=0)
        xy = np.stack([0.75 * xy + 0.25 * after, 0.25 * xy + 0.75 * after], axis=1).reshape(-1, 2)
    return xy


def mirrored(right: Points) -> np.ndarray:
    """A symmetric closed polygon, given its right half from the top to the bottom."""
    half = np.asarray(right, dtype=np.float64)
    left = half[::-1] * (-1.0, 1.0)
    return np.concatenate([half, left[(left[:, 0] < 0.0)]])


def furry(points: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """The outline with every other point pulled outwards by about `length`: tufts of hair."""
    if length < 0.03:
        return points
    outwards = np.where(np.arange(len(points)) % 2 == 0, length, -0.3 * length)
    tips = outwards * rng.uniform(0.6, 1.3, len(points))
    from_centre = points - points.mean(axis=0)
    radius = np.linalg.norm(from_centre, axis=1, keepdims=True)
    tufted: np.ndarray = points + from_centre / np.maximum(radius, 1e-6) * tips[:, None]
    return tufted


def shaded(colour: Colour, factor: float) -> Colour:
    """The colour, darker (factor < 1) or lighter (factor > 1)."""
    red, green, blue = (int(min(255.0, max(0.0, channel * factor))) for channel in colour)
    return red, green, blue


def ink_for(colour: Colour) -> Colour:
    """The colour of lines on a coat: darker, but lighter on a black coat, where it would be lost."""
    return shaded(colour, 0.5) if sum(colour) > DARK else shaded(colour, 2.2)


HEADS: dict[Head, Points] = {
    "round": [(0, -0.9), (0.6, -0.85), (1.0, -0.3), (1.02, 0.3), (0.65, 0.85), (0, 0.95)],
    "wedge": [(0, -0.85), (0.65, -0.8), (0.98, -0.25), (0.75, 0.3), (0.32, 0.95), (0, 1.0)],
    "long": [(0, -0.98), (0.55, -0.95), (0.76, -0.4), (0.62, 0.2), (0.55, 1.05), (0, 1.2)],
    "square": [(0, -0.85), (0.78, -0.85), (0.9, -0.2), (0.86, 0.5), (0.75, 1.0), (0, 1.05)],
    "broad": [(0, -0.75), (0.75, -0.78), (1.15, -0.1), (1.22, 0.4), (0.75, 0.92), (0, 0.92)],
}
LEAF_EAR: Points = [(0.6, -0.7), (1.1, -0.9), (1.85, -0.5), (1.2, -0.25), (0.7, -0.25)]
EARS: dict[Ears, Points] = {
    "pricked": [(0.2, -0.7), (0.72, -1.45), (0.95, -0.3)],
    "large": [(0.15, -0.7), (0.85, -1.8), (1.05, -0.2)],
    "bat": [(0.3, -0.65), (1.65, -1.3), (1.0, 0.0)],
    "small": [(0.4, -0.72), (0.78, -1.12), (0.98, -0.35)],
    "tufted": [(0.2, -0.75), (0.66, -1.6), (0.95, -0.4)],
    "rose": [(0.45, -0.65), (0.85, -1.0), (1.4, -0.85), (1.0, -0.4)],
    "button": [(0.3, -0.85), (0.95, -0.9), (1.2, -0.5), (1.0, 0.12), (0.65, -0.45)],
    "drooping": [(0.45, -0.75), (1.05, -0.7), (1.4, 0.1), (1.3, 0.8), (0.9, 0.75), (0.75, 0.0)],
    "trailing": [(0.45, -0.5), (1.0, -0.5), (1.35, 0.5), (1.45, 1.7), (0.95, 1.75), (0.7, 0.5)],
    "feathered": [(0.4, -0.7), (1.1, -0.6), (1.6, 0.3), (1.5, 1.25), (0.85, 1.2), (0.75, 0.1)],
    "round": ellipse(0.74, -0.8, 0.38, 0.38, 10),
    "dish": ellipse(1.0, -0.8, 0.66, 0.66, 10),
    "low": ellipse(1.0, -0.25, 0.24, 0.26, 8),
    "hare": [(0.12, -0.7), (0.16, -1.7), (0.42, -2.3), (0.72, -1.7), (0.62, -0.6)],
    "fan": [(0.5, -0.9), (1.3, -1.25), (2.1, -0.6), (1.9, 0.6), (1.2, 1.0), (0.7, 0.4)],
    "sideways": LEAF_EAR,
    "horned": LEAF_EAR,
    "antlered": LEAF_EAR,
}
UPRIGHT: frozenset[Ears] = frozenset({
    "pricked", "large", "bat", "small", "tufted",
    "round", "dish", "low", "hare", "fan", "sideways", "horned", "antlered",
})  # fmt: skip
# Right-hand lines that stand on the skull beside the ears.
HORNS: dict[Ears, list[Points]] = {
    "horned": [[(0.35, -0.7), (0.75, -1.1), (0.7, -1.65)]],
    "antlered": [[(0.3, -0.8), (0.55, -1.3), (1.1, -1.6), (1.2, -2.1)], [(0.55, -1.3), (0.45, -1.95)]],
}
# Right half of the outline, height of the nose, half width of the nose.
MUZZLES: dict[Muzzle, tuple[Points, float, float]] = {
    "cat": ([(0, 0.16), (0.3, 0.2), (0.5, 0.45), (0.25, 0.72), (0, 0.72)], 0.32, 0.12),
    "flat": ([(0, 0.0), (0.35, 0.0), (0.66, 0.4), (0.35, 0.76), (0, 0.76)], 0.14, 0.17),
    "square": ([(0, 0.1), (0.5, 0.1), (0.82, 0.75), (0.5, 1.0), (0, 0.92)], 0.22, 0.25),
    "long": ([(0, -0.05), (0.3, -0.05), (0.52, 0.95), (0.3, 1.2), (0, 1.2)], 0.62, 0.22),
    "pointed": ([(0, 0.1), (0.38, 0.1), (0.3, 0.7), (0, 0.88)], 0.38, 0.15),
    "bearded": ([(0, 0.1), (0.55, 0.1), (0.85, 1.0), (0.4, 1.45), (0, 1.5)], 0.28, 0.2),
    "bear": ([(0, 0.08), (0.42, 0.1), (0.6, 0.5), (0.42, 0.88), (0, 0.9)], 0.28, 0.22),
    "spoon": ([(0, -0.2), (0.3, -0.2), (0.5, 0.5), (0.3, 0.95), (0, 0.95)], 0.28, 0.26),
    "snout": ([(0, 0.12), (0.5, 0.12), (0.6, 0.5), (0.5, 0.85), (0, 0.85)], 0.48, 0.34),
    "broad": ([(0, 0.3), (0.4, 0.3), (0.78, 0.85), (0.5, 1.3), (0, 1.3)], 0.72, 0.42),
    "trunk": ([(0, -0.1), (0.34, -0.1), (0.26, 0.9), (0.3, 2.2), (0, 2.2)], 1.3, 0.2),
}
NOSTRILS: frozenset[Muzzle] = frozenset({"snout", "broad"})  # two holes in place of a nose
GIRTH: dict[Build, float] = {"slim": 0.72, "medium": 1.0, "stout": 1.3}


@dataclass(frozen=True)
class Stance:
    """The outlines of a body in one pose, in head radii from the head's centre."""

    trunk: Points
    tail: Points
    feet: tuple[float, ...]  # x of the paws
    knee: float  # y of the legs' upper ends
    floor: float  # y of the paws


STANCES: dict[Pose, Stance] = {
    "sitting": Stance(
        trunk=mirrored([(0, 0.3), (0.6, 0.5), (0.85, 1.4), (1.25, 2.6), (0.6, 3.1)]),
        tail=[(0.8, 2.6), (1.7, 2.5), (1.9, 1.5)],
        feet=(-0.42, 0.42), knee=1.7, floor=2.9,
    ),
    "standing": Stance(
        trunk=[(-0.7, 0.3), (0.4, 0.5), (2.6, 0.8), (2.9, 1.4), (2.6, 2.1), (0.6, 2.2), (-0.7, 1.4)],
        tail=[(2.6, 1.2), (3.2, 0.6), (3.1, 0.0)],
        feet=(-0.35, 0.35, 2.0, 2.5), knee=1.4, floor=2.8,
    ),
    "lying": Stance(
        trunk=[(-0.8, 0.4), (0.6, 0.5), (2.4, 0.9), (2.7, 1.6), (2.0, 1.9), (-0.9, 1.9)],
        tail=[(2.4, 1.6), (3.0, 1.5), (3.2, 1.1)],
        feet=(-0.5, 0.3), knee=1.5, floor=1.9,
    ),
}  # fmt: skip
# Which patterns colour which parts.
DARK_EARED: frozenset[Pattern] = frozenset({
    "points", "tent", "mask", "patch", "hood", "flecks", "spectacles", "veil", "eye_patches",
})  # fmt: skip
DARK_LEGGED: frozenset[Pattern] = frozenset({"points", "tan_points", "eye_patches", "badger"})
DARK_MUZZLED: frozenset[Pattern] = frozenset({"points", "mask", "hood", "spectacles"})
BIBBED: frozenset[Pattern] = frozenset({"tent", "blaze", "urajiro", "saddle", "sides", "mask"})
FLECKS: dict[Pattern, tuple[int, float]] = {  # number and size of the spots on the body
    "ticked": (70, 0.07), "spots": (34, 0.14), "rosettes": (26, 0.24), "flecks": (60, 0.1), "hood": (60, 0.1),
    "tear_lines": (50, 0.1),
}  # fmt: skip
DARK = 180  # a colour whose three channels add up to less is as good as black


# ------------------------------------------------------------------------------------------------- pet


@dataclass(frozen=True)
class Pet:
    """One animal of a breed: its colours as they came out, and how it holds itself."""

    breed: Breed
    coat: Colour
    marking: Colour
    trim: Colour
    pose: Pose
    turn: float  # how far the face looks to the side, in head radii
    rng: np.random.Generator


def dots(pen: Pen, pet: Pet, box: tuple[float, float, float, float], count: int, size: float) -> None:
    """Scatter `count` spots of the marking's colour over the box (x0, y0, x1, y1)."""
    x = pet.rng.uniform(box[0], box[2], count)
    y = pet.rng.uniform(box[1], box[3], count)
    r = pet.rng.uniform(0.7, 1.3, count) * size
    for xi, yi, ri in zip(x, y, r, strict=True):
        pen.fill(ellipse(xi, yi, ri, ri, 8), pet.marking)
        if pet.breed.pattern == "rosettes":
            pen.fill(ellipse(xi, yi, 0.45 * ri, 0.45 * ri, 6), shaded(pet.coat, 0.85))


def bars(pen: Pen, colour: Colour, lines: Iterable[tuple[float, float, float, float]], width: float) -> None:
    """Straight stripes, each from (x0, y0) to (x1, y1)."""
    for x0, y0, x1, y1 in lines:
        pen.stroke([(x0, y0), (x1, y1)], colour, width)


def both_sides(lines: Sequence[tuple[float, float, float, float]]) -> list[tuple[float, float, float, float]]:
    """The stripes and their mirror images."""
    return [*lines, *((-x0, y0, -x1, y1) for x0, y0, x1, y1 in lines)]


def on_side(right: Points, side: int, pet: Pet) -> np.ndarray:
    """Points of the face's right half, taken to its left (side -1) or right (1), where the face looks: (n, 2)."""
    return np.add(np.multiply(right, (side, 1.0)), (pet.turn, 0.0))


def face_blaze(pen: Pen, pet: Pet, wide: float = 0.16) -> None:
    """A light stripe between the eyes that widens over the muzzle."""
    stripe = mirrored([(wide, -1.2), (wide, -0.2), (0.62, 0.5), (0.4, 1.3)])
    pen.fill(np.add(stripe, (pet.turn, 0.0)), pet.trim)


def face_stripes(pen: Pen, pet: Pet) -> None:
    """Tabby: bars on the forehead, close to an M, and on the cheeks."""
    crown = [(0.0, -1.0, 0.0, -0.4), (0.28, -1.0, 0.2, -0.42), (0.55, -1.0, 0.42, -0.5)]
    cheeks = [(1.1, 0.0, 0.6, 0.12), (1.1, 0.35, 0.6, 0.35)]
    bars(pen, pet.marking, both_sides(crown + cheeks), 0.15)


def face_spots(pen: Pen, pet: Pet) -> None:
    """Spots or rosettes on the forehead, and one bar on each cheek."""
    count, size = (9, 0.19) if pet.breed.pattern == "rosettes" else (12, 0.12)
    dots(pen, pet, (-0.9, -0.9, 0.9, -0.35), count, size)
    bars(pen, pet.marking, both_sides([(1.1, 0.1, 0.65, 0.2)]), 0.12)


def face_ticks(pen: Pen, pet: Pet) -> None:
    """Ticked hair above, and two short lines over the eyes."""
    dots(pen, pet, (-1.0, -1.0, 1.0, 0.0), 40, 0.06)
    bars(pen, pet.marking, both_sides([(0.2, -0.9, 0.2, -0.45)]), 0.12)


def face_tent(pen: Pen, pet: Pet) -> None:
    """Dark from the crown to below the eyes, with a light inverted V over the muzzle."""
    t = pet.turn
    lower_edge = [(1.3, 0.5), (t + 0.55, 0.45), (t, -0.6), (t - 0.55, 0.45), (-1.3, 0.5)]
    pen.fill([*lower_edge, (-1.3, -1.2), (1.3, -1.2)], pet.marking)


def face_folds(pen: Pen, pet: Pet) -> None:
    """Folds of bare skin."""
    forehead = [(0.0, -0.75, 0.5, -0.65), (0.0, -0.58, 0.45, -0.48), (0.0, -0.42, 0.3, -0.36)]
    bars(pen, pet.marking, both_sides([*forehead, (0.5, 0.4, 0.75, 0.7)]), 0.07)


def face_spectacles(pen: Pen, pet: Pet) -> None:
    """Light rings around the eyes over a dark muzzle."""
    pen.oval(pet.turn, 0.55, 0.6, 0.5, pet.marking)
    for side in (-1, 1):
        pen.oval(pet.turn + side * 0.42, -0.12, 0.36, 0.3, pet.trim, pet.marking)


def face_tan_points(pen: Pen, pet: Pet) -> None:
    """Coloured cheeks and a coloured dot over each eye."""
    pen.oval(pet.turn, 0.65, 0.78, 0.42, pet.marking)
    for side in (-1, 1):
        pen.oval(pet.turn + side * 0.38, -0.48, 0.15, 0.12, pet.marking)


def face_urajiro(pen: Pen, pet: Pet) -> None:
    """Light cheeks and brows."""
    for side in (-1, 1):
        pen.oval(pet.turn + side * 0.62, 0.5, 0.46, 0.42, pet.trim)
        pen.oval(pet.turn + side * 0.38, -0.48, 0.15, 0.1, pet.trim)


def face_brindle(pen: Pen, pet: Pet) -> None:
    """Thin stripes from the crown to the chin."""
    bars(pen, pet.marking, both_sides([(0.15 + k, -1.0, k, 0.9) for k in (0.1, 0.4, 0.7, 1.0)]), 0.1)


def face_veil(pen: Pen, pet: Pet) -> None:
    """A face of another colour than the body, with parted hair hanging over the forehead."""
    pen.oval(0.0, 0.0, 2.0, 2.0, pet.marking)
    pen.fill([(-0.75, -1.2), (0.75, -1.2), (0.3, -0.45), (0.0, -0.75), (-0.3, -0.45)], pet.coat)


def face_eye_patches(pen: Pen, pet: Pet) -> None:
    """Dark patches around the eyes that slant outwards."""
    for side in (-1, 1):
        patch = [(0.46, -0.45), (0.81, -0.3), (0.94, 0.3), (0.66, 0.45), (0.21, 0.1)]
        pen.fill(rounded(on_side(patch, side, pet)), pet.marking)


def face_bandit(pen: Pen, pet: Pet) -> None:
    """Dark band through the eyes and down the cheeks, between light brows and light jowls."""
    band = mirrored([(0.0, -0.3), (0.6, -0.4), (1.4, 0.25), (1.2, 0.75), (0.5, 0.2), (0.0, 0.1)])
    brow = [(0.12, -0.42), (0.55, -0.62), (1.2, -0.2)]
    pen.fill([(-1.3, 0.45), (1.3, 0.45), (1.3, 1.3), (-1.3, 1.3)], pet.trim)
    pen.fill(np.add(band, (pet.turn, 0.0)), pet.marking)
    for side in (-1, 1):
        pen.stroke(on_side(brow, side, pet), pet.trim, 0.2)


def face_badger(pen: Pen, pet: Pet) -> None:
    """A light face with a broad dark stripe from the crown through each eye."""
    pen.oval(0.0, 0.0, 2.0, 2.0, pet.trim)
    for side in (-1, 1):
        stripe = [(0.62, -1.2), (0.46, -0.1), (0.36, 1.0)]
        pen.stroke(on_side(stripe, side, pet), pet.marking, 0.34)


def face_tear_lines(pen: Pen, pet: Pet) -> None:
    """Small spots on the forehead, and a line from each eye to the mouth."""
    dots(pen, pet, (-0.9, -0.9, 0.9, -0.35), 14, 0.08)
    for side in (-1, 1):
        line = [(0.42, 0.05), (0.58, 0.45), (0.42, 0.9)]
        pen.stroke(on_side(line, side, pet), pet.marking, 0.16)


FACES: dict[Pattern, Callable[[Pen, Pet], None]] = {
    "ticked": face_ticks,
    "tabby": face_stripes,
    "spots": face_spots,
    "rosettes": face_spots,
    "points": lambda pen, pet: pen.oval(pet.turn, 0.25, 0.66, 0.75, pet.marking),
    "tent": face_tent,
    "wrinkled": face_folds,
    "patch": lambda pen, pet: pen.oval(0.55, -0.25, 0.62, 0.62, pet.marking),
    "blaze": face_blaze,
    "saddle": face_blaze,
    "sides": lambda pen, pet: face_blaze(pen, pet, wide=0.34),
    "mask": lambda pen, pet: pen.oval(pet.turn, 0.5, 0.72, 0.7, pet.marking),
    "flecks": lambda pen, pet: dots(pen, pet, (-0.9, -0.9, 0.9, 0.9), 34, 0.085),
    "hood": lambda pen, pet: pen.oval(0.0, 0.0, 2.0, 2.0, pet.marking),
    "spectacles": face_spectacles,
    "tan_points": face_tan_points,
    "urajiro": face_urajiro,
    "brindle": face_brindle,
    "veil": face_veil,
    "eye_patches": face_eye_patches,
    "bandit": face_bandit,
    "badger": face_badger,
    "tear_lines": face_tear_lines,
    "back_stripes": lambda pen, pet: bars(pen, pet.trim, [(pet.turn, -1.2, pet.turn, 0.3)], 0.2),
}


def paint_face(pen: Pen, pet: Pet) -> None:
    """The coat pattern of the face, in the head's frame; the head's outline cuts off what is too much."""
    if pet.breed.pattern in FACES:
        FACES[pet.breed.pattern](pen, pet)


def paint_body(pen: Pen, pet: Pet) -> None:
    """The coat pattern of the body, in the head's frame (the body lies around (0, 2))."""
    pattern, marking = pet.breed.pattern, pet.marking
    if pattern in FLECKS:
        count, size = FLECKS[pattern]
        dots(pen, pet, (-2.5, 0.8, 2.8, 3.1), count, size)
    elif pattern in ("tabby", "brindle"):
        lines = [(x, 0.8, 0.85 * x, 3.2) for x in np.arange(0.45, 3.4, 0.42)]
        bars(pen, marking, both_sides(lines), 0.17 if pattern == "tabby" else 0.1)
    elif pattern in ("patch", "sides"):
        for x in (-1.8, 0.9, 2.2):
            pen.oval(x, pet.rng.uniform(1.2, 2.2), 0.7, 0.6, marking)
    elif pattern == "saddle":
        for x in (-1.4, 1.4):
            pen.oval(x, 1.4, 1.2, 0.9, marking)
    elif pattern == "tan_points":
        pen.oval(0.0, 1.5, 0.5, 0.35, marking)
    elif pattern == "tent":
        pen.fill([(-4.0, 0.0), (4.0, 0.0), (4.0, 2.2), (-4.0, 2.2)], marking)
    elif pattern == "eye_patches":
        pen.fill([(-4.0, 0.0), (4.0, 0.0), (0.8, 1.5), (-4.0, 1.5)], marking)
    elif pattern == "back_stripes":
        bars(pen, pet.trim, both_sides([(0.5, 0.6, 1.2, 3.2), (0.3, 0.7, 3.2, 1.4)]), 0.4)
    if pattern in BIBBED:
        pen.oval(0.0, 1.55, 0.5, 0.85, pet.trim)


def draw_ears(pen: Pen, pet: Pet) -> None:
    """Both ears; upright ones have a visible inside, and the one the face turns to is the narrower one."""
    breed, dark = pet.breed, pet.breed.pattern in DARK_EARED
    upright = breed.ears in UPRIGHT
    outer = pet.marking if dark else pet.coat
    shape = rounded(EARS[breed.ears], 1 if upright else 2)
    if breed.ears == "feathered":
        shape = furry(rounded(shape, 1), 0.14, pet.rng)
    if not upright:
        outer = shaded(outer, 0.86)
    for side in (-1.0, 1.0):
        ear = shape * (side * (1.0 - 0.5 * side * pet.turn), 1.0)
        pen.fill(ear, outer, ink_for(outer))
        if upright:
            inside = ear.mean(axis=0) + 0.52 * (ear - ear.mean(axis=0)) + (0.0, 0.06)
            pen.fill(inside, shaded(outer, 1.35) if dark else COLOURS["rose"])
        if breed.ears == "tufted":
            pen.stroke([(side * 0.68, -1.3), (side * 0.74, -1.85)], pet.marking, 0.14)
        for horn in HORNS.get(breed.ears, []):
            pen.stroke(np.multiply(horn, (side, 1.0)), COLOURS["black"], 0.3)
            pen.stroke(np.multiply(horn, (side, 1.0)), COLOURS["cream"], 0.18)


def draw_eyes(pen: Pen, pet: Pet) -> None:
    """Two eyes: coloured with a pupil (cats), dark with a glint (dogs)."""
    cat, flat = pet.breed.species == "cat", pet.breed.muzzle == "flat"
    size = 0.22 if cat or flat or pet.breed.ears == "bat" else 0.17
    rim = ink_for(pet.coat) if sum(pet.coat) < DARK else COLOURS["black"]
    for side in (-1, 1):
        x, y = pet.turn + side * (0.5 if flat else 0.42), -0.1
        pen.oval(x, y, size, size * (0.85 if cat else 1.0), COLOURS[pet.breed.eyes], rim)
        if cat:
            pen.oval(x, y, 0.08, 0.16, COLOURS["black"])
        pen.oval(x + 0.06, y - 0.07, 0.05, 0.05, COLOURS["white"])


def draw_nose(pen: Pen, muzzle: Muzzle, colour: Colour) -> None:
    """A dog's nose on a muzzle of the given colour; the folds of a trunk or two nostrils stand for one."""
    _, y, width = MUZZLES[muzzle]
    ink = ink_for(colour)
    if muzzle == "trunk":
        bars(pen, ink, [(-width, y + k, width, y + k) for k in (-0.8, -0.4, 0.0, 0.4)], 0.06)
        return
    if muzzle in NOSTRILS:
        for side in (-1, 1):
            pen.oval(side * 0.55 * width, y, 0.3 * width, 0.42 * width, ink)
        return
    nose = COLOURS["black"] if sum(colour) > DARK else ink_for(shaded(colour, 1.3))
    pen.oval(0.0, y, width, (1.5 if muzzle == "spoon" else 0.7) * width, nose)
    pen.stroke([(0.0, y), (0.0, y + 0.28)], ink, 0.06)


def draw_muzzle(pen: Pen, pet: Pet) -> None:
    """Muzzle, nose and mouth; they stand out of the face, so they shift more than it when it turns."""
    breed = pet.breed
    dark = breed.pattern in DARK_MUZZLED
    colour = pet.marking if dark else pet.trim
    ink = ink_for(colour)
    shape, nose_y, nose_width = MUZZLES[breed.muzzle]
    ahead = replace(pen, place=pen.on_canvas([(1.3 * pet.turn, 0.0)])[0])
    outline = rounded(mirrored(shape))
    if breed.muzzle == "bearded":
        outline = furry(outline, 0.12, pet.rng)
    y = nose_y + 0.28
    if breed.species == "cat":
        ahead.fill(outline, colour)
        pointing_down = [(-nose_width, nose_y - 0.08), (nose_width, nose_y - 0.08), (0.0, nose_y + 0.1)]
        ahead.fill(pointing_down, COLOURS["pink" if dark else "rose"])
        whiskers = [(0.35 + k * 0.02, y - 0.1 + k * 0.1, 1.25, y - 0.25 + k * 0.22) for k in range(3)]
        bars(ahead, COLOURS["white"], both_sides(whiskers), 0.03)
        y = nose_y + 0.16
    else:
        ahead.fill(outline, colour, ink)
        draw_nose(ahead, breed.muzzle, colour)
    if breed.muzzle != "trunk":
        lips = [(-0.3, y - 0.02), (-0.16, y + 0.1), (0.0, y), (0.16, y + 0.1), (0.3, y - 0.02)]
        ahead.stroke(lips, ink, 0.06)


def draw_head(pen: Pen, pet: Pet) -> None:
    """Ruff, ears and face; hanging ears lie over the cheeks, upright ones stand behind the skull."""
    breed, ink = pet.breed, ink_for(pet.coat)
    if breed.fur > 0.6:
        circle = ellipse(0.0, 0.2, 1.12 + 0.3 * breed.fur, 1.05 + 0.25 * breed.fur, 44)
        ruff = pet.marking if breed.pattern == "mane" else shaded(pet.coat, 0.92)
        pen.fill(furry(circle, 0.2 * breed.fur, pet.rng), ruff, ink)
    if breed.ears in UPRIGHT:
        draw_ears(pen, pet)
    outline = furry(rounded(mirrored(HEADS[breed.head])), 0.12 * breed.fur, pet.rng)
    pen.cut_out(outline, pet.coat, ink, lambda layer: paint_face(layer, pet))
    if breed.ears not in UPRIGHT:
        draw_ears(pen, pet)
    draw_muzzle(pen, pet)
    draw_eyes(pen, pet)


def draw_legs(pen: Pen, pet: Pet, stance: Stance) -> None:
    """Straight legs that end in paws of the trim's colour."""
    girth = GIRTH[pet.breed.build]
    dark = pet.breed.pattern in DARK_LEGGED
    colour, paw = (pet.marking, pet.marking) if dark else (pet.coat, pet.trim)
    half = 0.2 + 0.08 * girth
    for x in stance.feet:
        left, right = x * girth - half, x * girth + half
        corners = [(left, stance.knee), (right, stance.knee), (right, stance.floor), (left, stance.floor)]
        pen.fill(corners, colour, ink_for(colour))
        pen.oval(x * girth, stance.floor, half * 1.25, half * 0.75, paw, ink_for(paw))


def draw_tail(pen: Pen, pet: Pet, line: np.ndarray) -> None:
    """A tail along the line, shape (3, 2), as thick as its hair is long; bandits have rings on it."""
    pattern, width = pet.breed.pattern, 0.2 + 0.35 * pet.breed.fur
    colour = pet.marking if pattern in ("points", "tent") else shaded(pet.coat, 0.9)
    pen.stroke(line, colour, width)
    if pattern != "bandit":
        return
    for share in (0.2, 0.6, 1.0):
        centre = (1.0 - share) * line[1] + share * line[2]
        pen.oval(centre[0], centre[1], 0.5 * width, 0.1, pet.marking)


def draw_body(pen: Pen, pet: Pet) -> None:
    """Tail, trunk and legs, seen behind and below the head."""
    breed, stance = pet.breed, STANCES[pet.pose]
    broader = (GIRTH[breed.build], 1.0) if pet.pose == "sitting" else (1.0, 0.4 + 0.6 * GIRTH[breed.build])
    # The back is where the neck is, whatever the girth: a trunk grows sideways or downwards only.
    neck = (0.0, 0.4)
    trunk = (np.asarray(stance.trunk) - neck) * broader + neck
    draw_tail(pen, pet, np.asarray(stance.tail) * (broader[0], 1.0))
    if pet.pose == "standing":
        draw_legs(pen, pet, stance)
    outline = furry(rounded(trunk), 0.22 * breed.fur, pet.rng)
    pen.cut_out(outline, pet.coat, ink_for(pet.coat), lambda layer: paint_body(layer, pet))
    if pet.pose != "standing":
        draw_legs(pen, pet, stance)


# ----------------------------------------------------------------------------------- scene and picture


def scene_colour(rng: np.random.Generator) -> Colour:
    """A colour for things around the pet: half of them are colours of coats, so none gives a breed away."""
    coats = ("white", "cream", "fawn", "ginger", "brown", "black", "grey", "silver")
    palette = tuple(COLOURS[name] for name in coats) if rng.random() < 0.5 else SCENERY
    return shaded(palette[int(rng.integers(len(palette)))], float(rng.uniform(0.75, 1.15)))


def draw_background(image: Image.Image, rng: np.random.Generator) -> None:
    """A room, a meadow, a striped or a chequered cloth, or a plain wall, filling the canvas."""
    pen = Pen(image, (0.0, 0.0), float(image.width))
    far, near = scene_colour(rng), scene_colour(rng)
    horizon = float(rng.uniform(0.45, 0.85))
    pen.fill([(0, 0), (1, 0), (1, 1), (0, 1)], far)
    kind = rng.choice(["room", "meadow", "stripes", "checks", "plain"])
    if kind in ("room", "meadow", "plain"):
        pen.fill([(0, horizon), (1, horizon), (1, 1), (0, 1)], near)
    if kind == "room":
        x, y = rng.uniform(-0.1, 0.8), rng.uniform(-0.1, 0.2)
        pen.fill(square(x, y, 0.3), scene_colour(rng), shaded(far, 0.7))
    if kind == "meadow":
        for x, y in rng.uniform((0, horizon), (1, 1), (30, 2)):
            pen.stroke([(x, y), (x + 0.01, y - 0.05)], shaded(near, 0.8), 0.012)
    if kind == "stripes":
        for x in np.arange(float(rng.uniform(-0.2, 0.0)), 1.2, float(rng.uniform(0.12, 0.25))):
            pen.stroke([(x, -0.1), (x + 0.1, 1.1)], near, 0.05)
    if kind == "checks":
        step = float(rng.uniform(0.14, 0.25))
        for row, column in np.ndindex(8, 8):
            if (row + column) % 2 == 0:
                pen.fill(square(column * step, row * step, step), near)


def draw_foreground(image: Image.Image, rng: np.random.Generator) -> None:
    """Sometimes something stands in front of the pet: an edge of a sofa, a leaf or a ball."""
    kind = rng.choice(["none", "sofa", "leaf", "ball"])
    pen, colour = Pen(image, (0.0, 0.0), float(image.width)), scene_colour(rng)
    edge = shaded(colour, 0.7)
    if kind == "sofa":
        y, slope = rng.uniform(0.78, 0.95), rng.uniform(-0.06, 0.06)
        pen.fill([(-0.1, y), (1.1, y + slope), (1.1, 1.1), (-0.1, 1.1)], colour)
        pen.stroke([(-0.1, y), (1.1, y + slope)], edge, 0.02)
    if kind == "leaf":
        x, y = rng.choice([0.0, 1.0]), rng.uniform(0.1, 0.9)
        leaf = replace(pen, place=(x * image.width, y * image.width), tilt=float(rng.uniform(0, 6.28)))
        leaf.fill(rounded([(-0.25, 0), (0, -0.1), (0.3, 0), (0, 0.1)]), shaded(SCENERY[0], 0.9), SCENERY[1])
    if kind == "ball":
        x, y, r = rng.uniform(0.05, 0.95), rng.uniform(0.8, 0.95), rng.uniform(0.06, 0.12)
        pen.oval(x, y, r, r, colour, edge)


def in_light(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture (h, w, 3), 0 to 255, under a lamp: brightness, tint, a gradient and a little grain."""
    brightness = rng.uniform(0.78, 1.14)
    tint = rng.uniform(0.93, 1.07, 3)
    slope = rng.uniform(-0.15, 0.15, 2)
    across = np.linspace(-1.0, 1.0, picture.shape[0])
    field = 1.0 + slope[0] * across[:, None] + slope[1] * across[None, :]
    grain = rng.normal(0.0, 4.0, picture.shape)
    lit = picture.astype(np.float64) * (brightness * tint) * field[:, :, None] + grain
    levels: np.ndarray = np.clip(np.rint(lit), 0, 255).astype(np.uint8)
    return levels


def individual(breed: Breed, rng: np.random.Generator) -> Pet:
    """One animal of the breed: coat a little lighter or darker than the breed's, pose and gaze by chance."""
    shade = rng.uniform(0.82, 1.12)
    hue = rng.uniform(0.96, 1.04, 3)

    def own(name: str) -> Colour:
        red, green, blue = (int(min(255, c * shade * h)) for c, h in zip(COLOURS[name], hue, strict=True))
        return red, green, blue

    pose: Pose = ("sitting", "standing", "lying")[int(rng.integers(3))]
    turn = float(rng.uniform(-0.24, 0.24))
    return Pet(breed, own(breed.coat), own(breed.marking), own(breed.trim), pose, turn, rng)


def draw_individual(image: Image.Image, breed: Breed, rng: np.random.Generator) -> None:
    """One pet of the breed, somewhere on the canvas."""
    side = image.width
    pet = individual(breed, rng)
    scale = float(rng.uniform(0.20, 0.29)) * side
    lean = 0.0 if pet.pose == "sitting" else -0.12
    mirror = bool(rng.random() < 0.5)
    x = 0.5 + (-lean if mirror else lean) + rng.uniform(-0.12, 0.12)
    y = rng.uniform(0.38, 0.54)
    body = Pen(image, (x * side, y * side), scale, mirror=mirror)
    draw_body(body, pet)
    draw_head(replace(body, tilt=float(rng.uniform(-0.28, 0.28))), pet)


def draw_scene(subject: Breed | Subject, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """A picture of one pet of a breed, or of another subject, in its surroundings: (pixels, pixels, 3), uint8."""
    side = OVERSAMPLING * pixels
    image = Image.new("RGB", (side, side))
    draw_background(image, rng)
    if isinstance(subject, Breed):
        draw_individual(image, subject, rng)
    else:
        subject(image, rng)
    draw_foreground(image, rng)
    return in_light(np.asarray(image.reduce(OVERSAMPLING)), rng)


# -------------------------------------------------------------------------------------------- data set


def read_table(table: str) -> tuple[Breed, ...]:
    """The breeds in the rows below the header; a row has the fields of `Breed`, with blanks between."""
    rows = [line.split() for line in table.strip().splitlines()[1:]]
    # The words are read as they stand; the tests check them against the fields' literals.
    return tuple(Breed(*words[:10], float(words[10]), *words[11:]) for words in rows)  # type: ignore


def write_set(names: Iterable[str], n_per_class: int, folder: Path, draw: Callable[[str, int], np.ndarray]) -> None:
    """Draw pictures 1 to `n_per_class` of every class into `folder`/images and list them in `folder`/index.csv.

    `draw` makes, of a class name and an index, a picture (h, w, 3), uint8. Raises FileExistsError if there
    are pictures already.
    """
    images = folder / "images"
    images.mkdir()
    with (folder / "index.csv").open("w", encoding="utf-8", newline="") as file:
        index_file = csv.writer(file, lineterminator="\n")
        index_file.writerow(("image_name", "label", "split"))
        for name in sorted(names):
            for index in range(1, n_per_class + 1):
                image_name = f"{name}_{index}.png"
                Image.fromarray(draw(name, index)).save(images / image_name)
                index_file.writerow((image_name, name, ""))

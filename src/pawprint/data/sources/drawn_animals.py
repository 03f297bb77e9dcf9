"""A source task to pretrain on: drawn animals and things, none of them among the drawn pets.

The pictures are of the pets' kind (`procedural`): the same pen, poses, places, light and surroundings, so
what a classifier learns here about outlines and markings can serve there. The classes are not: 30 animals,
each a row of `ANIMALS` read as a breed is, and 10 things, each a function in `THINGS`. Animals share their
colors, ears and muzzles with others, and a thing takes its colors by chance from the same palette as the
surroundings.

A picture is a function of (seed, class, index) alone: it comes out the same, however many are drawn, of
however many classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pawprint.data.classes import used_classes
from pawprint.data.sources.drawing import (
    Breed,
    Pen,
    Subject,
    draw_scene,
    ellipse,
    furry,
    ink_for,
    read_table,
    rounded,
    scene_colour,
    shaded,
    square,
    write_set,
)
from pawprint.types import DataSettings

# One animal a row; the columns are the fields of `Breed`. `sp.` is whose eyes, nose and whiskers it is given.
TABLE = """
name         sp. coat   marking trim  pattern      ears      muzzle  head   build  fur eyes
badger       dog grey   black   white badger       low       pointed wedge  stout  0.5 dark
brown_bear   dog brown  seal    fawn  solid        round     bear    broad  stout  0.5 dark
cheetah      cat fawn   black   cream tear_lines   low       cat     round  slim   0.1 amber
cow          dog white  black   rose  patch        horned    broad   long   stout  0.0 dark
deer         dog brown  seal    cream urajiro      antlered  long    long   slim   0.1 dark
donkey       dog grey   black   white spectacles   hare      broad   long   medium 0.2 dark
elephant     dog grey   black   grey  solid        fan       trunk   round  stout  0.0 dark
fox          dog ginger black   white urajiro      large     pointed wedge  slim   0.5 amber
goat         dog white  brown   cream blaze        horned    bearded long   medium 0.3 amber
hamster      cat ginger white   white urajiro      round     cat     broad  stout  0.3 dark
hyena        dog fawn   seal    brown flecks       round     square  long   medium 0.4 dark
koala        dog grey   silver  white solid        dish      spoon   broad  stout  0.5 dark
leopard      cat fawn   black   cream rosettes     round     cat     broad  medium 0.1 green
lion         cat fawn   brown   cream mane         round     square  square stout  1.0 amber
lynx         cat silver black   white spots        tufted    cat     broad  stout  0.8 amber
meerkat      dog fawn   seal    cream eye_patches  low       pointed wedge  slim   0.2 dark
mouse        cat grey   seal    pink  solid        dish      pointed wedge  slim   0.1 dark
otter        cat brown  seal    cream solid        low       flat    broad  slim   0.1 dark
panda        dog white  black   white eye_patches  round     bear    broad  stout  0.4 dark
pig          dog pink   rose    rose  solid        button    snout   round  stout  0.0 dark
polar_bear   dog white  cream   cream solid        round     bear    long   stout  0.2 dark
rabbit       cat fawn   brown   white solid        hare      cat     round  stout  0.4 dark
raccoon      dog grey   black   white bandit       pricked   pointed broad  stout  0.6 dark
red_panda    dog ginger seal    white bandit       round     cat     broad  medium 0.7 dark
sheep        dog white  black   black veil         sideways  long    long   stout  1.0 amber
skunk        dog black  black   white back_stripes low       pointed wedge  medium 0.6 dark
snow_leopard cat silver black   white rosettes     round     cat     round  stout  0.7 blue
tiger        cat ginger black   white tabby        round     cat     broad  stout  0.3 amber
wolf         dog grey   black   white urajiro      pricked   long    wedge  medium 0.7 amber
zebra        dog white  black   black tabby        pricked   broad   long   medium 0.1 dark
"""
ANIMALS: tuple[Breed, ...] = read_table(TABLE)


# ---------------------------------------------------------------------------------------------- things
# Each is drawn upright in a frame of its own, about 3 wide and high around (0, 0), y downwards.


def draw_house(pen: Pen, rng: np.random.Generator) -> None:
    """Walls, a gable or a hip roof, a door, and a window or two."""
    wall, roof, wood = scene_colour(rng), scene_colour(rng), scene_colour(rng)
    half, eaves, ridge = rng.uniform(0.9, 1.5), rng.uniform(-0.5, 0.1), rng.uniform(0.0, 0.6)
    pen.fill([(-half, eaves), (half, eaves), (half, 1.4), (-half, 1.4)], wall, ink_for(wall))
    gable = [(-half - 0.25, eaves), (-ridge, -1.5), (ridge, -1.5), (half + 0.25, eaves)]
    pen.fill(gable, roof, ink_for(roof))
    pen.fill([(-0.25, 0.55), (0.25, 0.55), (0.25, 1.4), (-0.25, 1.4)], wood, ink_for(wood))
    for side in (-1, 1)[: int(rng.integers(1, 3))]:
        pen.fill(square(side * 0.62 * half - 0.2, eaves + 0.3, 0.4), shaded(wood, 1.4), ink_for(wall))


def draw_car(pen: Pen, rng: np.random.Generator) -> None:
    """A body with a cabin and two wheels, seen from the side."""
    paint, glass = scene_colour(rng), scene_colour(rng)
    half, height, rear = rng.uniform(1.3, 1.7), rng.uniform(0.4, 0.6), rng.uniform(-1.2, -0.7)
    cabin = [(rear, 0.0), (rear + 0.2, -0.75), (0.45, -0.75), (0.85, 0.0)]
    pen.fill(cabin, paint, ink_for(paint))
    for x0, x1 in ((rear + 0.22, -0.2), (-0.05, 0.55)):
        pen.fill([(x0, -0.05), (x0 + 0.06, -0.6), (x1 - 0.1, -0.6), (x1, -0.05)], glass, ink_for(paint))
    pen.fill(rounded([(-half, 0.0), (half - 0.3, 0.0), (half, height), (-half, height)], 1), paint, ink_for(paint))
    for side in (-1, 1):
        pen.oval(side * 0.62 * half, height, 0.36, 0.36, (44, 42, 46), ink_for(paint))
        pen.oval(side * 0.62 * half, height, 0.16, 0.16, (190, 190, 190))


def draw_tree(pen: Pen, rng: np.random.Generator) -> None:
    """A trunk under a round crown, or under the tiers of a fir."""
    bark, leaves = scene_colour(rng), scene_colour(rng)
    half = rng.uniform(0.12, 0.25)
    pen.fill([(-half, 0.2), (half, 0.2), (1.4 * half, 1.5), (-1.4 * half, 1.5)], bark, ink_for(bark))
    breadth = rng.uniform(0.8, 1.25)
    if rng.random() < 0.5:
        crown = ellipse(0.0, -0.5, breadth, rng.uniform(0.8, 1.1), 24)
        pen.fill(rounded(furry(crown, 0.2, rng), 1), leaves, ink_for(leaves))
        return
    for tier in (2, 1, 0):
        width, top = breadth * (0.5 + 0.25 * tier), -1.6 + 0.6 * tier
        pen.fill([(-width, top + 1.0), (0.0, top), (width, top + 1.0)], leaves, ink_for(leaves))


def draw_cup(pen: Pen, rng: np.random.Generator) -> None:
    """A cup with a handle and a drink in it, plain or with a band around it."""
    china, drink = scene_colour(rng), scene_colour(rng)
    top, foot, height = rng.uniform(0.75, 1.05), rng.uniform(0.5, 0.75), rng.uniform(0.7, 1.2)
    pen.oval(top, 0.0, 0.5, 0.5, ink_for(china))
    pen.oval(top, 0.0, 0.28, 0.28, drink)
    pen.fill([(-top, -height), (top, -height), (foot, height), (-foot, height)], china, ink_for(china))
    if rng.random() < 0.5:
        middle = 0.5 * (top + foot)
        pen.stroke([(-middle, 0.0), (middle, 0.0)], drink, 0.3)
    pen.oval(0.0, -height, top, 0.24, drink, ink_for(china))


def draw_boat(pen: Pen, rng: np.random.Generator) -> None:
    """A hull, a mast, and one sail or two."""
    hull, sail = scene_colour(rng), scene_colour(rng)
    half, keel, top = rng.uniform(1.1, 1.6), rng.uniform(1.0, 1.4), rng.uniform(-1.6, -1.2)
    pen.stroke([(0.0, top), (0.0, 0.6)], ink_for(hull), 0.12)
    pen.fill([(0.1, top), (0.1, 0.4), (0.75 * half, 0.4)], sail, ink_for(sail))
    if rng.random() < 0.7:
        pen.fill([(-0.1, top + 0.3), (-0.1, 0.4), (-0.7 * half, 0.4)], shaded(sail, 0.85), ink_for(sail))
    pen.fill([(-half, 0.6), (half, 0.6), (0.65 * half, keel), (-0.65 * half, keel)], hull, ink_for(hull))


def draw_lamp(pen: Pen, rng: np.random.Generator) -> None:
    """A shade on a stem with a foot."""
    shade, metal = scene_colour(rng), scene_colour(rng)
    top, rim, drop = rng.uniform(0.3, 0.6), rng.uniform(0.8, 1.2), rng.uniform(-0.6, -0.1)
    pen.stroke([(0.0, drop), (0.0, 1.4)], ink_for(metal), 0.22)
    pen.stroke([(0.0, drop), (0.0, 1.4)], metal, 0.12)
    pen.oval(0.0, 1.4, rng.uniform(0.45, 0.8), 0.18, metal, ink_for(metal))
    pen.fill([(-top, -1.5), (top, -1.5), (rim, drop), (-rim, drop)], shade, ink_for(shade))


def draw_ball(pen: Pen, rng: np.random.Generator) -> None:
    """A ball of segments that meet in one point, in two colors by turns."""
    light, dark = scene_colour(rng), scene_colour(rng)
    radius, n_segments = rng.uniform(0.9, 1.3), 2 * int(rng.integers(2, 5))
    circle = ellipse(0.0, 0.0, radius, radius, 12 * n_segments)
    x, y = rng.uniform(-0.35, 0.35, 2) * radius
    pen.fill(circle, light)
    for first in range(0, len(circle), 24):
        pen.fill(np.concatenate([[(x, y)], circle[first : first + 13]]), dark)
    pen.contour(circle, ink_for(dark))
    pen.oval(x, y, 0.14 * radius, 0.14 * radius, light, ink_for(dark))


def draw_chair(pen: Pen, rng: np.random.Generator) -> None:
    """Seat, four legs and a back, seen from the front left."""
    wood, cloth = scene_colour(rng), scene_colour(rng)
    half, top, depth = rng.uniform(0.6, 0.85), rng.uniform(-1.6, -1.2), rng.uniform(0.3, 0.5)
    for x, y, floor in ((-half, 0.1, 1.1), (half, 0.1, 1.1), (-half - depth, 0.5, 1.5), (half - depth, 0.5, 1.5)):
        pen.stroke([(x, y), (x, floor)], ink_for(wood), 0.26)
        pen.stroke([(x, y), (x, floor)], wood, 0.14)
    back = [(-half, top), (half, top), (half, 0.1), (-half, 0.1)]
    pen.fill(back, wood, ink_for(wood))
    for x in np.linspace(-0.5, 0.5, int(rng.integers(2, 4))):
        pen.stroke([(x * half, top + 0.2), (x * half, 0.0)], ink_for(wood), 0.12)
    seat = [(-half, 0.1), (half, 0.1), (half - depth, 0.6), (-half - depth, 0.6)]
    pen.fill(seat, cloth, ink_for(cloth))


def draw_umbrella(pen: Pen, rng: np.random.Generator) -> None:
    """An open umbrella with a scalloped rim and a hooked handle."""
    light, dark = scene_colour(rng), scene_colour(rng)
    radius, height = rng.uniform(1.2, 1.55), rng.uniform(0.9, 1.3)
    handle = [(0.0, 0.0), (0.0, 1.2), (0.12, 1.42), (0.36, 1.42), (0.44, 1.2)]
    pen.stroke(handle, ink_for(dark), 0.14)
    angle = np.linspace(np.pi, 2.0 * np.pi, 17)
    dome = np.stack([radius * np.cos(angle), height * np.sin(angle)], axis=1)
    rim = [(x * radius, y) for x, y in ((0.75, -0.22), (0.5, 0.0), (0.25, -0.22), (0.0, 0.0))]
    scallops = [*rim, *((-x, y) for x, y in rim[-2::-1])]
    canopy = np.concatenate([dome, scallops])
    pen.fill(canopy, light)
    for x in (-0.5, 0.5):
        pen.fill([(0.0, -height), ((x - 0.25) * radius, -0.22), (x * radius, 0.0), ((x + 0.25) * radius, -0.22)], dark)
    pen.contour(canopy, ink_for(light))


def draw_flower(pen: Pen, rng: np.random.Generator) -> None:
    """A stem with two leaves, and petals around a disk."""
    petals, disk, green = scene_colour(rng), scene_colour(rng), scene_colour(rng)
    n_petals, reach = int(rng.integers(5, 9)), rng.uniform(0.5, 0.75)
    pen.stroke([(0.0, -0.5), (0.1, 0.6), (0.0, 1.5)], ink_for(green), 0.16)
    for side in (-1, 1):
        leaf = rounded([(0.05 * side, 1.3), (0.2 * side, 0.75), (1.0 * side, 0.35), (0.8 * side, 1.05)])
        pen.fill(leaf, green, ink_for(green))
    for angle in np.linspace(0.0, 2.0 * np.pi, n_petals, endpoint=False):
        x, y = reach * np.cos(angle), -0.6 + reach * np.sin(angle)
        pen.oval(x, y, 0.4, 0.4, petals, ink_for(petals))
    pen.oval(0.0, -0.6, 0.36, 0.36, disk, ink_for(disk))


THINGS: dict[str, Callable[[Pen, np.random.Generator], None]] = {
    "ball": draw_ball,
    "boat": draw_boat,
    "car": draw_car,
    "chair": draw_chair,
    "cup": draw_cup,
    "flower": draw_flower,
    "house": draw_house,
    "lamp": draw_lamp,
    "tree": draw_tree,
    "umbrella": draw_umbrella,
}


def placed(draw_thing: Callable[[Pen, np.random.Generator], None]) -> Subject:
    """The thing as a subject of a scene: its size, place, tilt and the side it faces by chance, as a pet's are."""

    def subject(image: Image.Image, rng: np.random.Generator) -> None:
        side = image.width
        x, y = rng.uniform(0.32, 0.68), rng.uniform(0.4, 0.6)
        pen = Pen(image, (x * side, y * side), float(rng.uniform(0.17, 0.28)) * side)
        draw_thing(replace(pen, tilt=float(rng.uniform(-0.28, 0.28)), mirror=bool(rng.random() < 0.5)), rng)

    return subject


# ------------------------------------------------------------------------------------------- data set

CLASSES: dict[str, Breed | Subject] = {
    **{animal.name: animal for animal in ANIMALS},
    **{name: placed(draw_thing) for name, draw_thing in THINGS.items()},
}


def draw_class(name: str, *, seed: int, index: int, pixels: int) -> np.ndarray:
    """Picture number `index` of a class: (pixels, pixels, 3), uint8, red-green-blue. Raises KeyError if unknown."""
    subject = CLASSES[name]
    # The name stands for itself in the key: a class more changes no other's pictures, and the pets, whose
    # keys hold row numbers, share no background with these.
    key = np.random.SeedSequence([seed, int.from_bytes(name.encode()), index])
    return draw_scene(subject, pixels, np.random.Generator(np.random.Philox(key)))


def fetch(settings: DataSettings, folder: Path) -> None:
    """Draw `n_per_class` pictures of each class in use into `folder`/images and list them in `folder`/index.csv."""

    def draw(name: str, index: int) -> np.ndarray:
        return draw_class(name, seed=settings.seed, index=index, pixels=settings.draw_pixels)

    write_set(used_classes(CLASSES, settings), settings.n_per_class, folder, draw)

"""The default data source: drawn cats and dogs of 37 breeds; it needs no network.

The class names are those of Oxford-IIIT Pet, in the spelling of its file names. A breed is a recipe, one
row of `BREEDS`. Breeds share their colours, heads, ears and muzzles with others, and only the combination
names a breed; pose, place, light and surroundings vary from picture to picture. So neither the colours
alone nor the pixels' places alone give a breed away, and a classifier has to learn shapes.

A picture is a function of (seed, breed, index) alone: it comes out the same, however many are drawn.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pawprint.data.classes import used_classes
from pawprint.data.sources.drawing import Breed, draw_scene, read_table, write_set
from pawprint.types import DataSettings

# One breed a row; the columns are the fields of `Breed`.
TABLE = """
name                       sp. coat   marking trim  pattern    ears      muzzle  head   build  fur eyes
Abyssinian                 cat ginger brown   cream ticked     large     cat     wedge  slim   0.1 amber
Bengal                     cat fawn   seal    cream rosettes   pricked   cat     round  medium 0.1 green
Birman                     cat cream  seal    white points     small     cat     round  medium 0.7 blue
Bombay                     cat black  black   black solid      pricked   cat     round  medium 0.1 amber
British_Shorthair          cat grey   grey    grey  solid      small     cat     broad  stout  0.3 amber
Egyptian_Mau               cat silver black   white spots      large     cat     round  slim   0.1 green
Maine_Coon                 cat brown  black   cream tabby      tufted    cat     square stout  0.9 amber
Persian                    cat cream  fawn    cream solid      small     flat    broad  stout  1.0 amber
Ragdoll                    cat white  grey    white tent       pricked   cat     broad  stout  0.8 blue
Russian_Blue               cat grey   grey    grey  solid      large     cat     wedge  slim   0.1 green
Siamese                    cat cream  seal    seal  points     large     cat     wedge  slim   0.0 blue
Sphynx                     cat pink   rose    pink  wrinkled   bat       cat     wedge  slim   0.0 amber
american_bulldog           dog white  brown   white patch      rose      square  broad  stout  0.0 dark
american_pit_bull_terrier  dog brown  brown   white blaze      rose      square  broad  medium 0.0 amber
basset_hound               dog brown  black   white blaze      trailing  long    long   stout  0.1 dark
beagle                     dog ginger black   white saddle     drooping  long    round  medium 0.1 dark
boxer                      dog fawn   black   white mask       button    square  square medium 0.0 dark
chihuahua                  dog fawn   cream   cream solid      bat       pointed round  slim   0.1 dark
english_cocker_spaniel     dog ginger ginger  ginger solid     feathered long    round  medium 0.6 dark
english_setter             dog white  black   white flecks     feathered long    long   slim   0.5 dark
german_shorthaired         dog white  brown   brown hood       drooping  long    long   medium 0.1 amber
great_pyrenees             dog white  cream   white solid      button    long    broad  stout  0.9 dark
havanese                   dog white  brown   white patch      feathered bearded round  medium 0.9 dark
japanese_chin              dog black  white   white sides      feathered flat    round  slim   0.8 dark
keeshond                   dog grey   black   silver spectacles small    pointed round  stout  1.0 dark
leonberger                 dog ginger black   ginger mask      drooping  square  broad  stout  0.9 dark
miniature_pinscher         dog black  ginger  ginger tan_points large    pointed wedge  slim   0.0 dark
newfoundland               dog black  black   black solid      drooping  square  broad  stout  0.8 dark
pomeranian                 dog ginger cream   cream solid      small     pointed round  slim   1.0 dark
pug                        dog fawn   black   fawn  mask       button    flat    round  stout  0.0 dark
saint_bernard              dog brown  brown   white sides      drooping  square  broad  stout  0.6 dark
samoyed                    dog white  white   white solid      pricked   pointed round  stout  1.0 dark
scottish_terrier           dog black  black   black solid      pricked   bearded long   medium 0.5 dark
shiba_inu                  dog ginger cream   white urajiro    pricked   pointed round  medium 0.3 dark
staffordshire_bull_terrier dog seal   fawn    seal  brindle    rose      square  square stout  0.0 dark
wheaten_terrier            dog fawn   cream   cream solid      button    bearded square medium 0.7 dark
yorkshire_terrier          dog grey   fawn    fawn  veil       pricked   bearded round  slim   0.9 dark
"""


BREEDS: tuple[Breed, ...] = read_table(TABLE)
_NUMBER: dict[str, int] = {breed.name: number for number, breed in enumerate(BREEDS)}


def draw_pet(breed: Breed, *, seed: int, index: int, pixels: int) -> np.ndarray:
    """Picture number `index` of a breed: (pixels, pixels, 3), uint8, red-green-blue."""
    key = np.random.SeedSequence([seed, _NUMBER[breed.name], index])
    return draw_scene(breed, pixels, np.random.Generator(np.random.Philox(key)))


def fetch(settings: DataSettings, folder: Path) -> None:
    """Draw `n_per_class` pictures of each breed in use into `folder`/images and list them in `folder`/index.csv."""
    breeds = {breed.name: breed for breed in BREEDS}

    def draw(name: str, index: int) -> np.ndarray:
        return draw_pet(breeds[name], seed=settings.seed, index=index, pixels=settings.draw_pixels)

    write_set(used_classes(breeds, settings), settings.n_per_class, folder, draw)

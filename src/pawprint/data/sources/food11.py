"""Food-11 (Singla, Yuan and Ebrahimi, "Food/non-food image classification and food categorization using pre-trained
GoogLeNet model", MADiMa 2016): 16,643 photographs of eleven kinds of food.

`data.path` is a folder or a .zip, each part in one of the forms in which the set goes round:

    training/0_123.jpg          as published (EPFL, "Food image datasets"): number of the class, number of the picture
    training/Bread/123.jpg      one folder a class, as Kaggle has it
    training/labeled/00/…       folders called by the number, training/unlabeled/ beside them: what National Taiwan
                                University's course "Machine Learning" hands out (2021, homework 3)

and likewise validation/, and evaluation/, testing/ or test/; folder.py reads them. There is no download. The course
keeps the labels of its testing pictures (`testing/00/0001.jpg`, `test/0001.jpg`) to itself: they cannot be tested on
and are left out, with a line on stderr, and test is drawn from the training pictures.
"""

import re
import sys
from pathlib import Path

from pawprint.data.sources.folder import (
    SPLIT_FOLDERS,
    Naming,
    base_name,
    picture_place,
    read_layout,
    store,
    unwrapped,
)
from pawprint.data.sources.tree import Tree, is_picture, open_tree
from pawprint.types import DataSettings

# By number, 0 to 10, in the authors' order; spelled as Kaggle's folders are, without the / of "Noodles/Pasta".
CLASS_NAMES = (
    "Bread", "Dairy product", "Dessert", "Egg", "Fried food", "Meat", "Noodles-Pasta", "Rice", "Seafood", "Soup",
    "Vegetable-Fruit",
)  # fmt: skip


def fetch(settings: DataSettings, folder: Path) -> None:
    """Copy the pictures in `settings.path`. DataError if there is no such folder or .zip, or no classes in it."""
    with open_tree(picture_place(settings)) as tree:
        summary = read_layout(_without_unlabelled_test(unwrapped(tree)), Naming(_of_folder, _of_file))
        store(summary.tree, summary.index, summary.faults, folder)


def _of_folder(name: str) -> str:
    """`00` as Bread; other names as they are."""
    is_number = re.fullmatch("[0-9]{1,2}", name) and int(name) < len(CLASS_NAMES)
    return CLASS_NAMES[int(name)] if is_number else name


def _of_file(name: str) -> str:
    """`training/0_123.jpg` as Bread; ValueError for a name that holds no class."""
    number = re.match("([0-9]{1,2})_.", base_name(name))
    if not number or int(number[1]) >= len(CLASS_NAMES):
        raise ValueError("no class in its name; expected 0 to 10 and a picture's number, as in 0_123.jpg")
    return CLASS_NAMES[int(number[1])]


def _without_unlabelled_test(tree: Tree) -> Tree:
    """The place without test pictures that tell no class: all in one folder `00`, or no class in any name."""
    for folder in tree.folders_in(""):
        n_pictures = sum(is_picture(name) for name in tree.files if name.startswith(f"{folder}/"))
        if SPLIT_FOLDERS.get(folder.lower()) == "test" and n_pictures and not _is_labelled(tree, folder):
            told = f"left out {n_pictures} pictures in {folder}/, which tell no class: test is drawn"
            print(f"{tree.place}: {told}", file=sys.stderr)
            tree = tree.without(folder)
    return tree


def _is_labelled(tree: Tree, folder: str) -> bool:
    classes = [base_name(inner) for inner in tree.folders_in(folder)]
    is_by_folder = len(classes) > 1 or any(name in CLASS_NAMES for name in classes)
    return is_by_folder or any(_has_class(name) for name in tree.files_in(folder) if is_picture(name))


def _has_class(name: str) -> bool:
    try:
        return bool(_of_file(name))
    except ValueError:
        return False

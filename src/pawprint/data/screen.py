"""Which pictures of a data set can be used: every fault is looked for, then all are told, or all left out.

The same for `prepare`, which keeps what it decodes, and for `pawprint init-data`, which does not.
"""

from collections.abc import Callable, Iterable

import pandas as pd

from pawprint.data.classes import used_classes
from pawprint.data.faults import Fault, by_name, report
from pawprint.data.index import labels_in
from pawprint.data.split import assign_splits, given_splits, limit_classes, plan_draw, small_classes
from pawprint.errors import DataError
from pawprint.progress import progress
from pawprint.types import DataSettings


def screen(
    index: pd.DataFrame,
    fetched_faults: list[Fault],
    settings: DataSettings,
    decode: Callable[[str], object],
    advice: str,
    title: str = "prepare",
) -> tuple[pd.DataFrame, list[Fault]]:
    """The pictures that can be used, each with its part as `assign_splits` draws it, and the faults of the others.

    `decode` is called once with each picture's name, but for those of classes that `settings.classes` leaves out, and
    raises ValueError with a reason. What is at fault is taken out before the split is drawn, which so is the one that
    there would be without it.

    Raises DataError: with `settings.on_bad` stop, one that lists every fault and ends with `advice`; with
    drop, where less than two classes remain; and always for splits that contradict each other. Raises SettingsError for
    settings that cannot be followed.
    """
    table, faults = given_splits(index, settings, told={fault.image_name for fault in fetched_faults})
    faults = [*fetched_faults, *faults]
    labels = used_classes(_labels(index, table), settings)
    table = limit_classes(table[table["label"].isin([*labels, ""])], settings)
    if len(table):
        plan_draw(table, settings)  # settings that cannot be followed are told before all is decoded
    broken = _undecodable(table["image_name"], decode, title)
    table = table[~table["image_name"].isin([fault.image_name for fault in broken])]
    table, of_classes, of_their_pictures = _without_small_classes(table, set(labels), settings)
    if settings.on_bad == "stop" and (found := [*faults, *broken, *of_classes]):
        raise DataError(report(by_name(found), advice))
    dropped = by_name([*faults, *broken, *of_their_pictures])
    n_classes = len(labels_in(table))
    if dropped and n_classes < 2:
        left = f"this leaves {len(table)} pictures of {n_classes} classes; expected two classes or more"
        raise DataError(report(dropped, left))
    return assign_splits(table, settings), dropped


def _labels(index: pd.DataFrame, table: pd.DataFrame) -> set[str]:
    """The classes of the data set, also those without a sound row; not those that a split file takes the label from."""
    unknown = table["image_name"][table["label"] == ""]
    return labels_in(index[~index["image_name"].isin(unknown)]) | labels_in(table)


def _undecodable(names: Iterable[str], decode: Callable[[str], object], title: str) -> list[Fault]:
    """One picture after the other: on two cores, two threads took 0.8 to 1.0 of the time for real photographs."""
    names, faults = list(names), []
    with progress(title, len(names)) as reporter:
        for name in names:
            try:
                decode(name)
            except ValueError as error:
                faults.append(Fault(name, str(error)))
            reporter.advance()
    return faults


def _without_small_classes(
    table: pd.DataFrame, labels: set[str], settings: DataSettings
) -> tuple[pd.DataFrame, list[Fault], list[Fault]]:
    """The rows of the classes that are large enough; a fault for each other class, and one for each of its rows.

    Again and again: without a class, test may be without a picture, and then needs one of each class.
    """
    of_classes, of_pictures = [], []
    while small := _small_classes(table, labels, settings):
        is_small = table["label"].isin(list(small))
        of_classes += [Fault(f"class {label}", reason) for label, reason in small.items()]
        names, of_label = table["image_name"][is_small], table["label"][is_small]
        of_pictures += [Fault(name, small[label]) for name, label in zip(names, of_label, strict=True)]
        table, labels = table[~is_small], labels - set(small)
    return table, of_classes, of_pictures


def _small_classes(table: pd.DataFrame, labels: set[str], settings: DataSettings) -> dict[str, str]:
    try:
        return small_classes(table, labels, settings)
    except DataError:  # nothing is left to draw from; `assign_splits` says so, if the faults themselves do not
        return {}

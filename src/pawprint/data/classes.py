"""Which of a data set's classes are used: those that `data.classes` names, or all of them."""

from collections.abc import Collection

from pawprint.errors import SettingsError, shown
from pawprint.params import nearest
from pawprint.types import DataSettings


def used_classes(there: Collection[str], settings: DataSettings) -> list[str]:
    """Of the classes that are there those to be used, sorted; SettingsError for names that are none of them."""
    names = sorted(there)
    unknown = [name for name in settings.classes if name not in names]
    if unknown:
        raise SettingsError(
            [f"data.classes: there is no class {shown(name)} in the data; {nearest(name, names)}" for name in unknown]
        )
    return sorted(set(settings.classes)) or names

"""The errors a person sees: each says where the cause is, what was found, what was expected and what to do.

Exit codes, everywhere in pawprint: 0 the work is done; 1 the work failed (a check, the data, a training);
2 what was asked for cannot be understood (settings, options); 130 interrupted.
"""

import reprlib
from typing import Any

MAX_FAULTS = 50  # that are told together: more are of one kind


class PawprintError(Exception):
    """The work failed for a reason a person can mend; the message is all they need."""

    exit_code = 1


class SettingsError(PawprintError):
    """Settings or options that cannot be used; lists all faults at once."""

    exit_code = 2

    def __init__(self, faults: list[str]) -> None:
        more = len(faults) - MAX_FAULTS
        self.faults = faults if more <= 0 else [*faults[:MAX_FAULTS], f"… and {more} more"]
        super().__init__("\n".join(self.faults))


class DataError(PawprintError):
    """Pictures, labels or a split that cannot be used; lists every faulty file."""


class Damaged(PawprintError):
    """Files are not what the stage that wrote them left: nothing of them is used."""


class CheckFailed(PawprintError):
    """A check whose level is `stop` found a fault: nothing is trained."""


class _Short(reprlib.Repr):
    def repr_int(self, number: int, level: int) -> str:
        # Python refuses to spell out what has more than 4,300 digits.
        bits = number.bit_length()
        return super().repr_int(number, level) if bits < 10_000 else f"an integer of {bits} bits"


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 80


def shown(value: Any) -> str:
    """What was found, for a message: as Python writes it, and cut where it is long."""
    return _SHORT.repr(value)

"""The errors a person sees: each says where the cause is, what was found, what was expected and what to do.

Exit codes, everywhere in pawprint: 0 the work is done; 1 the work failed (a check, the data, a training);
2 what was asked for cannot be understood (settings, options); 130 interrupted.
"""


class PawprintError(Exception):
    """The work failed for a reason a person can mend; the message is all they need."""

    exit_code = 1


class SettingsError(PawprintError):
    """Settings or options that cannot be used; lists all faults at once."""

    exit_code = 2

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


class DataError(PawprintError):
    """Pictures, labels or a split that cannot be used; lists every faulty file."""


class Damaged(PawprintError):
    """Files are not what the stage that wrote them left: nothing of them is used."""


class CheckFailed(PawprintError):
    """A check whose level is `stop` found a fault: nothing is trained."""

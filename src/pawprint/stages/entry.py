"""How every stage begins and ends: errors become one message and an exit code, times are noted.

Times differ from run to run, so they go below `runs/` and never into an output that DVC hashes.
"""

import errno
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from pawprint import paths
from pawprint.errors import PawprintError, SettingsError, shown
from pawprint.integrity import verify_inputs
from pawprint.interruption import Interrupted, stoppable

DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def run_stage(main: Callable[..., None]) -> None:
    """Call `main` with the command line's arguments; exit 0, 1 (work failed), 2 (settings), 130 or 143 (stopped)."""
    work_started = time.time()
    name = os.environ.get("DVC_STAGE", main.__module__)
    try:
        with stoppable():
            arguments = _arguments(main)
            verify_inputs()
            main(*arguments)
    except PawprintError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            raise
        print(f"{name}: {error.filename or 'disk'}: {error.strerror}: nothing more can be written there; make room or "
              "make it writable, and run the same command again", file=sys.stderr)  # fmt: skip
        sys.exit(1)
    except Interrupted as stop:
        print(f"{name}: {stop}; the same command goes on", file=sys.stderr)
        sys.exit(stop.exit_code)
    _note_times(work_started)


def _arguments(main: Callable[..., None]) -> list[str]:
    names, given = list(inspect.signature(main).parameters), sys.argv[1:]
    if len(given) != len(names):
        usage = " ".join(["one argument, the" if names else "no arguments", *names])
        raise SettingsError([f"command line: expected {usage}; found {shown(given)}"])
    return given


def _note_times(work_started: float) -> None:
    """Append one line to runs/timings.jsonl: `start_up_seconds` is from the process's birth to its work."""
    line = {
        "stage": os.environ.get("DVC_STAGE", " ".join(sys.argv)),
        "start_up_seconds": round(work_started - psutil.Process().create_time(), 2),
        "work_seconds": round(time.time() - work_started, 2),
        "ended": time.time(),
    }
    with suppress(OSError):  # a disk that is full: the work is done all the same
        paths.timings().parent.mkdir(parents=True, exist_ok=True)
        with paths.timings().open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

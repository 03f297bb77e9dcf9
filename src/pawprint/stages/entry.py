"""How every stage begins and ends: errors become one message and an exit code, times are noted.

Times differ from run to run, so they go below `runs/` and never into an output that DVC hashes.
"""

import json
import os
import sys
import time
from collections.abc import Callable

import psutil

from pawprint import paths
from pawprint.errors import PawprintError
from pawprint.integrity import verify_inputs


def run_stage(main: Callable[..., None]) -> None:
    """Call `main` with the command line's arguments; exit 0, 1 (work failed), 2 (settings) or 130."""
    work_started = time.time()
    try:
        verify_inputs()
        main(*sys.argv[1:])
    except PawprintError as error:
        name = os.environ.get("DVC_STAGE", main.__module__)
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    _note_times(work_started)


def _note_times(work_started: float) -> None:
    """Append one line to runs/timings.jsonl: `start_up_seconds` is from the process's birth to its work."""
    line = {
        "stage": os.environ.get("DVC_STAGE", " ".join(sys.argv)),
        "start_up_seconds": round(work_started - psutil.Process().create_time(), 2),
        "work_seconds": round(time.time() - work_started, 2),
        "ended": time.time(),
    }
    paths.timings().parent.mkdir(parents=True, exist_ok=True)
    with paths.timings().open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")

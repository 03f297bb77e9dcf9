"""The process that delivers a spool to W&B: `python -m pawprint.tracking.courier FILE PID-OF-THE-TRAINING`.

A service that does not answer, or not for minutes, holds up this process and nothing else. It lives no longer than
the training: what it has not delivered is told again when the training goes on.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil

from pawprint.tracking.spool import forget, kill, read_spool

LOOK_EVERY_SECONDS = 0.5
CONFIRM_SECONDS = 3.0
INIT_SECONDS = 86400.0  # W&B's client goes on asking; the training does not wait for it


def main(file: Path, training: int) -> None:
    """Deliver what is and will be in `file`, and delete it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the training's to answer
    threading.Thread(target=_leave_with, args=(training,), daemon=True).start()
    try:
        from pawprint.tracking.wandb import deliver  # a second or more: watched by the thread already

        head, rows = read_spool(file, follow=True)
        deliver(head, rows, CONFIRM_SECONDS, init_timeout=INIT_SECONDS)
    except Exception as error:  # noqa: BLE001 whatever W&B's client raises: the training reads it and says it
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", flush=True)
        _leave()
    forget(file)


def _leave_with(training: int) -> None:
    while os.getppid() == training:  # whoever adopts us is another, so that no id can be used twice
        time.sleep(LOOK_EVERY_SECONDS)
    _leave()


def _leave() -> None:
    """At once: W&B's client would go on trying to deliver."""
    kill(psutil.Process().children(recursive=True))
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

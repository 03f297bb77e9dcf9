"""The verbs of the graph, one module each.

A stage's imports take seconds. From its first moment on it ends with the dvc that runs it, and Ctrl-C is no traceback.
"""

import sys
from types import TracebackType

from pawprint.interruption import stop_when_dvc_is_gone


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted before the work began", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _show
stop_when_dvc_is_gone()

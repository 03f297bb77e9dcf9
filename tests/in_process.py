"""`python -m module arguments` without a process of its own: the heavy imports are paid once."""

import contextlib
import io
import os
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def pawprint(folder: Path, *arguments: str, module: str = "pawprint.cli") -> Done:
    """`python -m module arguments` in `folder`, in this process: its imports are paid once."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["pawprint", *arguments]),
        mock.patch.dict(os.environ, {"NO_COLOR": "1", "COLUMNS": "100"}),
    ):
        try:
            sys.modules.pop(module, None)
            runpy.run_module(module, run_name="__main__")
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Done(code, out.getvalue(), err.getvalue())

"""A fork server: processes that begin with their imports done."""

import multiprocessing
import os
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[2]


def fork_server() -> ForkServerContext:
    """Its processes have pawprint's training, of this checkout, imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pawprint.stages.train", "tests.guarantees.kills", "tests.guarantees.saves"])
    with mock.patch.dict(os.environ, {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}):  # sys.path is not passed on
        forkserver.ensure_running()
    return context

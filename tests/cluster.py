"""A Ray cluster of several nodes on this machine, and a study whose variants it is to train."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.clone import Repository, clone, edit

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_process_group_cleanup_enabled": "true"}
MEMORY = 100 * 1024 * 1024  # bytes of shared memory that a node takes; more than a commit needs
STUDY = "studies/digits"


@contextmanager
def nodes(n: int) -> Iterator[Any]:
    """Inside, a cluster of a head on which nothing is placed and `n` nodes of a processor each."""
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    os.environ.update(QUIET)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": MEMORY})
    try:
        for _ in range(n):
            cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)


def study(folder: Path, **settings: Any) -> Repository:
    """The digits study in a clone, with what its variants begin with, committed; its remote is a folder beside it."""
    home = clone(folder / "home", study=STUDY)
    edit(home.folder / STUDY / "params.yaml", {"exported": [], "trackers": []} | settings, {})
    configure(home)
    home.run("dvc", "repro", "-q", "check")
    home.commit("what all variants begin with")
    return home


def copied(home: Repository, folder: Path) -> Repository:
    """The same elsewhere, with a remote of its own."""
    shutil.copytree(home.folder, folder / "home", symlinks=True)
    other = Repository(folder / "home", home.study)
    configure(other)
    return other


def configure(home: Repository) -> None:
    beside = home.folder.parent
    (home.folder / ".dvc/config.local").write_text(
        f"[core]\n    site_cache_dir = {beside / 'site_cache'}\n['remote \"beside\"']\n    url = {beside / 'remote'}\n"
    )


def fan_out(home: Repository, address: str, *options: str) -> subprocess.Popen[str]:
    """`pawprint fan-out` under way."""
    command = [sys.executable, "-m", "pawprint.cli", "fan-out", "--address", address, *options]
    folder, pipe = home.folder / home.study, subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=home.environment, text=True, stdout=pipe, stderr=pipe)

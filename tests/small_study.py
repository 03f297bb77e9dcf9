"""A small study with results in DVC's cache, in seconds: stages in this process, then DVC's own commit."""

import contextlib
import os
import shutil
from pathlib import Path

from dvc.repo import Repo

from tests.clone import ROOT, Repository
from tests.in_process import pawprint

PARAMS = """
study: small
data: {source: digits, image_size: 8, path: null, split_file: null, draw_pixels: 64, n_per_class: 40, seed: 0,
       classes: []}
model: mlp
mlp_widths: [8]
epochs: 1
random_flip: false
random_crop_percent: 0.0
seeds: [0]
pretrained_source: none
pretrain: {}
variants: {baseline: {}, lr_1e-2: {lr: 0.01}}
questions: {}
asks: {}
asks_zh: {}
language: en
exported: [baseline]
compressed: []
compress: {}
claims: {}
checks: {output_shape: {}}
probed: [baseline]
probes: {brightness: {factors: [0.5, 1.0]}}
"""
STAGES = (
    "fetch", "prepare", "resolve", "pretrain", "start", "check", "train baseline", "train lr_1e-2", "test baseline",
    "test lr_1e-2", "probe baseline", "export baseline", "compare", "report",
)  # fmt: skip


def small_study(folder: Path) -> Repository:
    """The root's graph on scikit-learn's digits, run and committed; `folder` is a git repository of its own."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "cache", "tmp")
    for name in ("src", ".dvc"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in (".dvcignore", ".gitignore", ".gitattributes", "dvc.yaml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(PARAMS)
    (folder / ".dvc/config.local").write_text(f"[core]\n    site_cache_dir = {folder.parent / 'site_cache'}\n")
    for stage in STAGES:
        name, *arguments = stage.split()
        done = pawprint(folder, *arguments, module=f"pawprint.stages.{name}")
        assert done.returncode == 0, done.stderr
    repository = Repository(folder)
    repository.run("git", "init", "-q", "-b", "main")
    with contextlib.chdir(folder), Repo() as repo:
        repo.commit(force=True)
    repository.commit("results")
    return repository


def copy(repository: Repository, folder: Path) -> Repository:
    """The study elsewhere, with its cache."""
    shutil.copytree(repository.folder, folder, symlinks=True)
    (folder / ".dvc/config.local").write_text(f"[core]\n    site_cache_dir = {folder.parent / 'site_cache'}\n")
    return Repository(folder)


def flip_bit(path: Path, byte: int | None = None, bit: int = 0) -> None:
    """Damage as it comes: one bit, in place, with nothing to show for it in the file's times or mode."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2 if byte is None else byte] ^= 1 << bit
    path.chmod(0o644)
    with path.open("r+b") as file:  # the same inode
        file.write(content)
    path.chmod(status.st_mode)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

"""From what a report was made: the command, the versions, the data, the device; and the commit, by hand."""

from __future__ import annotations

import subprocess

from pawprint.report.evidence import Evidence

NO_COMMIT = "the one whose dvc.lock lists this report (git log -1 dvc.lock)"


def provenance(evidence: Evidence, command: str, commit: str | None = None) -> dict[str, str]:
    """Name → value. What is part of a commit cannot name it, so the stage's report says how to find it."""
    records = list(evidence.records.values())
    versions = {f"{name} {version}" for record in records for name, version in record["versions"].items()}
    seeds = ", ".join(map(str, sorted({spec.seed for spec in evidence.specs})))
    return {
        "command": command,
        "study": f"{evidence.study.study}: {len(evidence.rows)} runs, {len(records)} trainings, seeds {seeds}",
        "commit": commit or NO_COMMIT,
        "data": f"{evidence.study.data.source}, {_shape(evidence)}, sha256 {evidence.data.content_hash}",
        "split": f"sha256 {evidence.data.split_hash}",
        "device": ", ".join(sorted({record["device"] for record in records})),
        "versions": ", ".join(sorted(versions)),
    }


def commit() -> str | None:
    """HEAD, and whether tracked files differ from it; None outside a git repository."""
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None
    return f"{head}, with changes that are not committed" if _git("status", "--porcelain", "-uno") else head


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _shape(evidence: Evidence) -> str:
    channels, height, width = evidence.data.image_shape
    kind = {1: "gray", 3: "color"}.get(channels, f"{channels} channels")
    return f"{len(evidence.data.class_names)} classes, {width} x {height} pixels, {kind}"

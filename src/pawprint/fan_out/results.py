"""`python -m pawprint.fan_out.results STAGE...`: push all that stages left, so that another checkout can restore it.

`dvc push --run-cache` leaves out what `cache: false` keeps in Git, the metrics, which DVC's run cache needs to restore
a stage. They are in the cache all the same, and go first: a run is named only once everything of it is there.
"""

import sys

from dvc.repo import Repo


def push(stages: list[str]) -> None:
    """To the default remote, from the study in this folder."""
    with Repo() as repo:
        outputs = [output for name in stages for stage in repo.stage.collect(name) for output in stage.outs]
        pushed = repo.cloud.push([output.hash_info for output in outputs])
        if pushed.failed:
            sys.exit(f"{len(pushed.failed)} objects of {', '.join(stages)} could not be pushed")
        repo.stage_cache.push(None)


if __name__ == "__main__":
    push(sys.argv[1:])

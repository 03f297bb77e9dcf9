"""`python -m pawprint.fan_out.results STAGE...`: push all that stages left, so that another checkout can restore it.

`dvc push --run-cache` leaves out what `cache: false` keeps in Git, the metrics, without which DVC's run cache does not
restore a stage. They are in the cache all the same. A run is named only once everything of it is there.
"""

import sys

from dvc.repo import Repo


def push(names: list[str]) -> None:
    """The outputs of these stages, and then the run cache, from the study in this folder to the default remote."""
    with Repo() as repo:
        for stage in [stage for name in names for stage in repo.stage.collect(name)]:
            for output in stage.outs:
                output.use_cache = True
            for objects in stage.get_used_objs().values():
                if failed := repo.cloud.push(objects).failed:
                    sys.exit(f"{stage.addressing}: {len(failed)} of {len(objects)} objects could not be pushed")
        repo.stage_cache.push(None)


if __name__ == "__main__":
    push(sys.argv[1:])

"""`pawprint fan-out`: what is not up to date of a study's variants goes to a Ray cluster, a job each."""

import contextlib
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.stage.cache import RunCacheNotSupported

from pawprint import paths
from pawprint.errors import PawprintError, SettingsError
from pawprint.fan_out.board import Board
from pawprint.fan_out.job import Home, Job, versions
from pawprint.network import REACH_SECONDS
from pawprint.params import nearest, read_study
from pawprint.types import RunSpec

ABSENT = ("deleted", "not in cache")  # what `dvc status` calls an output that nobody pulled


def fan_out(study: Path, variants: list[str], address: str | None) -> None:
    """Run the variants of the study (all that are not up to date) on the cluster, and push what they leave.

    Raises SettingsError for what cannot be sent away as it is, PawprintError where a job failed.
    """
    with contextlib.chdir(study):
        top = Path(_run("git", "rev-parse", "--show-toplevel"))
        refuse_changes(top)
        _, specs = read_study(paths.PARAMS)
        folder = str(Path.cwd().relative_to(top))
        jobs = jobs_of(specs, variants, *read_graph(), folder)
        if not jobs:
            print("every variant is up to date")
            return
        config = remote()
        with cluster(address):
            print(f"pushing what {len(jobs)} variants begin with", file=sys.stderr)
            _run("dvc", "push", *sorted({name for job in jobs for name in job.inputs}))
            failed = _on_the_cluster(jobs, Home(_bundle(top), config, versions(packages())))
    if failed:
        names = ", ".join(failed)
        raise PawprintError(f"{len(failed)} of {len(jobs)} variants failed: {names}; what did not is in the remote")
    print("now `dvc repro --pull` takes the results from the remote, and compares")


def refuse_changes(top: Path) -> None:
    """SettingsError unless the working tree is the commit: that is what runs."""
    if changed := _run("git", "status", "--porcelain", "--", str(top)):
        names = ", ".join(line.split(maxsplit=1)[1] for line in changed.splitlines()[:5])
        raise SettingsError([f"what runs on the cluster is the commit, and these differ from it: {names}; commit them"])


def read_graph() -> tuple[dict[str, list[str]], set[str]]:
    """Each stage of the study in this folder, with those whose outputs it reads; and which of them are to be run.

    A stage whose outputs are merely not here has run; one that reads what a stale one writes is stale.
    """
    with Repo() as repo:
        stages = [stage for stage in repo.index.stages if Path(stage.path) == paths.GRAPH.resolve()]
        graph = {stage.name: [other.name for other in repo.index.graph.successors(stage)] for stage in stages}
        changed = repo.status([str(paths.GRAPH)])
    stale = {name.rpartition(":")[2] for name, changes in changed.items() if not all(map(_only_absent, changes))}
    while more := {name for name in graph if name not in stale and stale.intersection(graph[name])}:
        stale |= more
    return graph, stale


def _only_absent(change: str | dict[str, dict[str, Any]]) -> bool:
    """Of what `dvc status` tells of a stage: `changed command`, or paths, inputs or outputs, and how they changed."""
    return isinstance(change, dict) and all(how in ABSENT for changed in change.values() for how in changed.values())


def jobs_of(
    specs: list[RunSpec], variants: list[str], graph: dict[str, list[str]], stale: set[str], folder: str
) -> list[Job]:
    """A job for each of `variants`, or (none named) for each of all, of which a stage is stale.

    Raises SettingsError for an unknown variant, and for a stage that several variants need and that is stale.
    """
    known = list(dict.fromkeys(spec.variant for spec in specs))
    several = sorted({spec.variant for spec in specs if spec.num_nodes > 1 and spec.variant in (variants or known)})
    if several:
        raise SettingsError([f"{name}: num_nodes: expected 1, as a job is one machine's: docs/several-devices.md"
                             for name in several])  # fmt: skip
    if unknown := [name for name in variants if name not in known]:
        raise SettingsError([f"{name}: no variant of {paths.PARAMS}; {nearest(name, known)}" for name in unknown])
    jobs = []
    for variant in variants or known:
        runs = [spec for spec in specs if spec.variant == variant]
        stages = tuple(name for name in graph if name in stale and name.partition("@")[2] == variant)
        if stages:
            inputs = tuple(sorted({name for stage in stages for name in graph[stage]}.difference(stages)))
            cpus = max(run.threads * run.devices for run in runs)
            gpus = max(run.devices * (run.accelerator == "cuda") for run in runs)
            jobs.append(Job(variant, folder, inputs, stages, cpus, gpus))
    if shared := sorted({name for job in jobs for name in job.inputs if name in stale}):
        raise SettingsError([f"not up to date, and needed by several variants: {', '.join(shared)}; "
                             f"`dvc repro {' '.join(shared)}`, then commit dvc.lock with what it changed"])  # fmt: skip
    return jobs


def remote() -> dict[str, Any]:
    """DVC's settings for a node: the default remote, as it is called, and with what is needed to use it, here."""
    with Repo() as repo:
        name = repo.config["core"].get("remote")
        if name is None:
            raise SettingsError(["DVC has no default remote, where nodes could get data and leave results: "
                                 "`dvc remote add --default NAME URL`"])  # fmt: skip
        try:
            repo.stage_cache.pull(None)  # all runs there: that it can be reached is known before anything is sent
        except RunCacheNotSupported as error:
            raise SettingsError([f"remote {name}: {error}; results can only come back through a run cache: "
                                 "use a folder that all nodes see, SSH or S3"]) from None  # fmt: skip
        except (DvcException, OSError) as error:
            raise PawprintError(f"remote {name} cannot be used: {error}") from error
        return {"core": {"remote": name}, "remote": {name: dict(repo.config["remote"][name])}}


def packages() -> list[str]:
    """What pawprint needs to run, by name; results may depend on the version of each."""
    needed = [line for line in metadata.requires("pawprint") or () if "extra ==" not in line]
    return sorted(re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in needed)


@contextlib.contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Inside, Ray is connected to the cluster at `address`, or at RAY_ADDRESS, or to the one of this machine."""
    try:
        import ray
    except ImportError:
        raise SettingsError(["Ray is not installed: `make cluster` adds it to .venv, here and on each node"]) from None
    address = address or os.environ.get("RAY_ADDRESS") or "auto"
    try:
        if ":" in address:  # Ray itself would try for minutes
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS).close()
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise SettingsError([f"no Ray cluster at {'this machine' if address == 'auto' else address} "
                             f"({str(error).splitlines()[0]}); `ray start --head --port=6379` begins one here, and "
                             "`ray start --address=HERE:6379` on another machine joins it"]) from None  # fmt: skip
    try:
        yield
    finally:
        ray.shutdown()


def _on_the_cluster(jobs: list[Job], home: Home) -> list[str]:
    """Run the jobs, tell how they get on, and return the variants that failed; Ctrl-C cancels what is left."""
    import ray
    from ray.util.queue import Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from pawprint.fan_out import job as module

    ray.cloudpickle.register_pickle_by_value(module)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    news = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})

    @ray.remote
    def variant(job: Job, home: Home, news: Queue) -> str | None:
        node, actor = ray.util.get_node_ip_address(), cast(Any, news.actor)
        # Not `news.put`, which waits: while a task waits, Ray gives its processor to another.
        return module.work(job, home, lambda what: actor.put.remote((job.variant, node, what)))

    sent, board = ray.put(home), Board([job.variant for job in jobs])
    tasks = {variant.options(num_cpus=job.cpus, num_gpus=job.gpus, name=job.variant).remote(job, sent, news): job
             for job in jobs}  # fmt: skip
    waiting = list(tasks)
    try:
        with board.shown():
            while waiting:
                ended, waiting = ray.wait(waiting, timeout=1.0)
                board.hear(news.get_nowait_batch(news.qsize()))
                for task in ended:
                    board.end(tasks[task].variant, _failure(task))
    except KeyboardInterrupt:
        for task in waiting:
            ray.cancel(task)
        ray.wait(waiting, num_returns=len(waiting), timeout=10.0)
        raise
    return board.failed


def _failure(task: Any) -> str | None:
    """Why the job failed, None if it did not."""
    import ray

    try:
        return ray.get(task)
    except ray.exceptions.RayError as error:  # its node lost more often than Ray retries, or a fault of the job's own
        return f"{type(error).__name__}: {str(error).strip()}"


def _bundle(top: Path) -> bytes:
    """The commit with all that it comes from."""
    command = ["git", "bundle", "create", "--quiet", "-", "HEAD"]  # of a folder below, `-` would be a file's name
    return subprocess.run(command, cwd=top, check=True, capture_output=True).stdout


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise PawprintError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout.rstrip()

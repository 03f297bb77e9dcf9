"""What a person types: `pawprint train`, `inspect`, `audit`, `doctor` … Heavy imports wait until a command needs them.

Exit codes: 0 done, 1 the work failed, 2 settings or options cannot be used, 130 interrupted.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pawprint.errors import PawprintError, SettingsError
from pawprint.serve.limits import Limits

app = typer.Typer(
    help="Train and test image classifiers, reproducibly. `dvc repro` runs a study; these are the pieces by hand.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help in a third of the time
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 the work failed, 2 settings or options cannot be used, 130 interrupted.",
)

LIMITS = Limits()  # of the server, as they are unless told otherwise
LOOPBACK = "127.0.0.1"

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; results and errors only.")]


@app.callback()
def _options() -> None:
    """Several commands, also while there are few."""


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Any setting of params.yaml: pawprint train --variant baseline --lr 1e-2 --batch-size 64",
)
def train(
    context: typer.Context,
    variant: Annotated[str, typer.Option(help="A variant of this folder's params.yaml.")] = "baseline",
    seed: Annotated[int | None, typer.Option(help="One seed instead of the variant's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; default: a new folder below runs/train.")] = None,
    quiet: Quiet = False,
) -> None:
    """Train one variant by hand, settings overridden on the command line; never into DVC's outputs."""
    from pawprint import paths
    from pawprint.by_hand import train_by_hand
    from pawprint.params import parse_options, read_study

    if quiet:
        os.environ["PAWPRINT_PROGRESS"] = "quiet"
    study, specs = read_study(paths.PARAMS, parse_options(context.args), of=variant)
    for line in train_by_hand(study, specs, variant, seed, out):
        print(line)


@app.command(
    epilog="The model is one of models/train, as `dvc pull train@baseline` or `dvc repro` leaves it, or of "
    "models/export. Exit codes: 0 all answered, 1 a picture cannot be used, 2 the options cannot be used.",
)
def predict(
    images: Annotated[
        list[Path],
        typer.Argument(help="Picture files: JPEG, PNG, GIF, BMP, WebP, TIFF; of a folder or .zip all in it, as a CSV."),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="A variant (its first seed), a folder of weights, an .onnx file; default: baseline, or any there is."
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to name of each picture.")] = 3,
    tta: Annotated[
        str | None,
        typer.Option(help="Average over views of each picture: flip, crops, rotations, scales, all."),
    ] = None,
    tta_way: Annotated[
        str | None, typer.Option(help="Average them by: probabilities (the default), logits, vote.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A .csv to write; default: stdout.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: probabilities from 0 to 1.")] = False,
) -> None:
    """Ask a trained model what pictures show; without data or settings."""
    from pawprint import predict as answering

    averaging = answering.averaging_of(tta, tta_way)
    said, complaint = answering.predict_command(images, model, top, as_json, out, averaging)
    print(said)
    if complaint:
        raise PawprintError(complaint)


@app.command(
    "serve",
    epilog="For example: pawprint serve --model models/export/baseline/model.onnx. Ctrl-C or SIGTERM: what is accepted "
    "is answered, what is new gets 503, then it ends with exit code 0; a second one ends it at once.",
)
def serve_model(
    model: Annotated[
        str | None,
        typer.Option(
            help="A variant (its first seed), a folder of weights, an .onnx file; default: baseline, or any there is."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: whoever reaches this machine.")] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at most in one call of the model.")] = LIMITS.batch,
    wait_ms: Annotated[
        float, typer.Option(min=0, help="A batch waits at most so long for pictures on their way.")
    ] = LIMITS.wait_ms,
    queue: Annotated[int, typer.Option(min=1, help="Pictures under way at once; more get 503.")] = LIMITS.queue,
    overload_queue: Annotated[
        int, typer.Option(min=1, help="So many of them, from a refusal until there was none for a second.")
    ] = LIMITS.overload_queue,
    uploads: Annotated[int, typer.Option(min=1, help="Bodies being read at once; more get 503.")] = LIMITS.uploads,
    decoders: Annotated[int, typer.Option(min=1, help="Threads that decode pictures.")] = LIMITS.decoders,
    max_megabytes: Annotated[
        float, typer.Option(min=0.001, help="Of a request's body; more gets 413.")
    ] = LIMITS.max_megabytes,
    max_megapixels: Annotated[
        float, typer.Option(min=0.001, max=LIMITS.max_megapixels, help="Of a picture; more gets 422.")
    ] = LIMITS.max_megapixels,
    read_seconds: Annotated[
        float, typer.Option(min=0.01, help="For a request's head, and for its body; longer gets 408.")
    ] = LIMITS.read_seconds,
    answer_seconds: Annotated[
        float, typer.Option(min=0.01, help="From there to its answer; longer gets 503.")
    ] = LIMITS.answer_seconds,
    grace_seconds: Annotated[
        float, typer.Option(min=0, help="For what is accepted, once told to stop.")
    ] = LIMITS.grace_seconds,
) -> None:
    """Answer over HTTP what pictures show: /predict for programs, / for people, /docs says how."""
    from pawprint.serve.command import serve_command

    limits = Limits(
        batch=batch, wait_ms=wait_ms, queue=queue, overload_queue=overload_queue, uploads=uploads, decoders=decoders,
        max_megabytes=max_megabytes, max_megapixels=max_megapixels, read_seconds=read_seconds,
        answer_seconds=answer_seconds, grace_seconds=grace_seconds,
    )  # fmt: skip
    serve_command(model, host, port, limits)


@app.command(
    "inspect",
    epilog="For example: pawprint inspect baseline cat.jpg dog.jpg --layer layer2.1.conv2",
)
def inspect_model(
    checkpoint: Annotated[str, typer.Argument(help="A variant (its first seed), or a folder of weights.")],
    images: Annotated[list[Path], typer.Argument(help="Picture files: JPEG, PNG, GIF, BMP, WebP, TIFF.")],
    layer: Annotated[
        list[str] | None, typer.Option(help="This layer, by its name in the model; may be given several times.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the page; default: below runs/inspect.")] = None,
) -> None:
    """Look inside a trained model: its layers, filters and graph, and what becomes of pictures in it."""
    from pawprint.inspect_command import inspect_command

    print(inspect_command(checkpoint, images, layer or (), out))


@app.command("init-data")
def init_data_command(
    folder: Annotated[Path, typer.Argument(help="One folder a class; train/val/test above them if you have a split.")],
) -> None:
    """Check a folder of your own pictures, and point params.yaml at it."""
    from pawprint import paths
    from pawprint.data.init_data import init_data

    print(init_data(folder, paths.PARAMS))


@app.command(
    "audit",
    epilog="FILE.py offers any of get_dataset() -> (train, val, test), get_model(), get_trained_model(), "
    "get_test_set(), get_optimizer(model), get_loss(). Exit codes: 0 nothing failed, 1 a test failed, 2 one could "
    "not run.",
)
def audit_work(
    file: Annotated[Path, typer.Argument(help="Python that offers data and models; its code is run.")],
    json_to: Annotated[str | None, typer.Option("--json", help="A .json to write, or - for stdout.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the page; default: runs/audit.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="This test alone; may be given several times.")] = None,
) -> None:
    """Test someone else's data, model and training: every check and probe, without any settings."""
    from pawprint.audit.command import audit_command

    sys.exit(audit_command(file, json_to, out, only or ()))


@app.command("verify")
def verify_study(
    study: Annotated[Path, typer.Argument(help="The study's folder.")] = Path(),
    jobs: Annotated[int, typer.Option(min=1, help="Trainings side by side.")] = 2,
) -> None:
    """Run the commit from scratch in a copy, and compare every output with what dvc.lock names."""
    from pawprint.verify import verify

    verification = verify(study, jobs)
    for line in verification.lines():
        print(line)
    sys.exit(0 if verification.passed else 1)


@app.command(
    "fan-out",
    epilog="For example: pawprint fan-out --address 10.0.0.1:6379; then `dvc repro --pull`. docs/many-machines.md says "
    "what nodes need. Exit codes: 0 all done, 1 a variant failed, 2 nothing was sent, 130 interrupted.",
)
def fan_out_study(
    study: Annotated[Path, typer.Argument(help="The study's folder.")] = Path(),
    variant: Annotated[
        list[str] | None,
        typer.Option(help="This one; may be given several times. Default: all that are not up to date."),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster; default: RAY_ADDRESS, or the one that this machine is in.")
    ] = None,
) -> None:
    """Run the study's variants on a Ray cluster, each on one node, and leave the results in DVC's remote."""
    from pawprint.fan_out.command import fan_out

    fan_out(study, variant or [], address)


@app.command("report")
def report_study(
    out: Annotated[Path | None, typer.Option(help="The page to write; default: report.html in this folder.")] = None,
) -> None:
    """Write the study's page: each question with its charts, its table and a reading."""
    from pawprint.report.command import report_command

    print(report_command(out))


@app.command("track")
def track_runs(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN...", help="A variant, VARIANT/RUN-s0, a folder of a training, or a file of rows."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every training of this study.")] = False,
) -> None:
    """Tell W&B trainings that it was not told: to your account, or without one as files below runs/wandb."""
    from pawprint.track import track

    for line in track(runs or [], everything):
        print(line, flush=True)


@app.command(
    "diagnose",
    epilog="FILE.csv: …-steps.csv of ours, a chart or a history that W&B exported, scalars that TensorBoard exported, "
    "or any table with a column a curve. Exit codes: 0 no alarm, 1 an alarm, 2 it cannot be used.",
)
def diagnose_runs(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN|FILE.csv...", help="A variant, VARIANT/RUN-s0, a training's folder, or curves."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    said: Annotated[
        list[str] | None,
        typer.Option("--as", metavar="COLUMN=QUANTITY", help="What a column is; may be given several times."),
    ] = None,
) -> None:
    """Read a training's curves: which symptoms they show, on what evidence, and what to try."""
    from pawprint.diagnosis.command import diagnose_command

    sys.exit(diagnose_command(runs, as_json, said or ()))


@app.command(epilog="Exit codes: 0 nothing wrong, 1 something is, 2 the options cannot be used.")
def doctor(
    remote: Annotated[bool, typer.Option("--remote", help="Read the remote's objects too.")] = False,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Of a remote; else the default one.")] = None,
    mend: Annotated[bool, typer.Option("--mend", help="Move damaged objects away, put whole ones back.")] = False,
    all_objects: Annotated[bool, typer.Option("--all", help="Objects of other commits and experiments too.")] = False,
) -> None:
    """Check cache, workspace and remote against dvc.lock, and whether DVC can work here; what mends each fault."""
    from pawprint.doctor.command import doctor_command

    sys.exit(doctor_command(name, remote or name is not None, mend, all_objects))


def main() -> None:
    """The `pawprint` command: errors become one message on stderr and an exit code."""
    try:
        app()
    except SettingsError as error:
        for fault in error.faults:
            print(f"pawprint: {fault}", file=sys.stderr)
        sys.exit(error.exit_code)
    except PawprintError as error:
        print(f"pawprint: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

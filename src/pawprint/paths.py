"""Where every artefact lives: the only module that spells a path.

Paths are relative to the study's folder, in which every stage runs. What one person's machine alone
needs (resumable state, trackers' files, timings) lies outside DVC's outputs, below `runs()`.
"""

import hashlib
import os
from pathlib import Path

from pawprint.types import TrainOutputs

PARAMS = Path("params.yaml")
GRAPH = Path("dvc.yaml")
LOCK = Path("dvc.lock")  # what each stage read and wrote, by hash
RESOLVED = Path("params")  # <variant>.yaml each
FETCHED = Path("data/fetch")
PREPARED = Path("data/prepare")
PRETRAINED = Path("models/pretrain")  # weights, record and curves of the source task
PRETRAIN_METRICS = Path("metrics/pretrain.json")
TRAINED = Path("models/train")  # <variant>/<run>-s<seed>/ each
STARTS = Path("models/start")  # <variant>/ each
EXCLUDED = Path("data/check/excluded.csv")
CHECK_REPORT = Path("metrics/check/report.json")
CHECK_FIGURES = Path("plots/check")  # the report as a page, each check's figure and table
PICTURES = "pictures"  # what a check of the data alone is about
GATE = Path("metrics/check/gate.json")
COMPARISON = Path("metrics/compare/table.json")
CLAIMS = Path("metrics/compare/claims.json")
CONTESTS = Path("metrics/compare/contests.json")  # question → the run that val chooses, and its lead on test
SLOWNESS = Path("metrics/compare/slowness.json")
SYMPTOMS = Path("metrics/compare/symptoms.json")  # run → what its curves show, the surest first
COMPARISON_CHARTS = Path("plots/compare")
REPORT = Path("report")  # the answers as a page, as LaTeX, and a model card of each exported variant
REPORT_BY_HAND = Path("report.html")  # what `pawprint report` writes: the page, and what no two machines have alike

DVC_LOCK = Path(".dvc/tmp/lock")  # in the repository's root: whoever holds it (flock) works on dvc.lock and the cache
DVC_RWLOCKS = (Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/exps/rwlock"))  # JSON: path → who reads or writes it
QUARANTINE = Path(".dvc/tmp/damaged")  # in the repository's root: what `pawprint doctor --mend` moved away

PACKAGE = Path(__file__).parent

# What `train` imports of pawprint, beside its stage: a change here is another training.
# A test holds this list against dvc.yaml and against the imports themselves.
TRAINING_CODE = (
    "__init__.py",
    "atomic.py",
    "contradictions.py",
    "data/arrays.py",
    "data/batches.py",
    "data/index.py",
    "data/prepared.py",
    "data/share.py",
    "data/views.py",
    "diagnostics/activation_functions.py",
    "diagnostics/activations.py",
    "diagnostics/curvature.py",
    "diagnostics/gradient_noise.py",
    "diagnostics/gradient_norm.py",
    "diagnostics/histograms.py",
    "diagnostics/layer_updates.py",
    "diagnostics/layers.py",
    "diagnostics/probe_loss.py",
    "diagnostics/weight_gradients.py",
    "diagnostics/weight_norm.py",
    "errors.py",
    "graph.py",
    "integrity.py",
    "interruption.py",
    "locks.py",
    "memory.py",
    "models",
    "network.py",
    "objectives",
    "params.py",
    "paths.py",
    "progress.py",
    "records.py",
    "seeding.py",
    "stages/__init__.py",
    "stages/entry.py",
    "stages/train.py",
    "symptoms/__init__.py",
    "symptoms/diagnose.py",
    "symptoms/early.py",
    "symptoms/fitting.py",
    "symptoms/gradients.py",
    "symptoms/layers.py",
    "symptoms/leaks.py",
    "symptoms/measures.py",
    "symptoms/rates.py",
    "symptoms/signs.py",
    "symptoms/trends.py",
    "tensors.py",
    "tracking",
    "training",
    "types.py",
    "yaml_files.py",
)


def resolved(variant: str) -> Path:
    """The variant's settings as `resolve` wrote them."""
    return RESOLVED / f"{variant}.yaml"


def pretrained_weights() -> Path:
    """What the source task left for every pretrained training."""
    return PRETRAINED / "weights.safetensors"


def start(variant: str) -> Path:
    """The weights that the variant's pretrained runs begin with; there only if it has any."""
    return STARTS / variant / "weights.safetensors"


def train_outputs(variant: str, root: Path = Path()) -> TrainOutputs:
    """Where `train` writes; `root` is another folder than the study's for a training by hand."""
    return TrainOutputs(
        models=root / TRAINED / variant,
        curves=root / "plots/train" / variant,
        metrics=root / "metrics/train" / f"{variant}.json",
    )


def check_file(subject: str, check: str, suffix: str) -> Path:
    """Where a check's figure (`.png`) or table (`.csv`) is; `subject`: PICTURES, or model, head and optimizer."""
    name = check if subject == PICTURES else f"{subject.replace(', ', '-')}-{check}"
    return CHECK_FIGURES / f"{name}{suffix}"


def test_metrics(variant: str) -> Path:
    return Path("metrics/test") / f"{variant}.json"


def test_tables(variant: str) -> Path:
    """Folder of predictions, per-class figures and the confusion matrix."""
    return Path("plots/test") / variant


def probe_metrics(variant: str) -> Path:
    return Path("metrics/probe") / f"{variant}.json"


def probe_figures(variant: str) -> Path:
    return Path("plots/probe") / variant


def exported(variant: str) -> Path:
    """Folder of the files by which a variant's model is handed on, and of the record of them."""
    return Path("models/export") / variant


def export_metrics(variant: str) -> Path:
    return Path("metrics/export") / f"{variant}.json"


def compressed(variant: str) -> Path:
    """Folder of the smaller models that were made of a variant's, and of the record of them."""
    return Path("models/compress") / variant


def compress_metrics(variant: str) -> Path:
    return Path("metrics/compress") / f"{variant}.json"


def runs() -> Path:
    """The absolute folder of what is not an output: PAWPRINT_RUNS, or `runs/` in the study's folder.

    `dvc exp run --temp` and `--queue` work in a copy below `.dvc/tmp/exps` that is deleted afterwards;
    what must outlive it goes to the checkout that the copy was made from.
    """
    if "PAWPRINT_RUNS" in os.environ:
        return Path(os.environ["PAWPRINT_RUNS"]).resolve()
    here = Path.cwd()
    for parent in here.parents:
        if parent.parts[-3:] == (".dvc", "tmp", "exps"):
            copy = next(folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir())
            return parent.parents[2] / here.relative_to(copy) / "runs"
    return here / "runs"


def resumable_state(variant: str, key: str, run_id: str) -> Path:
    return runs() / "state" / f"{variant}-{key}-{run_id}.safetensors"


def lock(of: str) -> Path:
    """The file that is locked by whoever works on `of`, a training's id or the folder it writes to."""
    return runs() / "locks" / hashlib.sha256(of.encode()).hexdigest()[:16]


def pretraining_data() -> Path:
    """Folder of the source task's pictures while it is trained."""
    return runs() / "pretrain"


def tracker_files(tracker: str) -> Path:
    return runs() / tracker


def unsent(run_id: str) -> Path:
    """A run's rows until W&B's service has them."""
    return tracker_files("wandb") / "unsent" / f"{run_id}.jsonl"


def timings() -> Path:
    return runs() / "timings.jsonl"


def epoch_time() -> Path:
    """How long an epoch takes at each batch size, measured on this machine."""
    return runs() / "epoch_time.json"

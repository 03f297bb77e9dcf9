"""prepare: split the fetched pictures and pack them into arrays, into data/prepare."""

from pawprint import paths
from pawprint.data.faults import read_faults
from pawprint.data.packed import pack
from pawprint.data.prepared import load
from pawprint.params import read_study
from pawprint.stages.entry import run_stage


def main() -> None:
    """Write data/prepare, completely or not at all."""
    settings = read_study(paths.PARAMS)[0].data
    pack(paths.FETCHED, paths.PREPARED, settings)
    data = load(paths.PREPARED)
    _, height, width = data.image_shape
    n_dropped = len(read_faults(paths.PREPARED / "dropped.csv"))
    dropped = f" ({n_dropped} left out)" if n_dropped else ""
    unlabelled = f", unlabelled {len(data.unlabelled)}" if data.unlabelled else ""
    print(
        f"train {len(data.train)}, val {len(data.val)}, test {len(data.test)}{unlabelled} pictures"
        f" of {len(data.class_names)} classes{dropped}, {height} x {width} px; split {data.split_hash[:8]}…"
    )


if __name__ == "__main__":
    run_stage(main)

"""fetch: get the pictures of `data.source` and their index, into data/fetch."""

from pawprint import paths
from pawprint.atomic import whole_folder
from pawprint.data.faults import counted, read_faults
from pawprint.data.index import UNLABELLED, labels_in, read_table
from pawprint.data.sources import SOURCES
from pawprint.params import read_study
from pawprint.stages.entry import run_stage


def main() -> None:
    """Write data/fetch, completely or not at all; `prepare` decides what becomes of faults."""
    settings = read_study(paths.PARAMS)[0].data
    with whole_folder(paths.FETCHED) as unfinished:
        SOURCES[settings.source](settings, unfinished)
    index, faults = read_table(paths.FETCHED / "index.csv"), read_faults(paths.FETCHED / "faults.csv")
    noted = f"; {len(faults)} faults in {paths.FETCHED / 'faults.csv'}: {counted(faults)}" if faults else ""
    n_unlabelled = int((index["split"] == UNLABELLED).sum())
    without = f", {n_unlabelled} of them unlabelled" if n_unlabelled else ""
    print(f"{settings.source}: {len(index)} pictures of {len(labels_in(index))} classes{without}{noted}")


if __name__ == "__main__":
    run_stage(main)

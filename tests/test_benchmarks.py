"""The ratio behind every benchmark, on a clock of our own: no test judges the real one. And what is compared."""

import gzip
import json
import mmap
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import imagehash
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from benchmarks import __main__ as bench
from benchmarks import (
    accelerator,
    cost,
    diagnostics,
    epoch,
    growth,
    infer,
    inside,
    leakage_search,
    loader,
    noop,
    pictures,
    probe,
    small_model,
    step,
    study,
    tta,
)
from benchmarks.apart import apart
from benchmarks.ratio import Comparison, Range, Work, in_turn, timed
from benchmarks.serve import untrained
from benchmarks.step import noise as pictures_of_noise
from pawprint.data.hashes import near_pairs, pack_bits
from pawprint.readme import END
from pawprint.trained_model import open_model


class Watch:
    """A clock that only moves when work moves it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.done: list[str] = []

    def work(self, name: str, durations: list[float]) -> Work:
        """Work that takes the given times, one after the other."""
        rest = iter(durations)

        def act() -> None:
            self.done.append(name)
            self.now += next(rest)

        return timed(act, clock=lambda: self.now)


def test_works_take_turns_and_the_warm_up_does_not_count() -> None:
    watch = Watch()
    works = {"ours": watch.work("ours", [90, 3, 1, 2]), "theirs": watch.work("theirs", [50, 2, 4, 2])}
    seconds = in_turn(works, repeats=3, warm_up=1)
    assert seconds == {"ours": [3, 1, 2], "theirs": [2, 4, 2]}
    assert watch.done == ["ours", "theirs", "theirs", "ours"] * 2


def test_a_comparison_is_of_medians_ranges_and_the_rounds_own_ratios() -> None:
    """The second round was slow for both: it moves the ranges, and the ratio not at all."""
    comparison = Comparison("step", "bare", ours_seconds=[3.0, 40.0, 3.0], theirs_seconds=[2.0, 20.0, 2.0])
    assert comparison.ours == Range(median=3.0, low=3.0, high=40.0)
    assert comparison.theirs == Range(median=2.0, low=2.0, high=20.0)
    assert comparison.ratio == Range(median=1.5, low=1.5, high=2.0)
    assert comparison.as_json()["ratio"] == {"median": 1.5, "low": 1.5, "high": 2.0}


def test_an_even_number_of_rounds_has_its_median_in_the_middle() -> None:
    assert Range.of([4.0, 1.0, 2.0, 3.0]) == Range(median=2.5, low=1.0, high=4.0)


def test_rounds_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        _ = Comparison("step", "bare", ours_seconds=[1.0, 2.0], theirs_seconds=[1.0]).ratio


@pytest.fixture
def noise() -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0)
    return draws.integers(0, 256, (50, 28, 28), dtype=np.uint8), np.arange(50, dtype=np.uint8) % 10


def test_the_small_models_epochs_are_of_the_same_pictures(noise: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    data = small_model.as_data(*noise)
    ((theirs, labels),) = DataLoader(small_model.as_theirs(*noise, tmp_path), batch_size=50)
    ours = torch.from_numpy(data.train.images).permute(0, 3, 1, 2) / 255
    assert torch.equal(theirs, ours)
    assert labels.tolist() == data.train.labels.tolist() == noise[1].tolist()
    assert data.mean[0] == pytest.approx(noise[0].mean() / 255)


def test_the_small_model_is_compared_with_both_plain_loops(noise: tuple[np.ndarray, np.ndarray]) -> None:
    rows = small_model.compare(*noise, batch_size=16, repeats=2)
    assert [row.benchmark for row in rows] == ["small model, batch 16, 50 pictures"] * 2
    assert [row.compared_with.split()[0] for row in rows] == ["FashionMNIST", "the"]
    assert all(len(row.ours_seconds) == 2 and row.ratio.low > 0 for row in rows)
    assert rows[0].theirs_seconds != rows[1].theirs_seconds


def test_the_small_models_plain_loop_learns() -> None:
    """Else its time would be of something else."""
    labels = torch.arange(10).repeat(4)
    images = torch.eye(784)[labels].reshape(40, 1, 28, 28)
    model = small_model.plain_model()
    epoch = small_model.plain_epoch(model, lambda: [(images, labels)])
    for _ in range(500):
        epoch()
    assert (model(images).argmax(dim=1) == labels).all()


def test_the_small_models_pictures_are_those_in_the_folder_or_noise_of_their_size(
    noise: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    small_model.as_theirs(*noise, tmp_path)
    for file in (tmp_path / "FashionMNIST/raw").iterdir():
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    images, labels = small_model.train_set(str(tmp_path))
    assert np.array_equal(images, noise[0])
    assert np.array_equal(labels, noise[1])
    images, labels = small_model.train_set(None)
    assert (images.shape, labels.shape) == ((60_000, 28, 28), (60_000,))


def test_each_set_of_views_is_timed_against_the_plain_pass() -> None:
    rows = tta.compare(pictures_of_noise(pixels=32, n_train=4), repeats=2)
    assert [row.benchmark for row in rows] == [
        f"tta, {name}, {n} passes, 32 px"
        for name, n in (("flip", 2), ("crops", 6), ("rotations", 3), ("scales", 3), ("all", 11))
    ]
    assert all(row.theirs_seconds == rows[0].theirs_seconds for row in rows)
    assert all(len(row.ours_seconds) == 2 and row.ratio.low > 0 for row in rows)


def test_each_diagnostic_is_timed_against_the_bare_step() -> None:
    names = ("layer_gradients", "histograms", "weight_norm")
    rows = diagnostics.compare("mlp", pictures_of_noise(pixels=8, n_train=40), names, n_steps=2, repeats=2)
    assert [row.benchmark for row in rows] == [
        "default: gradient norms, each step, mlp, 8 px",
        "layer_gradients, each step, mlp, 8 px",
        "histograms, one step in 50, mlp, 8 px",
        "weight_norm, one step in 50, mlp, 8 px",
    ]
    assert all(row.theirs_seconds == rows[0].theirs_seconds for row in rows)
    assert all(len(row.ours_seconds) == 2 and row.ratio.low > 0 for row in rows)


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen drawn pictures to train on."""
    folder = tmp_path_factory.mktemp("pictures") / "fetch"
    pictures.draw(folder, n_train=16)
    return folder


@pytest.mark.parametrize("pattern", epoch.PATTERNS.values())
def test_every_pattern_sees_each_picture_once(fetched: Path, pattern: Callable[..., epoch.Epoch]) -> None:
    data = pictures.prepared(fetched, 32)
    timms_batches = 0  # timm leaves an epoch's last batch out where it is not full
    expected = timms_batches if pattern is epoch.of_timm else len(data.train)
    assert pattern(pictures.train_folder(fetched), data, n_workers=0)() == expected
    assert len(data.train) == 16


def test_the_epochs_of_the_benchmark_are_whole_batches() -> None:
    """Or timm's would be of fewer pictures."""
    for n_train, _, _ in (*epoch.PLACES.values(), *study.PLACES.values()):
        assert n_train % pictures.BATCH_SIZE == n_train % pictures.N_CLASSES == 0


@pytest.mark.long  # it compiles
def test_what_an_accelerator_is_given_runs_on_the_processor(fetched: Path) -> None:
    row = accelerator.compare(fetched, torch.device("cpu"), pixels=32, n_workers=0, repeats=1)
    assert row.benchmark == "accelerator, an epoch of 16 pictures, 32 px"
    assert row.ratio.low > 0
    patterns = accelerator.ordinary(
        pictures.train_folder(fetched), pictures.prepared(fetched, 32), torch.device("cpu"), 0
    )
    assert patterns() == 16


def test_photographs_are_laid_out_like_the_drawn_ones(tmp_path: Path) -> None:
    pictures.draw(tmp_path / "drawn", n_train=32)  # four of a class
    pictures.laid_out(pictures.train_folder(tmp_path / "drawn"), tmp_path / "fetch")
    data = pictures.prepared(tmp_path / "fetch", 32)
    assert len(data.class_names) == pictures.N_CLASSES
    assert len(data.train) == 2 * pictures.N_CLASSES
    assert len(data.val) == len(data.test) == pictures.N_CLASSES


def test_an_epoch_is_compared_with_each_pattern_and_with_a_worker(fetched: Path, monkeypatch) -> None:
    monkeypatch.setattr(epoch, "PATTERNS", {epoch.ORDINARY: partial(epoch.ordinary, n_workers=0)})
    rows = epoch.compare(32, fetched, repeats=1, target=0.83)
    place = "epoch, 16 pictures, 32 px"
    assert [row.benchmark for row in rows] == [place, f"{place}, 1 worker", place, f"{epoch.LIMIT}, 32 px: the limit"]
    assert [row.target for row in rows] == [0.83, 0.83, None, None]
    assert all(row.ratio.low > 0 for row in rows)
    assert epoch.bare(pictures.train_folder(fetched), pictures.prepared(fetched, 32))() == 16


def test_the_reference_scripts_meters_are_right() -> None:
    meters = epoch.Meters()
    answers = torch.eye(6)
    meters.update(torch.tensor(0.5), answers, torch.tensor([0, 1, 2, 0, 0, 0]))
    assert meters.smoothed["loss"] == 0.5
    assert meters.smoothed["acc1"] == pytest.approx(50)
    assert meters.smoothed["acc5"] >= 50


def test_the_input_side_is_of_the_same_pictures(fetched: Path) -> None:
    data = pictures.prepared(fetched, 32)
    assert loader.n_seen(pictures.ordinary_loader(pictures.train_folder(fetched), data, 0)) == len(data.train)
    (row,) = loader.compare(32, fetched, workers=(0,), repeats=2)
    assert (row.benchmark, row.compared_with) == ("loader, 16 pictures, 32 px", "ImageFolder, 0 workers")


def test_two_trainings_side_by_side_are_compared_with_two_in_turn() -> None:
    row = study.compare(32, n_train=16, repeats=1)
    assert row.benchmark == "study, 2 trainings, an epoch of 16 pictures, 32 px"
    assert row.ratio.low > 0


@contextmanager
def ends(status: int) -> Iterator[Work]:
    """Work that ends its process, or none at all."""
    if status < 0:
        raise ValueError("not made")
    yield lambda: os._exit(status)


@pytest.mark.parametrize(("status", "told"), [(7, 7), (-1, 1)])
def test_work_apart_that_ended_its_process_is_told(status: int, told: int, capfd: pytest.CaptureFixture[str]) -> None:
    with apart(ends, status) as work, pytest.raises(RuntimeError, match=f"ends: its process ended with status {told}"):
        work()
    assert ("not made" in capfd.readouterr().err) == (status < 0)


@contextmanager
def on_threads(n: int) -> Iterator[Work]:
    """Work that takes as many seconds as its process has threads, once it was given `n`."""
    torch.set_num_threads(n)
    yield lambda: float(torch.get_num_threads())


def test_work_apart_changes_nothing_here_nor_in_another() -> None:
    here = torch.get_num_threads()
    with apart(on_threads, 3) as three, apart(on_threads, 2) as two:
        for work in (three, two):
            work.begin()
        assert (two.end(), three.end(), three(), two()) == (2, 3, 3, 2)
    assert torch.get_num_threads() == here
    assert not three.process.is_alive()


def test_inside_tells_operations_and_new_pages() -> None:
    def product() -> None:
        torch.zeros(64, 64) @ torch.zeros(64, 64)

    def product_and_new_memory() -> None:
        product()
        with mmap.mmap(-1, 256 * mmap.PAGESIZE) as new:
            new.write(bytes(len(new)))

    few, many = inside.look(timed(product)), inside.look(timed(product_and_new_memory))
    assert "aten::mm | 1 |" in few
    assert _pages(few) < 256 <= _pages(many)


def _pages(told: str) -> int:
    found = re.search(r"([\d,]+) pages", told)
    assert found
    return int(found[1].replace(",", ""))


def test_inside_makes_its_pictures_anew(tmp_path: Path) -> None:
    script = "from benchmarks import inside, loader; loader.N_TRAIN = 16; inside.main(['loader', '64'])"
    for _ in range(2):
        told = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "TMPDIR": str(tmp_path)}, check=True, capture_output=True, text=True,
        )  # fmt: skip
        assert "aten::gather | 1 |" in told.stdout
    assert not list(tmp_path.glob("prepared*"))


@pytest.mark.parametrize(
    ("asked", "told"),
    [("epoch 65", "65: epoch has 64, 224"), ("loader 64 --workers 1", "--workers 1: expected none, only epoch")],
)
def test_inside_looks_at_what_the_benchmark_has(asked: str, told: str, capsys) -> None:
    with pytest.raises(SystemExit):
        inside.main(asked.split())
    assert told in capsys.readouterr().err


@pytest.mark.long  # processes that each import torch, and W&B
def test_a_step_is_compared_with_bare_ones_and_told_to_the_trackers() -> None:
    rows = step.compare(8, n_steps=2, repeats=1)
    assert [row.benchmark for row in rows] == [f"{name}, 8 px, batch 32" for name in ("step", "step", "gradient_norm")]
    assert [row.target for row in rows] == [step.TARGET, None, None]
    assert all(row.ratio.low > 0 for row in rows)


def test_a_folder_is_answered_alike_by_all(tmp_path: Path) -> None:
    """An untrained model's answers may tie, and pictures are resized in two ways: most are alike, and all are there."""
    checkpoint, _ = untrained(tmp_path / "models", 32)
    pictures.draw(tmp_path / "fetch", 16)
    folder, opened = pictures.train_folder(tmp_path / "fetch"), open_model(checkpoint)
    answers = [infer.ours(checkpoint, folder), infer.one_by_one(opened, folder)(), infer.in_batches(opened, folder)()]
    assert [len(of_one) for of_one in answers] == [16] * 3
    assert sum(a == b for a, b in zip(*answers[1:], strict=True)) >= 14


def test_the_double_loop_finds_what_the_search_finds() -> None:
    bits = np.random.default_rng(0).random((60, 64)) < 0.5
    bits[7] = bits[3]
    bits[9] = bits[3] ^ (np.arange(64) < 14)
    found = leakage_search.double_loop([imagehash.ImageHash(one.reshape(8, 8)) for one in bits], 14)
    ours = near_pairs(pack_bits(bits), 14)
    assert found == list(zip(ours.first.tolist(), ours.second.tolist(), strict=True)) == [(3, 7), (3, 9), (7, 9)]


def test_growth_is_asked_of_as_a_power() -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, 4000, dtype=np.uint64)
    (row,) = leakage_search.grown(hashes, 2, 1000, {4000: 2})
    assert row.target == pytest.approx(4**1.3, abs=0.1)
    assert re.search(r"from 1,000 to 4,000 hashes as n\^-?\d", row.note)


def test_probes_are_held_against_the_passes_they_make() -> None:
    model = torch.nn.Flatten()
    assert probe._counted(model, lambda: [model(torch.zeros(n, 2)) for n in (3, 4)]) == 7
    seen: list[int] = []
    model.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    probe._forward(model, torch.zeros(4, 2), 10)
    assert seen == [4, 4, 2]


def test_a_graph_with_nothing_to_do_is_one(tmp_path: Path) -> None:
    """Small here: the root's stands in by the same functions, which read what a graph makes from DVC."""
    noop.trivial(tmp_path / "theirs", 3)
    row = noop.compare(tmp_path / "theirs", tmp_path / "theirs", 3, repeats=1)
    assert (row.benchmark, row.target) == ("noop, 3 stages", 1.2)
    (tmp_path / "theirs/in").write_text("changed\n")
    with pytest.raises(RuntimeError, match="nothing to do"):
        noop.compare(tmp_path / "theirs", tmp_path / "theirs", 3, repeats=1)


def test_what_a_graph_lacks_is_known_by_its_paths(tmp_path: Path) -> None:
    noop.trivial(tmp_path / "it", 2)
    (tmp_path / "it/out1").unlink()
    assert noop.wanted((tmp_path / "it").resolve()) == [(tmp_path / "it/out1").resolve()]


def test_the_cost_of_a_study_is_its_pictures_by_the_rate() -> None:
    small = cost.Study(variants=2, seeds=2, pictures=900, val_pictures=300, epochs=36)
    assert cost.device_hours(small, per_second=10) == pytest.approx(4 * 36 * 1000 / 10 / 3600)
    assert cost.hours(small, 10, n_devices=3) == pytest.approx(2 * 36 * 1000 / 10 / 3600)  # two rounds of 3
    assert "4.0 device hours, 8 at 2 an hour" in cost.table(small, 10, [1, 3], price=2)


def test_the_cost_is_of_no_rate_below_zero(capsys) -> None:
    with pytest.raises(SystemExit):
        cost.main(["--rate", "0"])
    assert "above 0" in capsys.readouterr().err


def test_growth_is_of_graphs_that_are_up_to_date(tmp_path: Path) -> None:
    folder = tmp_path.resolve()
    assert growth.row(folder, n_stages=3, n_dependencies=2).startswith("| 3 | ")
    assert noop.said("status", folder=folder).startswith("Data and pipelines are up to date")


@pytest.mark.parametrize(
    ("ours", "target", "target_seconds", "met"),
    [(2.0, None, None, None), (2.0, 2.0, None, True), (2.1, 2.0, None, False), (4.0, None, 3.0, True),
     (4.1, None, 3.0, False)],
)  # fmt: skip
def test_a_target_is_met_up_to_its_limit(ours: float, target, target_seconds, met) -> None:
    assert Comparison("it", "theirs", [ours], [1.0], target=target, target_seconds=target_seconds).met is met


def test_the_document_says_what_the_json_says(tmp_path: Path) -> None:
    """Of what was measured now and of what was measured before; the table has nothing that is not kept."""
    document, kept = tmp_path / "benchmarks.md", tmp_path / "benchmarks.json"
    document.write_text(f"before\n{bench.BEGIN}old\n{END}\nafter\n")
    step = Comparison("step, 32 px", "bare", [1.0, 1.1], [1.0, 1.0], target=1.03)
    other = Comparison("start-up", "import torch", [5.0], [1.0], note="a note", target_seconds=3.0)
    bench.write({"startup": {"about": "here", "comparisons": [other.as_json()]}}, document, kept)
    bench.write({"step": {"about": "here", "comparisons": [step.as_json()]}}, document, kept)
    saved = json.loads(kept.read_text())
    assert list(saved) == ["step", "startup"]  # in the order of BENCHMARKS
    assert Comparison.from_json(saved["step"]["comparisons"][0]) == step
    text = document.read_text()
    assert text == f"before\n{bench.BEGIN}{bench.tables(saved)}\n{END}\nafter\n"
    assert (
        "| step, 32 px | bare | 1.1 s (1.0 to 1.1) | 1.0 s (1.0 to 1.0) | 1.05 (1.00 to 1.10) | 2 | 1.03 | **no** |"
        in text
    )
    assert "| theirs + 3 s | **no** |" in text
    assert "a note." in text


def test_figures_of_another_machine_stand_apart() -> None:
    row = Comparison("it", "theirs", [1.0], [1.0]).as_json()
    text = bench.tables(
        {"step": {"about": "here", "comparisons": [row]}, "tta": {"about": "there", "comparisons": [row]}}
    )
    assert text.count(bench.HEADER) == 2
    assert text.index("here.") < text.index("there.")


def test_the_repositorys_document_is_of_its_json() -> None:
    root = Path(bench.__file__).parents[1]
    saved = json.loads((root / bench.RESULTS).read_text())
    assert f"{bench.BEGIN}{bench.tables(saved)}\n{END}" in (root / bench.DOCUMENT).read_text()


def test_an_unknown_benchmark_is_answered_with_a_likely_one(capsys) -> None:
    with pytest.raises(SystemExit):
        bench.main(["stpe"])
    assert "step" in capsys.readouterr().err


def test_figures_taken_beside_other_work_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "LOOK_SECONDS", 1)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        found = bench.about(bench.busy_cores())
        busy.kill()
    assert "other work was running" in found
    assert "other work" not in bench.about(0.0)

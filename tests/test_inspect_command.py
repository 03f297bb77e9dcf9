"""`pawprint inspect`: a page of its own for any model, or one clear message and nothing written."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.in_process import Done, pawprint
from tests.trained_model import DIGITS, DRAWN, trained


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-18, alone with two pictures."""
    return alone(tmp_path_factory, DRAWN)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLP, alone with a picture."""
    return alone(tmp_path_factory, DIGITS)


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return alone(tmp_path_factory, DIGITS.replace("model: mlp", "model: cnn\ncnn_widths: [8, 16]"))


def alone(tmp_path_factory: pytest.TempPathFactory, params: str) -> Path:
    """A folder with a trained model, pictures for it, and nothing else: no data, no settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAWPRINT_RUNS", str(tmp_path_factory.mktemp("runs")))
        study = trained(tmp_path_factory.mktemp("studies") / "study", params, "baseline")
    folder = tmp_path_factory.mktemp("alone")
    shutil.copytree(sorted((study / "models/train/baseline").iterdir())[0], folder / "model")
    draws = np.random.default_rng(0)
    for name in ("first.png", "second.png"):
        Image.fromarray(draws.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / name)
    return folder


class Page(HTMLParser):
    """The text of a page, its images, and whatever it would fetch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.images: list[str] = []
        self.alternatives: list[str] = []
        self.fetched: list[str] = []
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "img":
            self.images.append(given["src"] or "")
            self.alternatives.append(given["alt"] or "")
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href") and tag != "img"]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def inspected(folder: Path, *arguments: str, out: str = "page") -> Page:
    done = pawprint(folder, "inspect", "model", *arguments, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{out}/index.html: open it in any browser")
    return Page(folder / out / "index.html")


def refused(done: Done, code: int) -> str:
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("pawprint: ")
    return done.stderr


def test_the_page_of_a_resnet_stands_alone_and_says_what_predict_says(drawn: Path) -> None:
    page = inspected(drawn, "first.png", "second.png")
    assert page.fetched == []
    assert all(image.startswith("data:image/png;base64,") for image in page.images)
    pngs = sorted(file.name for file in (drawn / "page").glob("*.png"))
    assert pngs == sorted(["filters.png", "graph.png", *(f"picture_0{n}_{what}.png" for n in (1, 2)
                                                         for what in ("evidence", "maps", "units"))])  # fmt: skip
    assert len(page.images) == len(pngs)
    predicted = pawprint(drawn, "predict", "first.png", "second.png", "--model", "model", "--top", "1").stdout
    for share, label in re.findall(r"(\d+\.\d) % (\w+)$", predicted, re.MULTILINE):
        assert f"{label} {share} %" in page.text
    assert "11,195,493" in page.text
    assert "layer4.1.bn2" in page.text
    assert any("Grad-CAM at layer2, 4 × 4 places" in words for words in page.alternatives)
    assert any("torch.fx traced" in words for words in page.alternatives)


def test_the_page_of_an_mlp_says_why_there_is_no_grad_cam(digits: Path) -> None:
    page = inspected(digits, "first.png")
    assert any("input gradients, as the network has no convolution" in words for words in page.alternatives)
    assert any("Filters of layer 1, which sees the pixels" in words for words in page.alternatives)
    assert not (digits / "page/picture_01_maps.png").exists()


def test_layers_are_picked_by_name(cnn: Path) -> None:
    page = inspected(cnn, "first.png", "--layer", "0", "--layer", "4", out="picked")
    assert any("Filters of layer 4: 12 of 16, and of each what it does with 8 of 8" in w for w in page.alternatives)
    assert any("Filters of layer 0, which sees the pixels: all 8" in words for words in page.alternatives)


def test_the_same_model_and_pictures_give_the_same_bytes(cnn: Path) -> None:
    inspected(cnn, "first.png", out="once")
    inspected(cnn, "first.png", out="again")
    once, again = ({f.name: f.read_bytes() for f in (cnn / name).iterdir()} for name in ("once", "again"))
    assert once == again


def test_the_default_folder_lies_below_runs(cnn: Path, runs_folder: Path) -> None:
    done = pawprint(cnn, "inspect", "model", "first.png")
    assert done.returncode == 0, done.stderr
    assert (runs_folder / "inspect/baseline-lr1e-3-bs32-none-s0/index.html").is_file()


@pytest.mark.parametrize("name", ["layer2", "Conv2d", ""])
def test_a_wrong_layer_is_answered_with_the_list(cnn: Path, name: str) -> None:
    told = refused(pawprint(cnn, "inspect", "model", "first.png", "--layer", name, "--out", "wrong"), 2)
    assert f"--layer {name}: no such layer" in told
    assert "0, 1, 2, 3" in told
    assert not (cnn / "wrong").exists()


def test_bad_pictures_are_answered_as_predict_does(cnn: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    pictures = [str(tmp_path / "text.png"), str(tmp_path / "nowhere.png")]
    told = refused(pawprint(cnn, "inspect", "model", *pictures, "--out", "bad"), 1)
    assert told == refused(pawprint(cnn, "predict", *pictures, "--model", "model"), 1)
    assert not (cnn / "bad").exists()


def test_a_model_that_is_not_there_is_named_as_it_was_given(cnn: Path) -> None:
    assert "CHECKPOINT nonesuch" in refused(pawprint(cnn, "inspect", "nonesuch", "first.png"), 2)


def test_damaged_weights_are_answered_as_predict_does(cnn: Path, tmp_path: Path) -> None:
    model = shutil.copytree(cnn / "model", tmp_path / "model")
    weights = (model / "weights.safetensors").read_bytes()
    (model / "weights.safetensors").write_bytes(weights[:-100])
    told = refused(pawprint(cnn, "inspect", str(model), "first.png", "--out", "damaged"), 1)
    assert told == refused(pawprint(cnn, "predict", "first.png", "--model", str(model)), 1)
    assert not (cnn / "damaged").exists()


def test_a_persons_folder_is_left_alone_and_an_older_page_replaced(cnn: Path) -> None:
    own = cnn / "own"
    own.mkdir()
    (own / "index.html").write_text("<title>My holidays</title>")
    told = refused(pawprint(cnn, "inspect", "model", "first.png", "--out", "own"), 2)
    assert "choose another folder" in told
    assert (own / "index.html").read_text() == "<title>My holidays</title>"
    inspected(cnn, "first.png", "second.png", out="older")
    inspected(cnn, "first.png", out="older")
    assert not (cnn / "older/picture_02_units.png").exists()
    (cnn / "older/notes.txt").write_text("mine")
    refused(pawprint(cnn, "inspect", "model", "first.png", "--out", "older"), 2)


def test_names_of_files_are_shown_and_not_run(cnn: Path, tmp_path: Path) -> None:
    strange = tmp_path / "<script>alert(1)</script> $x_1$.png".replace("/", "_")
    shutil.copy(cnn / "first.png", strange)
    page = inspected(cnn, str(strange), out="strange")
    assert "<script>alert(1)" in page.text
    assert "<script>" not in (cnn / "strange/index.html").read_text()

"""`pawprint inspect`: what a trained model is made of, and what its layers make of pictures, as a page.

Everything is drawn before the first file is written, and the folder then takes its place at once. The page holds its
figures itself; the PNGs beside it are the same ones, for slides and papers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pawprint import atomic, paths
from pawprint.data.batches import standardize, unit_range
from pawprint.data.faults import readable
from pawprint.errors import SettingsError
from pawprint.figures.evidence import Seen as SeenPicture
from pawprint.figures.evidence import evidence_figure
from pawprint.figures.model_graph import model_graph_figure
from pawprint.figures.mosaic import filters_figure, maps_figure, slices_figure
from pawprint.figures.style import png
from pawprint.figures.units import units_figure
from pawprint.inspection.evidence import NoGradient, evidence
from pawprint.inspection.feature_maps import N_NAMED, Seen, likeliest, map_rows, unit_panels
from pawprint.inspection.filters import kernels, seeing_pixels
from pawprint.inspection.graph import ModelGraph, boxes, model_graph
from pawprint.inspection.layers import Call, activations, calls_of, dense, spread
from pawprint.inspection.table import layer_table
from pawprint.pages.page import render
from pawprint.params import cut, nearest
from pawprint.trained_model import Opened, find_model, open_model, probabilities_of

TITLE = "Inside "  # how our own pages begin, by which they are known
PAGE = "index.html"
N_FILTERS = 64
N_SLICES = 12  # of a chosen convolution: filters, and channels that they read


@dataclass(frozen=True)
class Shown:
    """A figure of the page."""

    file: str  # beside the page
    content: bytes  # PNG
    words: str  # what it is


@dataclass(frozen=True)
class Pictured:
    """What the page says of a picture."""

    name: str
    answers: list[tuple[str, float]]  # classes and probabilities, the likeliest first
    figures: list[Shown]


@dataclass(frozen=True)
class Chosen:
    """Which layers are shown: what they give for each picture, and of whose weights."""

    layers: list[Call]
    convolutions: list[Call]  # those named by whoever asked


def inspect_command(
    checkpoint: str, pictures: Sequence[Path], layers: Sequence[str] = (), out: Path | None = None
) -> str:
    """Write the page on the model and the pictures, and return what to say of it.

    `layers` are names of modules; without any, a handful over all of the depth. Raises SettingsError for a name that is
    no layer's and a folder that is a person's own, DataError for pictures that cannot be used; then nothing is written.
    """
    opened = open_model(find_model(checkpoint, "CHECKPOINT"), pictures)
    folder = _folder(opened, out)
    images = standardize(unit_range(opened.pictures.images), opened.data)
    calls = calls_of(opened.network, images[:1])
    chosen = _chosen(calls, layers)
    probabilities = probabilities_of(opened)
    graph = model_graph(opened.network, images)
    of_model = _of_model(opened, calls, chosen, graph)
    pictured = [_pictured(opened, images, row, calls, chosen, probabilities[row]) for row in range(len(images))]
    content = {
        "title": TITLE + opened.trained.spec.name,
        "opened": opened,
        "table": layer_table(opened.network, images),
        "graph": graph,
        "of_model": of_model,
        "pictured": pictured,
        "top": N_NAMED,
    }
    page = render("inspection.html.jinja", content, {"sides": _sides})
    with atomic.whole_folder(folder) as unfinished:
        for shown in (*of_model, *(figure for picture in pictured for figure in picture.figures)):
            (unfinished / shown.file).write_bytes(shown.content)
        (unfinished / PAGE).write_text(page, encoding="utf-8")
    return f"{folder / PAGE}: open it in any browser; it needs no network"


def _chosen(calls: Sequence[Call], names: Sequence[str]) -> Chosen:
    if not names:
        return Chosen([*spread(calls), *dense(calls)], [])
    valid = list(dict.fromkeys(call.layer for call in calls))
    strange = [name for name in names if name not in valid]
    if strange:
        raise SettingsError([f"--layer {cut(name)}: no such layer; {_near(name, valid)}" for name in strange])
    layers = [call for call in calls if call.layer in names]
    return Chosen(layers, [call for call in layers if call.number == 1 and kernels(call.module) is not None])


def _near(name: str, valid: list[str]) -> str:
    """What may have been meant, and what there is."""
    hint = nearest(name, valid)
    return hint if hint.startswith("valid") else f"{hint} Valid names: {', '.join(valid)}"


def _of_model(opened: Opened, calls: Sequence[Call], chosen: Chosen, graph: ModelGraph) -> list[Shown]:
    """The graph, the filters that see the pixels, and those of the convolutions that were asked for."""
    name = opened.trained.spec.name
    found = [Shown("graph.png", png(model_graph_figure(boxes(graph), f"{name}: graph")), _graph_words(graph))]
    if first := seeing_pixels(calls, opened.trained.input.shape):
        found.append(_filters(*first, f"{name}: {first[0].title}", "filters.png"))
    seen = first[0].module if first else None
    asked = [call for call in chosen.convolutions if call.module is not seen]
    return found + [_kernels(call, f"{name}: {call.title}", f"filters_{n}.png") for n, call in enumerate(asked, 1)]


def _filters(call: Call, filters: np.ndarray, title: str, file: str) -> Shown:
    """Of a layer whose filters (units, C, h, w) are pictures each."""
    shown = f"the first {N_FILTERS} of {len(filters)}" if len(filters) > N_FILTERS else f"all {len(filters)}"
    colors = "0 is grey" if filters.shape[1] == 3 else "blue is above 0, red below"
    words = f"Filters of {call.title}, which sees the pixels: {shown}, each by its own largest weight; {colors}."
    return Shown(file, png(filters_figure(filters[:N_FILTERS], title)), words)


def _kernels(call: Call, title: str, file: str) -> Shown:
    """Of a convolution between channels."""
    weights = kernels(call.module)
    assert weights is not None
    part = weights[:N_SLICES, :N_SLICES]
    words = (
        f"Filters of {call.title}: {part.shape[0]} of {weights.shape[0]}, and of each what it does with "
        f"{part.shape[1]} of {weights.shape[1]} channels; blue is above 0, red below."
    )
    return Shown(file, png(slices_figure(part, title)), words)


def _graph_words(graph: ModelGraph) -> str:
    if not graph.is_traced:
        return (
            f"Modules in the order in which they ran: torch.fx cannot trace the model ({graph.why_not}), so that "
            "shortcuts and operations outside of modules are not seen."
        )
    blocks = " What a framed block holds stands beside, once for each kind." if graph.inside else ""
    return f"Operations as torch.fx traced them, with the shape that each gives for one picture.{blocks}"


def _pictured(
    opened: Opened, images: torch.Tensor, row: int, calls: Sequence[Call], chosen: Chosen, probabilities: np.ndarray
) -> Pictured:
    """What the page says of picture `row`; `probabilities` (K,) are the answer to it."""
    name = _name(opened, row)
    image, file = images[row : row + 1], f"picture_{row + 1:02d}"
    answers = likeliest(probabilities, opened.trained.class_names)
    outputs = activations(opened.network, image, chosen.layers)
    seen = [Seen(call, output) for call, output in zip(chosen.layers, outputs, strict=True)]
    figures = [_evidence(opened, image, row, calls, probabilities, f"{file}_evidence.png")]
    if maps := map_rows(seen, 0):
        words = "What layers make of the picture, the first one on top; each row has a scale of its own, dark is least."
        figures.append(Shown(f"{file}_maps.png", png(maps_figure(maps, f"{name}: maps")), words))
    units = units_figure(unit_panels(seen, 0), answers, f"{name}: units and answers")
    words = "What the units of layers give that have one value a picture, and the answers."
    figures.append(Shown(f"{file}_units.png", png(units), words))
    return Pictured(readable(opened.pictures.names[row]), answers, figures)


def _name(opened: Opened, row: int) -> str:
    """A picture's, without its folders."""
    return readable(Path(opened.pictures.names[row]).name)


def _evidence(
    opened: Opened, image: torch.Tensor, row: int, calls: Sequence[Call], probabilities: np.ndarray, file: str
) -> Shown:
    """Where the answer rests, and the one that comes next."""
    asked = torch.from_numpy(np.argsort(-probabilities, kind="stable")[:2].copy())
    picture, name = opened.pictures.images[row], _name(opened, row)
    try:
        found = evidence(opened.network, image.expand(len(asked), -1, -1, -1), asked, calls)
    except NoGradient as error:
        only = SeenPicture(picture, "as it is fed", [])
        return Shown(file, png(evidence_figure([("", [only])], name)), f"Where the answer rests is not known: {error}.")
    titles = [f"{opened.trained.class_names[k]}\n{100 * probabilities[k]:.1f} %" for k in asked.tolist()]
    maps = list(zip(titles, found.maps.numpy(), strict=True))
    figure = evidence_figure([("", [SeenPicture(picture, "as it is fed", maps)])], name, found.layer is not None)
    words = f"Where the likeliest answer rests, and the next: by {found.words}; light is most."
    return Shown(file, png(figure), words)


def _sides(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def _folder(opened: Opened, out: Path | None) -> Path:
    """Where to write: a new folder, or one that holds such a page and nothing else."""
    folder = out or paths.runs() / "inspect" / opened.trained.spec.name
    if reason := atomic.why_unwritable(folder):
        raise SettingsError([f"--out {cut(str(folder))}: expected a folder that can be written to: {reason}"])
    if folder.is_dir() and any(folder.iterdir()):
        page = folder / PAGE
        text = page.read_text(encoding="utf-8", errors="replace") if page.is_file() else ""
        others = [file.name for file in sorted(folder.iterdir()) if file.suffix != ".png" and file != page]
        if others or f"<title>{TITLE}" not in text:
            raise SettingsError([f"--out {folder}: it holds other files than such a page's; choose another folder"])
    return folder

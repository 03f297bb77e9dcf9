"""How every figure looks: one palette, one set of dashes, one way to save.

The first seven colors are Okabe and Ito's (2008), told apart by color-blind readers; their yellow is left out, being
too pale for a line on white. The next seven are of Paul Tol's muted scheme (2021). Each color comes with a dash pattern
of its own, so that a black-and-white print still tells the variants apart. The charts of `dvc plots` use the same
colors, shapes in place of the dashes, and dashes for revisions.
"""

import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

COLORS = (
    *("#000000", "#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"),
    *("#999933", "#332288", "#882255", "#44AA99", "#CC6677", "#117733", "#888888"),
)
DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (6, 2),
    (2, 1.5),
    (7, 2, 2, 2),
    (4, 1),
    (7, 2, 2, 2, 2, 2),
    (1, 1),
)
DPI = 110
N_COLORS = 256
PANEL_INCHES = (6.4, 4.2)  # width, height of one panel without its legend


def color(index: int) -> str:
    """The color of the `index`-th variant; it repeats after fourteen."""
    return COLORS[index % len(COLORS)]


def line_style(index: int) -> tuple[float, tuple[float, ...]] | str:
    """The `index`-th variant's dashes, as matplotlib takes them, lengths in line widths; another in each round."""
    dashes = DASHES[(index + index // len(DASHES)) % len(DASHES)]
    return (0, dashes) if dashes else "-"


def dress(axes: Axes, x_label: str, y_label: str, title: str) -> None:
    """Labels, a faint grid behind the data, and no frame where nothing is measured."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(True, which="major", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def png(figure: Figure) -> bytes:
    """A PNG whose bytes depend on the figure alone, in 256 colors: a third of the size, and git keeps every version."""
    drawn, content = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, dpi=DPI, format="png", metadata={"Software": None})
    with Image.open(drawn) as picture:
        few = picture.convert("RGB").quantize(N_COLORS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(content, format="png", optimize=True)
    return content.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(figure))

"""How a page becomes one HTML file that stands alone: nothing in it is fetched, and all text is escaped.

Its bytes depend on its content alone. The content security policy of `page.html.jinja` allows neither a script nor
anything from elsewhere, because names of pictures and classes are a stranger's.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from pawprint.figures.style import png


def render(
    template: str,
    content: Mapping[str, Any],
    filters: Mapping[str, Callable[..., Any]] | None = None,
    package: str = "pawprint.pages",
) -> str:
    """The page as HTML; every template may use the filters `rounded` and `data_uri`.

    `template` is a file of `package`, and may extend `page.html.jinja`.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader("pawprint.pages", "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"rounded": rounded, "data_uri": data_uri, **(filters or {})}
    page = environment.get_template(template).render(content)
    # A file's name may hold bytes that are no UTF-8; Python keeps them as surrogates, which no file can be written of.
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def rounded(value: Any) -> str:
    """A number to four digits, or whole with thousands set apart; anything else as it is."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if abs(value) >= 1e15:
        return f"{value:.4g}"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}".replace("e-0", "e-")


def data_uri(figure: Figure | bytes) -> str:
    """A figure, or the bytes of a PNG, as an address that holds it."""
    content = figure if isinstance(figure, bytes) else png(figure)
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"

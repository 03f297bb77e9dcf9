"""The report as it is handed in: LaTeX for XeLaTeX, one answer box a question, its figures beside it, and BibTeX.

Text is escaped, code is quoted from the source (colored by Pygments), and Chinese is set where the report's language is
Chinese; an English report needs no Chinese fonts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from pygments import highlight
from pygments.formatters import LatexFormatter
from pygments.lexers import PythonLexer

from pawprint.report.quote import Quote
from pawprint.report.study import STYLE, Report

WIDE = 40  # letters, from which on a column's text is broken into lines
MOST_ROWS = 30  # of a table in a box; the page has all
# What the fonts of a plain TeX installation have in mathematics alone.
SYMBOLS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$", "≤": r"$\leq$", "≥": r"$\geq$", "√": r"$\surd$",
    "²": r"$^2$", "°": r"$^\circ$", "µ": r"$\mu$", "φ": r"$\varphi$", "λ": r"$\lambda$", "→": r"$\to$",
    "∞": r"$\infty$", "†": r"\dag{}", "‡": r"\ddag{}",
}  # fmt: skip
BREAK_AFTER = re.compile(r"((?<=[\w.])[/_=,-](?=\w)|\w{16}(?=\w{16}))")  # hashes, too


def latex(report: Report) -> str:
    """The document; it expects `figures/<name>.png` and `references.bib` beside it."""
    environment = Environment(
        loader=PackageLoader("pawprint.report", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        autoescape=False,  # `tex` escapes; HTML's entities would be wrong here
    )
    environment.filters |= {"tex": escaped, "highlighted": _highlighted, "is_wide": _is_wide}
    template = environment.get_template("report.tex.jinja")
    colors = LatexFormatter(style=STYLE).get_style_defs()
    return template.render(report=report, code_style=colors, MOST_ROWS=MOST_ROWS)


def escaped(text: str) -> str:
    """Text with nothing in it that TeX would take for a command; long names may be broken after a sign."""
    plain_and_code = [_broken(part) for part in str(text).split("`")]
    if len(plain_and_code) % 2 == 0:  # a single backtick is no mark
        return _broken(str(text))
    return "".join(rf"\texttt{{{part}}}" if place % 2 else part for place, part in enumerate(plain_and_code))


def _broken(text: str) -> str:
    parts = BREAK_AFTER.split(text)
    return "".join(_symbols(part) + (r"\allowbreak{}" if place % 2 else "") for place, part in enumerate(parts))


def _symbols(text: str) -> str:
    return "".join(SYMBOLS.get(letter, letter) for letter in text)


def _is_wide(table: Sequence[dict[str, str]], column: str) -> bool:
    return max(len(row[column]) for row in table) > WIDE


def _highlighted(quote: Quote) -> str:
    options = r"breaklines,breakanywhere,fontsize=\footnotesize"
    return str(highlight(quote.text, PythonLexer(), LatexFormatter(style=STYLE, verboptions=options)))

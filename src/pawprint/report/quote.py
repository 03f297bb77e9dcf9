"""The code that did it, taken out of the source as it stands: a report cannot quote what is not there."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache

from pawprint import paths


@dataclass(frozen=True)
class Quote:
    """A function, method or class as its source has it."""

    name: str  # `gradient_norm`, `RunSpec.scaled_lr`
    file: str  # relative to the package, `diagnostics/gradient_norm.py`
    line: int  # of its first, counted from 1
    text: str


@cache
def quote(place: str) -> Quote:
    """`module:name` of this package, e.g. `types:RunSpec.scaled_lr`; LookupError where there is no such thing.

    Decorators are left out, the docstring is not: it says what the code is to do.
    """
    module, _, name = place.partition(":")
    file = module.replace(".", "/")
    file += "/__init__.py" if (paths.PACKAGE / file).is_dir() else ".py"
    source = (paths.PACKAGE / file).read_text(encoding="utf-8")
    outer, *inner = name.split(".")
    node = _inside(ast.parse(source), outer, place)
    for part in inner:
        node = _inside(node, part, place)
    text = ast.get_source_segment(source, node, padded=True)
    if text is None:
        raise LookupError(f"{place}: has no text of its own")
    lines = text.splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    return Quote(name, file, node.lineno, "\n".join(line[indent:] for line in lines))


def _inside(node: ast.AST, name: str, place: str) -> ast.FunctionDef | ast.ClassDef:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef) and child.name == name:
            return child
    raise LookupError(f"{place}: there is no {name} in its source")

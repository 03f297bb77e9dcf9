"""Write what `dvc plots` draws with: .dvc/plots/*.json and .dvc/plots.html, which holds Vega and so needs no network.

make plots-page
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import vl_convert

from pawprint import atomic
from pawprint.dvc_plots.templates import templates

VEGA_LITE = "6.4"


def write(folder: Path) -> None:
    """Write the templates and the page into `folder`, a repository's `.dvc`."""
    for name, content in files().items():
        atomic.write_text(folder / name, content)


def files() -> dict[str, str]:
    """Path inside `.dvc` → content."""
    specifications = {f"plots/{name}.json": json.dumps(spec, indent=1) + "\n" for name, spec in templates().items()}
    return {**specifications, "plots.html": page()}


def page() -> str:
    """The page that DVC fills, with Vega, Vega-Lite and Vega-Embed as vl-convert-python bundles them."""
    versions = (
        f"Vega {vl_convert.get_vega_version()}, Vega-Lite {VEGA_LITE} and Vega-Embed "
        f"{vl_convert.get_vega_embed_version()} (BSD-3-Clause), from vl-convert-python {version('vl-convert-python')}"
    )
    bundle = f"(() => {{{vl_convert.javascript_bundle(vl_version=VEGA_LITE)}}})();"  # type: ignore[call-arg]  # the snippet may be left out
    text = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    return text.replace("%(versions)s", versions).replace("%(vega)s", bundle)


if __name__ == "__main__":
    write(Path(sys.argv[1]))

"""A page as a browser without a network shows it: headless Chromium runs it, and a script tells what is to be seen."""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")
OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1400,3000"),
    *("--proxy-server=127.0.0.1:9", "--enable-logging=stderr", "--virtual-time-budget=120000", "--dump-dom"),
]
CONSOLE = re.compile(r'INFO:CONSOLE[^"]*"(.*)", source:')


def seen(page: Path, script: str) -> tuple[Any, list[str]]:
    """What the body of a JavaScript function returns once `document.body.dataset.drawn` is set; and the console."""
    asking = f"""<script>(async () => {{
      while (!("drawn" in document.body.dataset)) await new Promise((later) => setTimeout(later, 50));
      const told = Object.assign(document.createElement("pre"), {{ id: "told" }});
      told.textContent = encodeURIComponent(JSON.stringify(await (async () => {{ {script} }})()));
      document.body.append(told);
    }})()</script></body>"""
    before, _, after = page.read_text(encoding="utf-8").rpartition("</body>")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "page.html"
        copy.write_text(before + asking + after, encoding="utf-8")
        command = [str(CHROMIUM), *OPTIONS, f"--user-data-dir={folder}/profile", copy.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    told = re.search(r'<pre id="told">([^<]*)</pre>', done.stdout)
    assert told, f"the page was not drawn:\n{done.stderr[-3000:]}"
    return json.loads(unquote(told[1])), CONSOLE.findall(done.stderr)

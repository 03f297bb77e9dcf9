"""A page as a browser without a network shows it: headless Chromium runs it, and a script tells what is to be seen."""

import asyncio
import base64
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import aiohttp
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
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # as in `tab`
        copy = Path(folder) / "page.html"
        copy.write_text(before + asking + after, encoding="utf-8")
        command = [str(CHROMIUM), *OPTIONS, f"--user-data-dir={folder}/profile", copy.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    told = re.search(r'<pre id="told">([^<]*)</pre>', done.stdout)
    assert told, f"the page was not drawn:\n{done.stderr[-3000:]}"
    return json.loads(unquote(told[1])), CONSOLE.findall(done.stderr)


class Tab:
    """A page of a running server in headless Chromium, told what to do over the DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._n_asked = 0
        self.console: list[str] = []

    async def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol, and what came back."""
        self._n_asked += 1
        await self._socket.send_json({"id": self._n_asked, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=60)
            if message.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
                self.console.append(json.dumps(message["params"]))
            if message.get("id") == self._n_asked:
                assert "error" not in message, message
                return message["result"]

    async def run(self, script: str) -> Any:
        """What a JavaScript expression is, a promise's value included."""
        done = await self.tell("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until a JavaScript expression is true."""
        for _ in range(600):
            if await self.run(f"Boolean({script})"):
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"never true: {script}; {self.console}; {await self.run('document.body.innerText')}")

    async def choose(self, selector: str, file: Path) -> None:
        """A file, as a person chooses it in an <input type=file>."""
        root = (await self.tell("DOM.getDocument"))["root"]["nodeId"]
        node = (await self.tell("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
        await self.tell("DOM.setFileInputFiles", files=[str(file)], nodeId=node)

    async def drop(self, file: Path, x: int, y: int) -> None:
        """A file from elsewhere, let fall at a point of the page."""
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            await self.tell("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    async def picture(self, file: Path) -> None:
        """A screenshot of the whole page."""
        shot = await self.tell("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def tab(url: str, width: int = 1200, height: int = 900) -> AsyncIterator[Tab]:
    """The page at `url`, loaded; the browser reaches nothing but this machine."""
    # Chromium's helpers outlive it by a moment, and write into the folder that is being deleted.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
            *("--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"),
            *("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={folder}"),
            *(f"--window-size={width},{height}", "about:blank"),
        ]
        browser = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        try:
            port = await _written(Path(folder) / "DevToolsActivePort")
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(await _page(session, port), max_msg_size=0) as socket,
            ):
                opened = Tab(socket)
                for domain in ("Page", "Runtime", "Log", "DOM"):
                    await opened.tell(f"{domain}.enable")
                size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
                await opened.tell("Emulation.setDeviceMetricsOverride", **size)
                await opened.tell("Page.navigate", url=url)
                await opened.until(f"location.href === '{url}' && document.readyState === 'complete'")
                yield opened
        finally:
            browser.terminate()
            await browser.wait()


async def _page(session: aiohttp.ClientSession, port: str) -> str:
    """Where the browser's one tab is told what to do; it opens a little after the browser."""
    for _ in range(600):
        async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            for target in await answer.json():
                if target["type"] == "page":
                    return target["webSocketDebuggerUrl"]
        await asyncio.sleep(0.1)
    raise AssertionError("Chromium opened no tab")


async def _written(file: Path) -> str:
    """The first line of a file that Chromium writes when it is ready."""
    for _ in range(600):
        if file.exists() and "\n" in (content := file.read_text(encoding="utf-8")):
            return content.partition("\n")[0]
        await asyncio.sleep(0.1)
    raise AssertionError("Chromium did not start")

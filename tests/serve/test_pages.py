"""What a person sees, in a real browser that reaches nothing but the server."""

import asyncio
from pathlib import Path

import pytest

from tests.browser import needs_browser, tab
from tests.serve.conftest import Running, Start


@needs_browser
@pytest.mark.parametrize("width", [1200, 400])
def test_a_picture_is_dropped_and_answered(width: int, server: Running, pictures: list[Path], tmp_path: Path) -> None:
    content = pictures[0].read_bytes()
    best = server.predict(content).json()["classes"][0]
    broken = tmp_path / "broken.png"
    broken.write_bytes(content[:40])
    huge = tmp_path / "huge.png"
    huge.write_bytes(bytes(11_000_000))

    async def use() -> list[str]:
        async with tab(f"{server.url}/", width) as page:
            said = "document.querySelector('#said').innerText"
            await page.drop(pictures[0].resolve(), 150, 300)
            await page.until("document.body.dataset.answered === '1'")
            shown = [await page.run(said)]
            assert await page.run("document.querySelector('#picture').naturalWidth") == 24
            bar = "document.querySelector('.bar')"
            assert await page.run(f"{bar}.firstChild.offsetWidth / {bar}.offsetWidth") == pytest.approx(
                best["probability"], abs=0.02
            )
            for number, file in enumerate((broken, huge), start=2):
                await page.choose("#file", file)
                await page.until(f"document.body.dataset.answered === '{number}'")
                shown.append(await page.run(said))
            assert await page.run("document.documentElement.scrollWidth <= innerWidth"), "nothing is cut off"
            assert [line for line in page.console if "status of 422" not in line] == []
            return shown

    answered, refused, too_large = asyncio.run(use())
    assert answered.startswith(best["class"])
    assert f"{100 * best['probability']:.1f} %" in answered
    assert refused.startswith("No answer. ")
    assert "The file has 11.0 MB; at most 10 are taken." in too_large


@needs_browser
def test_the_page_says_when_the_server_is_gone(start: Start, pictures: list[Path]) -> None:
    server = start()

    async def use() -> str:
        async with tab(f"{server.url}/") as page:
            assert server.stop() == 0
            await page.choose("#file", pictures[0].resolve())
            await page.until("document.body.dataset.answered === '1'")
            return await page.run("document.querySelector('#said').innerText")

    assert asyncio.run(use()) == "No answer. The server cannot be reached."


@needs_browser
@pytest.mark.parametrize("width", [1200, 400])
def test_the_description_for_people_needs_no_network(width: int, server: Running) -> None:
    async def read() -> str:
        async with tab(f"{server.url}/docs", width) as page:
            assert await page.run("document.documentElement.scrollWidth <= innerWidth")
            assert page.console == []
            return await page.run("document.body.innerText")

    text = asyncio.run(read())
    for expected in ("POST /predict", "GET /health", "multipart/form-data", "503", "Problem"):
        assert expected in text
    assert f"curl -F image=@cat.jpg {server.url}/predict" in text


def test_pages_load_nothing_from_elsewhere(server: Running) -> None:
    with server.client() as client:
        for path in ("/", "/docs"):
            answer = client.get(path)
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
            assert 'src="http' not in answer.text
            assert "http" not in answer.text.replace(server.url, "")

"""A model that answers requests: who is let in, who decodes, who waits for whom, and when it stops.

A request that is let in is answered, or told why not, within `read_seconds` + `answer_seconds`. Who comes when as many
as are taken are under way is told so at once, before its body is read: a queue that only grows would make everybody
wait, and answer those who have gone.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from math import inf

import numpy as np
from fastapi import Request
from PIL import Image

from pawprint.data.decode import FORMATS, MAX_MEGAPIXELS, Unusable, read_picture
from pawprint.deploy.predictor import Predictor
from pawprint.serve.batching import Batcher, ModelFailed
from pawprint.serve.bodies import picture_of
from pawprint.serve.limits import Limits
from pawprint.serve.refusals import Refused

CALM_SECONDS = 1.0


class Places:
    """So many at once, and no more; fewer while it is overloaded: from a refusal until `CALM_SECONDS` without one.

    A burst may fill all places, and is answered soon. A load that keeps them full gains nothing by their number, since
    no more is answered for it, and only waits longer.
    """

    def __init__(self, of_what: str, n_places: int, n_overloaded: int | None = None) -> None:
        self.taken = 0
        self._of_what = of_what
        self._n_places = n_places
        self._n_overloaded = n_places if n_overloaded is None else min(n_places, n_overloaded)
        self._refused = -inf  # when it last did

    def refuse_full(self) -> None:
        now = time.monotonic()
        overloaded = now - self._refused < CALM_SECONDS
        if self.taken >= (self._n_overloaded if overloaded else self._n_places):
            self._refused = now
            raise Refused("busy", f"{self.taken} {self._of_what} are under way, which is all that is taken at present")

    @contextmanager
    def one(self) -> Iterator[None]:
        """Raises Refused where none is free."""
        self.refuse_full()
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class Service:
    """A predictor behind limits; `running` while it is to answer."""

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor = predictor
        self.limits = limits
        self.stopping = False
        self.uploads = Places("uploads", limits.uploads)
        self.pictures = Places("pictures", limits.queue, limits.overload_queue)
        self._batcher = Batcher(predictor, limits.batch, limits.wait_ms, lambda: self.pictures.taken)
        self._decoders = ThreadPoolExecutor(limits.decoders, "decodes")

    @property
    def idle(self) -> bool:
        return not self.uploads.taken and not self.pictures.taken

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        batching = asyncio.create_task(self._batcher.run())
        try:
            yield
        finally:
            batching.cancel()
            self._decoders.shutdown(wait=False, cancel_futures=True)

    def refuse(self) -> None:
        """Raises Refused where no picture is taken at present, whatever it is."""
        if self.stopping:
            raise Refused("stopping", "the server was told to stop; it finishes what it has accepted")
        self.pictures.refuse_full()

    async def answer(self, request: Request) -> np.ndarray:
        """Probabilities (K,) of the picture in a request; raises Refused."""
        with self.uploads.one():
            content = await picture_of(request, self.limits)
        with self.pictures.one():
            try:
                async with asyncio.timeout(self.limits.answer_seconds) as end:
                    with _ends_when_gone(request, end):
                        return await self._answer(content)
            except TimeoutError:  # or nobody hears it
                raise Refused("timed_out", f"no answer within {self.limits.answer_seconds:g} seconds") from None

    async def _answer(self, content: bytes) -> np.ndarray:
        channels, pixels, _ = self.predictor.image_shape
        decode = partial(decoded, content, pixels, channels, self.limits.max_megapixels)
        try:
            picture = await asyncio.get_running_loop().run_in_executor(self._decoders, decode)
            return await self._batcher.ask(picture)
        except Unusable as error:
            raise Refused("unusable_picture", str(error)) from None
        except ModelFailed as error:
            raise Refused("model_failed", f"the model has no answer to this picture: {error}") from None


@contextmanager
def _ends_when_gone(request: Request, end: asyncio.Timeout) -> Iterator[None]:
    """Within, `end` comes at once when the client hangs up: the model is not asked for nobody."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        end.reschedule(0)  # a moment long past

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


def decoded(content: bytes, pixels: int, channels: int, max_megapixels: float) -> np.ndarray:
    """A picture's file as the model is fed it, (pixels, pixels, C) uint8; Unusable where that cannot be."""
    if max_megapixels < MAX_MEGAPIXELS and (n_pixels := _n_pixels(content)) > max_megapixels * 1e6:
        raise Unusable(f"too large: {n_pixels / 1e6:.3g} megapixels; expected at most {max_megapixels:g}")
    return read_picture(content, pixels, channels)


def _n_pixels(content: bytes) -> int:
    """By a picture's header; 0 for what has none that can be read."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return image.width * image.height
    except Exception:  # noqa: BLE001 (read_picture, which is next, says what is wrong with it)
        return 0

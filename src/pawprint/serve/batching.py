"""Pictures that are asked about at the same time, answered by one call of the model.

While the model works, pictures gather; the next call takes all of them, up to a batch. When it is free and one comes,
the call waits a little for those that are on their way (accepted, and being decoded), and not at all where none is: a
lone client pays nothing for batching.

A call that fails says nothing of which picture it failed at, so that then each is asked about alone: who is to blame
gets the failure, the others their answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

Model = Callable[[np.ndarray], np.ndarray]  # pictures (N, H, W, C) uint8 → probabilities (N, K)


class ModelFailed(Exception):
    """The model has no answer to a picture; the cause says why."""


@dataclass(frozen=True)
class _Asked:
    picture: np.ndarray  # (H, W, C) uint8
    answer: asyncio.Future[np.ndarray]  # (K,); cancelled: nobody waits for it


class Batcher:
    """Answers while `run` runs."""

    def __init__(self, model: Model, batch: int, wait_ms: float, on_their_way: Callable[[], int]) -> None:
        """`on_their_way`: how many pictures are accepted and not answered, those that wait here among them."""
        self._model = model
        self._batch = batch
        self._wait_seconds = wait_ms / 1000
        self._on_their_way = on_their_way
        self._waiting: asyncio.Queue[_Asked] = asyncio.Queue()
        self._worker = ThreadPoolExecutor(1, "model")  # one call at a time: the model has threads of its own

    async def ask(self, picture: np.ndarray) -> np.ndarray:
        """Probabilities (K,) of a picture (H, W, C) uint8; raises ModelFailed.

        Cancelled, it costs the model nothing.
        """
        asked = _Asked(picture, asyncio.get_running_loop().create_future())
        self._waiting.put_nowait(asked)
        return await asked.answer

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                gathered = [asked for asked in await self._gather() if not asked.answer.done()]
                if gathered:
                    await self._answer(gathered)
        finally:
            self._worker.shutdown(wait=False, cancel_futures=True)

    async def _gather(self) -> list[_Asked]:
        """What waits, up to a batch; from the first one on, at most `wait_seconds` later."""
        gathered = [await self._waiting.get()]
        try:
            async with asyncio.timeout(self._wait_seconds):
                while len(gathered) < self._batch and (self._waiting.qsize() or self._on_their_way() > len(gathered)):
                    gathered.append(await self._waiting.get())
        except TimeoutError:
            pass
        return gathered

    async def _answer(self, gathered: Sequence[_Asked]) -> None:
        try:
            answers = await self._call(gathered)
        except ModelFailed as failure:
            if len(gathered) == 1:
                _fail(gathered[0], failure)
                return
            for asked in gathered:
                await self._answer([asked])
            return
        for asked, answer in zip(gathered, answers, strict=True):
            if not asked.answer.done():
                asked.answer.set_result(answer)

    async def _call(self, gathered: Sequence[_Asked]) -> np.ndarray:
        pictures = np.stack([asked.picture for asked in gathered])
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, self._model, pictures)
        except Exception as error:  # the errors of what runs a model have no common class
            raise ModelFailed(" ".join(str(error).split()) or type(error).__name__) from error


def _fail(asked: _Asked, failure: ModelFailed) -> None:
    if not asked.answer.done():
        asked.answer.set_exception(failure)

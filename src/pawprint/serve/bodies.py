"""From a request to the bytes of a picture: a file in a form, a body that is the picture, or base64 in JSON.

Read within a size and a time. What announces more than the size is refused before a byte of it is read, and what brings
more than it announced, as soon as it does.
"""

from __future__ import annotations

import asyncio
import base64
import binascii

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from pawprint.serve.limits import Limits
from pawprint.serve.refusals import Refused

FIELD = "image"  # of a form, and of JSON
MAX_FIELDS = 8  # of a form, beside the picture; they are not read
RAW = "application/octet-stream"
FORM, JSON = "multipart/form-data", "application/json"
EXAMPLE = (  # a PNG of 8 x 8 white pixels
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEElEQVR4nGP8zwABTAwUMQBJQQEPeWDz+AAAAABJRU5ErkJggg=="
)
TYPES = f"expected {FORM} with a file `{FIELD}`, image/…, {RAW}, or {JSON}"


class Asked(BaseModel):
    """A question in JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    image: str = Field(
        description="A picture's file in base64.", examples=[EXAMPLE], json_schema_extra={"contentEncoding": "base64"}
    )


async def picture_of(request: Request, limits: Limits) -> bytes:
    """The bytes that are to be a picture; raises Refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (FORM, JSON, RAW) and not kind.startswith("image/"):
        raise Refused("unsupported_type", f"Content-Type {kind[:80]!r}: {TYPES}")
    bounded = Request(request.scope, _bounded(request.receive, limits.max_bytes))
    _refuse_announced(request.headers.get("content-length"), limits.max_bytes)
    try:
        async with asyncio.timeout(limits.read_seconds):
            body = await bounded.body()
    except TimeoutError:
        raise Refused("too_slow", f"the body did not arrive within {limits.read_seconds:g} seconds") from None
    except ClientDisconnect:  # who does not hear this
        raise Refused("bad_request", "the body ended before its Content-Length") from None
    content = await _in_form(bounded) if kind == FORM else _in_json(body) if kind == JSON else body
    if not content:
        raise Refused("bad_request", f"no picture: 0 bytes; {TYPES}")
    return content


def _too_large(limit: int) -> Refused:
    return Refused("too_large", f"a body of more than {limit / 1e6:g} MB, which is what is taken at most")


def _refuse_announced(content_length: str | None, limit: int) -> None:
    if content_length is not None and int(content_length) > limit:  # digits, or h11 has refused it
        raise _too_large(limit)


def _bounded(receive: Receive, limit: int) -> Receive:
    n_bytes = 0

    async def bounded() -> Message:
        nonlocal n_bytes
        message = await receive()
        n_bytes += len(message.get("body", b""))
        if n_bytes > limit:
            raise _too_large(limit)
        return message

    return bounded


async def _in_form(request: Request) -> bytes:
    try:
        async with request.form(max_files=1, max_fields=MAX_FIELDS) as form:
            file = form.get(FIELD)
            if isinstance(file, UploadFile):
                return await file.read()
    except HTTPException as error:  # Starlette's word for a form that is none
        raise Refused("bad_request", f"{FORM}: {error.detail}") from None
    raise Refused("bad_request", f"{FORM}: no file `{FIELD}` in it (a part of this name, with a filename)")


def _in_json(body: bytes) -> bytes:
    try:
        asked = Asked.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"]))[:80]
        raise Refused("bad_request", f"{JSON}: {place}{': ' if place else ''}{fault['msg']}") from None
    try:
        return base64.b64decode(asked.image, validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: letters beyond ASCII
        raise Refused("bad_request", f"{JSON}: {FIELD}: not base64: {error}") from None

"""Why a request is not answered: a status, a code for programs, a reason for people; always in the same JSON."""

from collections.abc import Mapping
from typing import Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

Code = Literal[
    "bad_request",  # 400: a body or a parameter that is not what /docs says
    "not_found",  # 404
    "method_not_allowed",  # 405
    "too_slow",  # 408: the request did not arrive in time
    "too_large",  # 413: more bytes than are taken
    "unsupported_type",  # 415: a Content-Type in which no picture comes
    "unusable_picture",  # 422: bytes that are no picture that can be used
    "model_failed",  # 500: the model has no answer to this picture
    "internal",  # 500: a fault of the server
    "busy",  # 503: as many requests as are taken are under way
    "timed_out",  # 503: no answer in time
    "stopping",  # 503: told to stop
]
STATUS: dict[Code, int] = {
    "bad_request": 400, "not_found": 404, "method_not_allowed": 405, "too_slow": 408, "too_large": 413,
    "unsupported_type": 415, "unusable_picture": 422, "model_failed": 500, "internal": 500, "busy": 503,
    "timed_out": 503, "stopping": 503,
}  # fmt: skip
RETRY_AFTER_SECONDS = 1  # of a 503: a full queue is answered in less


class Reason(BaseModel):
    code: Code
    reason: str = Field(description="What was found and what was expected, for a person.")


class Problem(BaseModel):
    """The body of every answer that is not 2xx."""

    error: Reason


class Refused(Exception):
    """A request is answered with this, and harms no other."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason

    @property
    def response(self) -> JSONResponse:
        return problem(self.code, self.reason)


def problem(code: Code, reason: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer; with a 503 it says when to ask again."""
    again = {"Retry-After": str(RETRY_AFTER_SECONDS)} if STATUS[code] == 503 else {}
    content = Problem(error=Reason(code=code, reason=reason)).model_dump()
    return JSONResponse(content, STATUS[code], {**(headers or {}), **again})

"""What can be asked over HTTP: /predict, /health, a page for people at /, and what all of it takes at /docs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from pawprint.data.decode import FORMATS
from pawprint.predict import best
from pawprint.serve.bodies import FIELD, FORM, JSON, RAW, Asked
from pawprint.serve.refusals import Code, Problem, Refused, problem
from pawprint.serve.service import Service

PREDICT = "/predict"
MOST_CLASSES = 1000  # that can be asked for; there are as many answers as the model has classes
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body or a parameter is not what is expected."},
    408: {"model": Problem, "description": "The request did not arrive in time."},
    413: {"model": Problem, "description": "The body is too large."},
    415: {"model": Problem, "description": "A Content-Type in which no picture comes."},
    422: {"model": Problem, "description": "The bytes are no picture that can be used; the reason says why."},
    500: {"model": Problem, "description": "The model has no answer, or a fault of the server."},
    503: {"model": Problem, "description": "Busy, timed out or stopping: ask again after the seconds in Retry-After."},
}
FOR_STATUS: dict[int, Code] = {404: "not_found", 405: "method_not_allowed"}
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; img-src blob:; style-src 'unsafe-inline';"
    " script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
BINARY = {"schema": {"type": "string", "format": "binary"}}
BODY = {
    "required": True,
    "content": {
        FORM: {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {FIELD: {"type": "string", "format": "binary", "description": "A picture's file."}},
            }
        },
        JSON: {"schema": Asked.model_json_schema()},
        **{f"image/{name.lower()}": BINARY for name in FORMATS},
        RAW: BINARY,
    },
}


class Likely(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(alias="class")
    probability: float = Field(ge=0, le=1)


class Answer(BaseModel):
    run: str = Field(description="The training that the model is from.")
    classes: list[Likely] = Field(description="The likeliest first.")


class Health(BaseModel):
    status: Literal["ready", "stopping"]
    run: str
    n_classes: int
    uploads: int = Field(description="Requests whose bodies are being read.")
    pictures: int = Field(description="Pictures that are decoded, wait or are answered.")


class Door:
    """Refuses a picture that is not taken at present before anything else is done about the request.

    Of a server that is asked for more than it can do, refusing is most of the work, and what it costs is missing for
    answers; routes, parameters and bodies are looked at once a request is let in.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == PREDICT:
                self._service.refuse()
        except Refused as refused:
            await refused.response(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def application(service: Service) -> FastAPI:
    """The app of a service; it starts and ends what the service needs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="pawprint", description="What does this picture show?", lifespan=lifespan, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    app.add_middleware(Door, service=service)
    _refuse_in_json(app)
    _add_answers(app, service)
    _add_pages(app, service)
    return app


def _add_answers(app: FastAPI, service: Service) -> None:
    predictor = service.predictor
    run, n_classes = predictor.description.run, len(predictor.class_names)

    @app.post(
        PREDICT, summary="What a picture shows", response_model=Answer, response_description="The answer.",
        responses=REFUSALS,
        openapi_extra={"requestBody": BODY},
    )  # fmt: skip
    async def predict(
        request: Request, top: Annotated[int, Query(ge=1, le=MOST_CLASSES, description="How many classes.")] = 3
    ) -> JSONResponse:
        probabilities = await service.answer(request)
        classes = [{"class": name, "probability": share} for name, share in best(predictor, probabilities, top)]
        return JSONResponse({"run": run, "classes": classes})

    stopping = {"model": Health, "description": "It was told to stop."}

    @app.get(
        "/health", summary="Whether it answers", response_model=Health, response_description="It does.",
        responses={503: stopping},
    )  # fmt: skip
    async def health() -> JSONResponse:
        status = "stopping" if service.stopping else "ready"
        counts = {"uploads": service.uploads.taken, "pictures": service.pictures.taken}
        return JSONResponse(
            {"status": status, "run": run, "n_classes": n_classes, **counts}, 503 if service.stopping else 200
        )


def _add_pages(app: FastAPI, service: Service) -> None:
    templates = Environment(
        loader=PackageLoader("pawprint.serve", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    about = {"description": service.predictor.description, "limits": service.limits, "formats": FORMATS}

    def page(name: str, **values: Any) -> HTMLResponse:
        return HTMLResponse(templates.get_template(name).render(**about, **values), headers=SECURITY)

    @app.get("/", include_in_schema=False)
    async def drop() -> HTMLResponse:
        return page("drop.html.jinja")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        return page("docs.html.jinja", api=app.openapi(), spelled=_spelled, at=request.base_url)


def _spelled(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, indent=1)


def _refuse_in_json(app: FastAPI) -> None:
    """Whatever is wrong with a request, it is told in the same form."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return error.response

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        fault = error.errors()[0]
        return problem("bad_request", f"{'.'.join(map(str, fault['loc']))[:80]}: {fault['msg']}")

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> JSONResponse:
        code = FOR_STATUS.get(error.status_code, "bad_request")
        return problem(code, f"{request.method} {request.url.path[:80]}: {error.detail}", error.headers)

    @app.exception_handler(Exception)
    async def fault_of_ours(request: Request, error: Exception) -> JSONResponse:
        return problem("internal", "a fault of the server, which its log tells of")

"""The application: routes, errors and limits put together, without anything that is connected."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from services.query_api.listening.limits import STREAM, Limits
from services.query_api.listening.stopping import Stopping
from services.query_api.problems import Problem, answer
from services.query_api.routes import (
    accounts,
    commands,
    console,
    events,
    history,
    operations,
)
from services.query_api.routes.described import completed
from services.query_api.streaming.follower import Follower

ROUTERS: Final = tuple(
    module.router for module in (commands, accounts, history, events, operations, console)
)
_MOST_REQUESTS: Final = 256


class Application(FastAPI):
    """FastAPI, whose document says what can really be answered."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = completed(super().openapi())
        return self.openapi_schema


def create_app(most_requests: int = _MOST_REQUESTS, *, traced: bool = False) -> FastAPI:
    """Return the application; set `app.state.backend` as soon as there is one, and None when there
    is none. `app.state.stopping` is an event that says when everything comes to its end,
    `app.state.authenticator` tells who is asking; None: anybody may do everything. With `traced`, requests have spans.
    """
    app = Application(
        title="Passbook",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry={
            "tracing": traced,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "exclude": _is_stream,
        },
    )
    app.state.traced = traced
    app.state.backend = None
    app.state.authenticator = None
    app.state.stopping = Stopping()
    app.state.follower = Follower(lambda: app.state.backend)
    for router in ROUTERS:
        app.include_router(router)
    for kind in (Problem, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)
    app.add_middleware(Limits, most_requests=most_requests)
    return app


def _is_stream(scope: Scope) -> bool:
    """Tell what has no end, and so no span."""
    is_stream: bool = scope["path"] == STREAM
    return is_stream


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    return create_app().openapi()

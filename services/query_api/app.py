"""The application: routes, errors and limits put together, without anything that is connected."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from services.query_api.backend import Backend, served_by
from services.query_api.described import completed
from services.query_api.follower import Follower
from services.query_api.limits import Limits
from services.query_api.problems import Problem, answer
from services.query_api.stopping import Stopping

__all__ = ["Backend", "create_app", "openapi_document", "served_by"]

_MOST_REQUESTS: Final = 256


class Application(FastAPI):
    """FastAPI, whose document says what can really be answered."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = completed(super().openapi())
        return self.openapi_schema


def create_app(most_requests: int = _MOST_REQUESTS) -> FastAPI:
    """Return the application; set `app.state.backend` as soon as there is one, and None when there
    is none. `app.state.stopping` is an event that says when everything comes to its end,
    `app.state.authenticator` tells who is asking; None: anybody may do everything.
    """
    # They depend on `served_by`, which is above.
    from services.query_api import accounts, commands, console, events, history, operations

    app = Application(title="Passbook", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.backend = None
    app.state.authenticator = None
    app.state.stopping = Stopping()
    app.state.follower = Follower(lambda: app.state.backend)
    for module in (commands, accounts, history, events, operations, console):
        app.include_router(module.router)
    for kind in (Problem, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)
    app.add_middleware(Limits, most_requests=most_requests)
    return app


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    return create_app().openapi()

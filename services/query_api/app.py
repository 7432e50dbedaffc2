"""The application: routes, errors and limits put together, without anything that is connected."""

import asyncio
from typing import Any

from fastapi import FastAPI
from starlette.requests import HTTPConnection

from services.query_api.backend import Backend
from services.query_api.problems import Problem


async def served_by(connection: HTTPConnection) -> Backend:
    """Return what the routes stand on.

    Raises:
        Problem: `not_ready`, while the servers cannot be reached.
    """
    backend: Backend | None = connection.app.state.backend
    if backend is None:
        raise Problem("not_ready", "The servers cannot be reached yet.", {"Retry-After": "1"})
    return backend


def create_app() -> FastAPI:
    """Return the application; set `app.state.backend` as soon as there is one, and None when there
    is none. `app.state.stopping` is an event that says when everything comes to its end,
    `app.state.authenticator` tells who is asking; None: anybody may do everything.
    """
    from services.query_api import accounts

    app = FastAPI(title="Passbook", docs_url=None, redoc_url=None)
    app.state.backend = None
    app.state.authenticator = None
    app.state.stopping = asyncio.Event()
    app.include_router(accounts.router)
    return app


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    return create_app().openapi()

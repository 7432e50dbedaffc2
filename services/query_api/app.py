"""The application: routes, errors and limits put together, without anything that is connected."""

from typing import Any

from fastapi import FastAPI
from starlette.requests import HTTPConnection

from services.query_api.backend import Backend


def served_by(connection: HTTPConnection) -> Backend:
    """Return what the routes stand on.

    Raises:
        Problem: `not_ready`, while the servers cannot be reached.
    """
    backend: Backend = connection.app.state.backend
    return backend


def create_app() -> FastAPI:
    """Return the application; set `app.state.backend` as soon as there is one."""
    from services.query_api import accounts

    app = FastAPI(title="Passbook", docs_url=None, redoc_url=None)
    app.include_router(accounts.router)
    return app


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    return create_app().openapi()

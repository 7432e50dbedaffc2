"""Accounts: the balance view, the past, and what the events tell."""

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Response

from services.balance_projector.queries import account_row
from services.query_api.app import served_by
from services.query_api.backend import Backend
from services.query_api.callers import Caller, reader

router = APIRouter()


@router.get("/v1/accounts/{account_id}")
async def show(
    account_id: UUID,
    caller: Annotated[Caller, Depends(reader)],
    backend: Annotated[Backend, Depends(served_by)],
) -> Response:
    """Show an account."""
    del caller
    row = await account_row(backend.rows, account_id)
    if row is None:
        return Response(status_code=404)
    return Response(
        orjson.dumps({"account_id": str(row.account_id), "balance": str(row.balance)}),
        media_type="application/json",
    )

"""For operators: how far the read models are, and figures for a console."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from passbook.eventstore.pool import lent
from passbook.projection.lag import projection_lags
from services.query_api.backend import READ_TIMEOUT_S, Backend, served_by
from services.query_api.identity.callers import Caller, admin
from services.query_api.routes.described import OVERVIEW, PROJECTIONS, tagged
from services.query_api.routes.documents import json_response
from services.query_api.routes.parameters import plain_query

router = APIRouter(dependencies=[Depends(plain_query)])


@router.get("/v1/projections", **tagged("listProjections", PROJECTIONS, tag="operations"))
async def list_projections(
    _caller: Annotated[Caller, Depends(admin)],
    backend: Annotated[Backend, Depends(served_by)],
) -> Response:
    """List the read models, and how far they are."""
    async with (
        lent(backend.rows, READ_TIMEOUT_S) as read_model,
        lent(backend.events, READ_TIMEOUT_S) as event_store,
    ):
        lags = await projection_lags(read_model, event_store)
    return json_response([lag.to_dict() for lag in lags])


@router.get("/v1/overview", **tagged("showOverview", OVERVIEW, tag="operations"))
async def show_overview(
    _caller: Annotated[Caller, Depends(admin)],
    backend: Annotated[Backend, Depends(served_by)],
) -> Response:
    """Show figures of the whole ledger. They are a second old at most, and on a large ledger fifty
    times as old as they take to be read.
    """
    return json_response(await backend.overview.figures())

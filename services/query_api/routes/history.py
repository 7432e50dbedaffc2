"""What happened to an account: its events, and what the audit log says about them."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response

from passbook.contracts.event_documents import event_document
from passbook.eventstore.errors import AccountNotFound
from passbook.eventstore.pool import lent
from services.audit_projector.queries import audit_trail
from services.query_api.backend import READ_TIMEOUT_S, Backend, served_by
from services.query_api.identity.callers import Caller, reader
from services.query_api.identity.ownership import must_own
from services.query_api.routes.described import AUDIT, EVENTS, tagged
from services.query_api.routes.documents import json_response
from services.query_api.routes.parameters import AccountId, AfterVersion, Limit, plain_query

router = APIRouter(dependencies=[Depends(plain_query)])

_USUAL_LIMIT: Final = 100


@router.get("/v1/accounts/{account_id}/events", **tagged("listEvents", EVENTS))
async def list_events(
    account_id: AccountId,
    caller: Annotated[Caller, Depends(reader)],
    backend: Annotated[Backend, Depends(served_by)],
    after_version: AfterVersion = 0,
    limit: Limit = _USUAL_LIMIT,
) -> Response:
    """List what happened to an account, oldest first."""
    await must_own(backend, caller, account_id)
    found = await backend.store.history(account_id, after_version, limit + 1)
    if not found and not await backend.store.history(account_id, 0, 1):
        raise AccountNotFound(account_id)
    events = [event_document(event) for event in found[:limit]]
    following = found[limit - 1].version if len(found) > limit else None
    return json_response({"events": events, "next_after_version": following})


@router.get("/v1/accounts/{account_id}/audit", **tagged("listAuditEntries", AUDIT))
async def list_audit_entries(
    account_id: AccountId,
    caller: Annotated[Caller, Depends(reader)],
    backend: Annotated[Backend, Depends(served_by)],
    after_version: AfterVersion = 0,
    limit: Limit = _USUAL_LIMIT,
) -> Response:
    """List what the audit log has about an account, oldest first. It may be a moment behind."""
    await must_own(backend, caller, account_id)
    async with lent(backend.rows, READ_TIMEOUT_S) as connection:
        found = await audit_trail(connection, account_id, after_version, limit + 1)
    if not found and not await backend.store.history(account_id, 0, 1):
        raise AccountNotFound(account_id)
    entries = [entry.to_dict() for entry in found[:limit]]
    following = found[limit - 1].version if len(found) > limit else None
    return json_response({"entries": entries, "next_after_version": following})

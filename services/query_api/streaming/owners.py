"""Whose the accounts of many events are: asked for together, and once."""

from collections.abc import Iterable
from uuid import UUID

import orjson

from passbook.domain.events import AccountOpened
from passbook.eventstore.pool import FAILURES
from passbook.eventstore.store import RecordedEvent
from passbook.eventstore.translation import translate
from services.query_api.backend import Backend
from services.query_api.identity.ownership import NOBODY, owner_of, owners_in_the_view


async def owners_of(backend: Backend, events: Iterable[RecordedEvent]) -> dict[UUID, str]:
    """Return account → owner for all accounts of `events`.

    An opening says it itself and the others are remembered, so most batches ask nobody.

    Raises:
        EventStoreError: a server does not answer.
    """
    for event in events:
        if event.event_type == AccountOpened.__name__:
            actor = orjson.loads(event.metadata).get("actor") or NOBODY
            backend.owners.put(event.stream_id, actor)
    accounts = {event.stream_id for event in events}
    found = {account_id: backend.owners.get(account_id) for account_id in accounts}
    missing = [account_id for account_id, owner in found.items() if owner is None]
    if missing:
        try:
            rows = await owners_in_the_view(backend, missing)
            for account_id in missing:
                if account_id in rows:
                    backend.owners.put(account_id, rows[account_id])
                # What the view does not have yet; there is at most one look for each account.
                found[account_id] = rows.get(account_id) or await owner_of(backend, account_id)
        except FAILURES as error:
            translate(error)
    return {account_id: owner or NOBODY for account_id, owner in found.items()}

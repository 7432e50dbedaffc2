"""Events as the first release stored them."""

from uuid import UUID, uuid4

import orjson

from passbook.eventstore.store import EventStore, NewEvent
from tests.support.accounts import busy, rows


async def append_old(store: EventStore, account_id: UUID | None = None) -> UUID:
    """Append an opening with 100.00 and a deposit of 1.00 of schema version 1, without a reference;
    return the account.
    """
    opening, deposit = rows(busy(account_id or uuid4(), 1))
    head = (await store.heads())[opening.slot]
    await store.append_batch({opening.slot: head}, [opening, old(deposit)], [])
    return opening.stream_id


def old(deposit: NewEvent) -> NewEvent:
    """Return a deposit in the shape of version 1."""
    data = orjson.loads(deposit.data)
    del data["reference"]
    return deposit._replace(schema_version=1, data=orjson.dumps(data).decode())

"""Do these read models belong to this event store?"""

from typing import Final

import asyncpg

from passbook.eventstore.errors import StoreMismatch

_STORE: Final = "SELECT environment_id FROM eventstore.store_info"
_BUILT_FROM: Final = """
SELECT projection FROM projections.installed WHERE environment_id <> $1 ORDER BY projection
"""


async def check_belonging(read_model: asyncpg.Connection, event_store: asyncpg.Connection) -> str:
    """Return the environment id of the event store, from which the read models were built, if they
    were built at all.

    Raises:
        StoreMismatch: one was built from another.
    """
    here = await event_store.fetchval(_STORE)
    foreign = [row[0] for row in await read_model.fetch(_BUILT_FROM, here)]
    if foreign:
        message = (
            f"{', '.join(foreign)}: built from another event store than {here}: "
            "use the read models that belong to it, or rebuild them"
        )
        raise StoreMismatch(message)
    return str(here)

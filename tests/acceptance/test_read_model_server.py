"""Read models on a server of their own: it is looked at like that of the event store."""

from typing import Final

import pytest

from passbook.cli.checks.finding import State
from passbook.cli.logins import OF_SERVICE
from passbook.service import EXIT_CONFIGURATION
from tests.support.damage import NOT_DURABLE, OLD_SERVER, SERIALIZABLE
from tests.support.databases import MakeDatabase, connected
from tests.support.doctor import findings
from tests.support.world import AUDIT, BALANCES, World

_ENDED_S: Final = 30.0


@pytest.mark.parametrize(
    ("service", "damage", "sentence"),
    [
        (BALANCES, NOT_DURABLE, "synchronous_commit is off: commits could be lost; turn it on"),
        (AUDIT, SERIALIZABLE, "default_transaction_isolation is serializable"),
        (BALANCES, OLD_SERVER, "this is PostgreSQL 17: use 18 or newer"),
    ],
    ids=["durability", "isolation", "version"],
)
async def test_a_server_that_cannot_be_trusted_with_read_models_is_refused(
    world: World, make_database: MakeDatabase, service: str, damage: str, sentence: str
) -> None:
    """Seen to fail: without the checks of the second connection the projector is ready; the doctor
    looked at the event store's server only.
    """
    rows = await make_database()
    async with connected(rows.admin_dsn) as owner:
        await owner.execute(damage.format(database=rows.name))
    settings = {"PASSBOOK_READ_MODEL_DSN": rows.dsn(OF_SERVICE[service])}

    process = world.start(service, **settings)
    found = await findings(world, world.dsn(service), **settings)

    assert found["postgresql"].state is State.OK
    assert found["read model server"].state is State.FAILED
    assert sentence in found["read model server"].detail
    assert await process.ended(_ENDED_S) == EXIT_CONFIGURATION, process.last_words()
    (refused,) = process.logged("service.refused")
    assert sentence in refused["error"]

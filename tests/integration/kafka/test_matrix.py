"""Every principal tries everything, on a real broker that lets nobody do what no ACL allows.

The rows here are written by hand, and not made from the table that they test. Sharp: with any one of
the table's ACLs left out, or Write on the audit's dead letters given to the balance projector, or
the denial of the services' groups left out, a row failed (each of the table's entries was tried); with
Delete on a topic or a group, or Alter on the cluster, given to the client, its row failed by name.
"""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from passbook.messaging.acls import PRINCIPALS, acls
from passbook.messaging.admin import kafka_admin
from passbook.messaging.authorizer import compare, create_acls, delete_acls, known_acls
from passbook.messaging.consumer import ConsumerLost
from passbook.messaging.topics import Topics, apply_topics
from tests.support.attempts import ATTEMPTS, Trier, parsed
from tests.support.secured import STRANGER, SecuredKafka
from tests.support.until import until

_EVERYTHING_IS_SEEN: Final = "see *; settings *;"
_READER: Final = _EVERYTHING_IS_SEEN + "read *; watch *; acls"

MATRIX: Final = {
    "passbook_command_service": _EVERYTHING_IS_SEEN
    + "read commands events; join command-service; commit command-service; watch command-service;"
    "write outcomes commands.dlq",
    "passbook_outbox_relay": _EVERYTHING_IS_SEEN + "read events; write events",
    "passbook_balance_projector": _EVERYTHING_IS_SEEN + "read events; write events.balance.dlq;"
    "join balance-projector; commit balance-projector; watch balance-projector",
    "passbook_audit_projector": _EVERYTHING_IS_SEEN + "read events; write events.audit.dlq;"
    "join audit-projector; commit audit-projector; watch audit-projector",
    "passbook_query_api": _EVERYTHING_IS_SEEN + "write commands; read outcomes",
    "passbook_client": "see commands events outcomes; write commands; read events outcomes;"
    "join payroll; commit payroll; watch payroll",
    "passbook_reader": _READER,
    "passbook_operator": _READER
    + "; write commands events; join command-service; commit command-service",
    STRANGER: "",
}


@pytest.fixture(scope="module")
async def prefix(secured: SecuredKafka) -> AsyncIterator[str]:
    """Give the prefix of topics on which the table's ACLs are in force."""
    topics = Topics("matrix.", 1)
    wanted = acls(topics)
    async with kafka_admin(secured.as_admin) as admin:
        await apply_topics(admin, topics)
        await create_acls(admin, wanted)

        async def in_force() -> bool:
            return not compare(wanted, await known_acls(admin)).missing

        await until(in_force)
        yield topics.prefix
        await delete_acls(admin, wanted)


def test_the_matrix_has_a_row_for_each_principal() -> None:
    assert set(MATRIX) == {*PRINCIPALS, STRANGER}
    assert len(MATRIX) * len(ATTEMPTS) > 500


@pytest.mark.parametrize("principal", MATRIX)
async def test_a_principal_may_do_its_own_and_nothing_else(
    secured: SecuredKafka, prefix: str, principal: str
) -> None:
    expected = parsed(MATRIX[principal])
    async with kafka_admin(secured.as_user(principal)) as client:
        assert await Trier(client, prefix).allowed() == expected


async def test_each_attempt_gets_through_where_nothing_is_refused(secured: SecuredKafka) -> None:
    control = Topics("control.", 1)
    async with kafka_admin(secured.as_admin) as client:
        await apply_topics(client, control)
        assert await Trier(client, control.prefix).allowed() == set(ATTEMPTS)


async def test_without_a_password_nobody_gets_as_far(secured: SecuredKafka, prefix: str) -> None:
    del prefix
    with pytest.raises(ConsumerLost, match="refuses the password of stranger"):
        async with kafka_admin(secured.as_user(STRANGER, password="guessed")):
            pass

"""What is not in the table is published from the archive, or not at all: never stepped over."""

from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from passbook.eventstore.archive.files import Archive
from passbook.eventstore.archive.planning import Choice
from passbook.eventstore.archive.run import run_archive
from passbook.eventstore.errors import LogIncomplete
from passbook.eventstore.postgres import PostgresEventStore
from passbook.messaging.topics import apply_topics
from services.audit_projector.projection import AuditProjection
from services.balance_projector.projection import BalanceProjection
from tests.integration.archive.conftest import FAR
from tests.integration.relay.log import everything_published, published, store_events, stored
from tests.support.databases import Connect, OpenPool
from tests.support.ledger import Ledger, Part, running
from tests.support.outsider import header
from tests.support.projected import project
from tests.support.until import until


async def test_a_hole_in_the_table_is_never_stepped_over(
    ledger: Ledger, pools: OpenPool, connect: Connect
) -> None:
    """Seen to fail: with `ReadThrough.log` returning what the table has."""
    await store_events(PostgresEventStore(await pools("passbook_command_service")), {5: 4, 2: 1})
    owner = await connect()
    await owner.execute("SET session_replication_role = replica")
    await owner.execute("DELETE FROM eventstore.events WHERE slot = 5 AND slot_seq = 3")

    part = Part(ledger.relay())
    failure = await part.failure()

    assert isinstance(failure, LogIncomplete)
    assert "slot 5: no number 3" in str(failure)
    assert await ledger.outsider.everything("events") == []


async def test_what_kafka_lost_is_published_again_from_the_archive(
    ledger: Ledger,
    pools: OpenPool,
    kafka_admin: AIOKafkaAdminClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Byte by byte as it was."""
    monkeypatch.setenv("PASSBOOK_ARCHIVE_DIR", str(tmp_path))
    pool = await pools()
    store = PostgresEventStore(pool, Archive(tmp_path))
    async with running(ledger.relay()):
        await store_events(store, {5: 3, 9: 2, 2: 1})
        await everything_published(ledger, 6)
    await project(pool, BalanceProjection(), AuditProjection())
    log = await stored(store)
    moved = await run_archive(pool, pool, Archive(tmp_path), Choice(FAR))
    assert moved.events == 3
    before = await ledger.outsider.everything("events")
    await kafka_admin.delete_topics([ledger.topics.events])

    async def gone() -> bool:
        return ledger.topics.events not in await kafka_admin.list_topics()

    await until(gone)
    await apply_topics(kafka_admin, ledger.topics)
    async with running(ledger.relay()):
        records = await everything_published(ledger, 6)

    assert published(records) == {5: [1, 2, 3], 9: [1, 2], 2: [1]}
    assert {(one.key, one.value, one.headers) for one in records} == {
        (one.key, one.value, one.headers) for one in before
    }
    assert {header(one, "ce_id") for one in records} == {str(one.event_id) for one in log}

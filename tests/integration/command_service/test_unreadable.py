"""Invariant 9 at the command service: a stream of a newer schema version holds its partition."""

from itertools import islice
from typing import Final

from passbook.eventstore.postgres import PostgresEventStore
from passbook.telemetry import PARTITIONS_HELD
from tests.support.accounts import account_ids
from tests.support.databases import OpenPool
from tests.support.ledger import Ledger, running
from tests.support.newer import append_newer, upgraded
from tests.support.outsider import Message, command, document, error_code
from tests.support.until import until

_SLOT: Final = 5
_OTHER_SLOT: Final = 6


def _open(account_id: object) -> Message:
    return command("OpenAccount", str(account_id), owner_name="Ada", initial_deposit="100.00")


async def test_its_partition_waits_all_others_flow_and_it_goes_on_after_an_upgrade(
    ledger: Ledger, pools: OpenPool
) -> None:
    """Nothing is lost, refused or decided twice: after the upgrade every command has its outcome,
    in the order of the partition.

    Seen to fail: with the batch's own offsets committed for a partition that is held, by the lag
    that was gone; with a service that ends instead, by the others, which were never answered.
    """
    store = PostgresEventStore(await pools("passbook_command_service"))
    newer_id, neighbour, later = islice(account_ids(_SLOT), 3)
    stream = await append_newer(store, newer_id)
    before = _open(neighbour)
    waiting = command("DepositMoney", str(newer_id), amount="5.00")
    behind = _open(later)
    elsewhere = [_open(account_id) for account_id in islice(account_ids(_OTHER_SLOT), 3)]

    async with running(ledger.command_service()) as service:
        await ledger.outsider.send(before, waiting, behind, *elsewhere)
        await ledger.outsider.outcomes([before.command_id, *(m.command_id for m in elsewhere)])
        assert PARTITIONS_HELD._value.get() == 1

        # Committed is what is answered, and nothing else: Kafka's lag shows what waits.
        async def two_wait() -> bool:
            return await ledger.lag("commands", "command-service") == 2

        await until(two_wait)
        more = _open(next(account_ids(_OTHER_SLOT)))
        await ledger.outsider.send(more)
        await ledger.outsider.outcomes([more.command_id])
        assert service.ended_with is None
    answered = {document(one)["command_id"] for one in await ledger.outsider.everything("outcomes")}
    assert answered.isdisjoint({waiting.command_id, behind.command_id})
    assert (await store.heads())[_SLOT] == stream.slot_seq + 1

    with upgraded():
        async with running(ledger.command_service()):
            found = await ledger.outsider.outcomes([waiting.command_id, behind.command_id])
    assert [error_code(records[0]) for records in found.values()] == ["accepted"] * 2
    assert document(found[waiting.command_id][0])["version"] == 3
    assert len(await store.history(newer_id)) == 3

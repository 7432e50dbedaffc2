"""Commands for accounts whose events are archived."""

import asyncio
from uuid import UUID

from services.command_service.__main__ import session
from tests.integration.archive.conftest import SLOT, Books
from tests.support.accounts import account_ids, busy
from tests.support.ledger import Ledger, running
from tests.support.outsider import Message, command, document
from tests.support.until import until


def _deposit(account_id: UUID) -> Message:
    return command("DepositMoney", str(account_id), amount="1.00")


async def test_a_missing_file_holds_the_partition_of_the_account_that_needs_it(
    books: Books, account_id: UUID, ledger: Ledger
) -> None:
    """Nobody needs a file while a snapshot covers it. An account without one waits for its file,
    and all other partitions flow; when the file is back, a service that starts goes on.

    Seen to fail: with a cache that lets `LogIncomplete` through, nobody was answered.
    """
    covered = busy(next(account_ids(SLOT + 1)))
    await books.save(covered)
    settings = ledger.settings("passbook_command_service").model_copy(
        update={"archive_dir": books.archive.directory}
    )
    await books.run()
    await books.pool.execute("DELETE FROM eventstore.snapshots WHERE stream_id = $1", account_id)
    away = [(file, file.read_bytes()) for file in books.files("*.parquet")]
    for file, _ in away:
        file.unlink()
    waiting = _deposit(account_id)
    elsewhere = _deposit(covered.id)

    async with running(lambda stop, health: session(stop, health, settings)):
        await ledger.outsider.send(waiting, elsewhere)
        told = (await ledger.outsider.outcomes([elsewhere.command_id]))[elsewhere.command_id]
        assert document(told[0])["version"] == 5

        async def it_waits() -> bool:
            return await ledger.lag("commands", "command-service") == 1

        await until(it_waits)
    answered = [document(one)["command_id"] for one in await ledger.outsider.everything("outcomes")]
    assert waiting.command_id not in answered

    for file, content in away:
        await asyncio.to_thread(file.write_bytes, content)
    async with running(lambda stop, health: session(stop, health, settings)):
        found = await ledger.outsider.outcomes([waiting.command_id])
    assert document(found[waiting.command_id][0])["version"] == 7

import asyncio
import json
import signal

from passbook.domain.account import BankAccount
from passbook.eventstore.repository import AccountRepository
from tests.support.accounts import busy, opened
from tests.support.program import Program


async def test_tail_from_the_beginning_tells_everything_in_the_order_of_slots(
    program: Program, account: BankAccount, repository: AccountRepository
) -> None:
    other = busy(movements=4)
    await repository.save(other)
    ended = await program("events", "tail", "--from", "beginning", "--limit", 8, "--json")
    assert ended.code == 0
    events = ended.documents
    for one, count in ((account, 3), (other, 5)):
        numbers = [e["version"] for e in events if e["stream_id"] == str(one.id)]
        assert numbers == list(range(1, count + 1))
    history = (await program("account", "history", account.id, "--json")).document
    assert [
        {name: value for name, value in event.items() if name != "stream_id"}
        for event in events
        if event["stream_id"] == str(account.id)
    ] == history


async def test_tail_follows_what_happens_until_it_is_interrupted(
    program: Program, account: BankAccount, repository: AccountRepository
) -> None:
    later = opened()
    async with asyncio.timeout(30), program.running("events", "tail", "--json") as tail:
        assert tail.stdout is not None
        first = asyncio.create_task(tail.stdout.readline())
        # It says nothing until something happens, so things happen until it says something.
        while not first.done():
            account.deposit(later.balance)
            await repository.save(account)
            await asyncio.wait({first}, timeout=0.2)
        await repository.save(later)
        line = await first
        while json.loads(line)["stream_id"] != str(later.id):
            line = await tail.stdout.readline()
        tail.send_signal(signal.SIGINT)
        assert await tail.wait() == 0
    assert json.loads(line)["event_type"] == "AccountOpened"


async def test_tail_for_people_is_one_line_an_event(program: Program, account: BankAccount) -> None:
    ended = await program("events", "tail", "--from", "beginning", "--limit", 2)
    lines = ended.stdout.splitlines()
    assert len(lines) == 2
    assert "AccountOpened" in lines[0]
    assert str(account.id) in lines[1]

"""Invariant 8: bad input is refused with a reason, changes nothing, and holds nobody up.

Everything here is sent by plain aiokafka producers.
"""

from collections.abc import Iterator
from unicodedata import normalize
from uuid import uuid4

from aiokafka import ConsumerRecord
from aiokafka.structs import RecordMetadata

from tests.acceptance.hostile import MALFORMED, Attack, attacks
from tests.support.databases import Connect
from tests.support.outsider import Message, RawName, command, document, error_code, header
from tests.support.reckoning import evidence_holds
from tests.support.world import COMMAND_SERVICE, RELAY, SERVICES, World


async def test_whatever_is_no_command_gets_its_reason_and_the_commands_behind_it_are_decided(
    world: World,
) -> None:
    await world.run(COMMAND_SERVICE)
    account = str(uuid4())
    opening = command("OpenAccount", account, owner_name="Alice", initial_deposit="500.00")
    (first,) = await world.outsider.send(opening)
    bad = [a._replace(message=_on(first, a.message)) for a in attacks(account)]
    good = [command("DepositMoney", account, amount="0.01") for _ in bad]
    queue = [
        message for pair in zip([a.message for a in bad], good, strict=True) for message in pair
    ]
    sent = await world.outsider.send(*queue)

    decided = await world.outsider.outcomes([message.command_id for message in good])
    assert {error_code(*copies) for copies in decided.values()} == {"accepted"}
    assert document(decided[good[-1].command_id][0])["version"] == len(good) + 1
    answered = await world.outsider.outcomes(
        attack.message.command_id for attack in bad if attack.code
    )
    assert {
        attack.name: error_code(*answered[attack.message.command_id])
        for attack in bad
        if attack.code
    } == {attack.name: attack.code for attack in bad if attack.code}
    assert len(await world.outsider.everything("outcomes")) == 1 + len(good) + len(answered)
    letters = {
        (int(header(letter, "dlq-partition")), int(header(letter, "dlq-offset"))): letter
        for letter in await world.outsider.everything("commands.dlq")
    }
    places = [(place.partition, place.offset) for place in sent[::2]]
    assert letters.keys() == set(places)
    for attack, place in zip(bad, places, strict=True):
        _is_copy_with_reason(world, attack, letters[place])
    _nothing_has_stumbled(world)


def _on(place: RecordMetadata, message: Message) -> Message:
    return message._replace(partition=place.partition)


def _is_copy_with_reason(world: World, attack: Attack, letter: ConsumerRecord) -> None:
    original = attack.message
    assert (letter.key, letter.value) == (original.key, original.value), attack.name
    assert list(letter.headers[: len(original.headers)]) == original.headers, attack.name
    added = dict(letter.headers[len(original.headers) :])
    assert added.keys() == {
        f"dlq-{name}" for name in ("topic", "partition", "offset", "error", "failed-at")
    }
    assert added["dlq-topic"].decode() == world.topics.commands
    assert added["dlq-error"].decode().isprintable()


async def test_a_header_name_that_is_no_utf8_holds_up_neither_commands_nor_events(
    world: World,
) -> None:
    """It did: aiokafka raised UnicodeDecodeError at every start, in every service that reads."""
    await world.run(*SERVICES)
    account, place = await _opened(world)
    odd = (RawName(b"gr\xf6\xdfe"), b"\xff")
    fine = _on(place, command("DepositMoney", account, amount="1.00"))
    bad = _on(place, command("DepositMoney", account, amount="one"))
    event = (await world.outsider.everything("events"))[0]
    await world.outsider.send(Message(b"k", b"v", [odd], event.partition), topic="events")
    await world.outsider.send(
        *(message._replace(headers=[odd, *message.headers]) for message in (fine, bad)),
        behind := command("DepositMoney", account, amount="1.00"),
    )
    outcomes = await world.outsider.outcomes(m.command_id for m in (fine, bad, behind))
    assert [error_code(*copies) for copies in outcomes.values()] == [
        "accepted",
        MALFORMED,
        "accepted",
    ]
    await world.current(3)
    (letter,) = await world.outsider.everything("commands.dlq")
    assert (header(letter, "ce_id"), dict(letter.headers)[odd[0]]) == (bad.command_id, b"\xff")
    relay = next(process for process in world.processes if process.name == RELAY)
    await relay.terminate()
    await world.run(RELAY)
    await world.outsider.send(last := command("DepositMoney", account, amount="1.00"))
    await world.outsider.outcomes([last.command_id])
    await world.current(4)
    _nothing_has_stumbled(world)


async def test_a_command_that_is_huge_once_unpacked_is_refused_and_its_dead_letter_is_cut(
    world: World,
) -> None:
    """It stalled its partition: 60 MB compressed pass the limit of the command topic, and as they
    are they never pass that of the dead letters.
    """
    await world.run(COMMAND_SERVICE)
    account, _ = await _opened(world)
    huge = command("DepositMoney", account, amount="1.00")._replace(value=b" " * 40_000_000)
    wide = command("DepositMoney", account, amount="1.00")
    wide = wide._replace(headers=[*wide.headers, ("x", b"x" * 20_000_000)])
    behind = command("DepositMoney", account, amount="1.00")
    await world.outsider.send(huge, wide, compression_type="gzip", max_request_size=100_000_000)
    await world.outsider.send(behind)
    outcomes = await world.outsider.outcomes(m.command_id for m in (huge, wide, behind))
    assert [error_code(*copies) for copies in outcomes.values()] == [
        MALFORMED,
        "accepted",
        "accepted",
    ]
    (letter,) = await world.outsider.everything("commands.dlq")
    assert huge.value is not None
    assert huge.value.startswith(letter.value)
    assert int(header(letter, "dlq-truncated")) > len(huge.value) > len(letter.value)
    assert header(letter, "ce_id") == huge.command_id
    _nothing_has_stumbled(world)


async def test_commands_are_read_whatever_they_are_compressed_with(world: World) -> None:
    await world.run(COMMAND_SERVICE)
    account, _ = await _opened(world)
    for version, codec in enumerate(("gzip", "snappy", "lz4", "zstd"), start=2):
        deposit = command("DepositMoney", account, amount="1.00", reference="x" * 200)
        await world.outsider.send(deposit, compression_type=codec)
        (outcome,) = (await world.outsider.outcomes([deposit.command_id]))[deposit.command_id]
        assert document(outcome)["version"] == version, codec


async def test_a_command_of_an_aborted_transaction_is_never_decided(world: World) -> None:
    await world.run(COMMAND_SERVICE)
    account, _ = await _opened(world)
    aborted, committed, behind = (
        command("DepositMoney", account, amount=amount) for amount in ("9.00", "1.00", "2.00")
    )
    async with world.outsider.producer(transactional_id=world.topics.prefix) as producer:
        for message, end in (
            (aborted, producer.abort_transaction),
            (committed, producer.commit_transaction),
        ):
            await producer.begin_transaction()
            await producer.send(
                world.topics.commands, message.value, message.key, headers=message.headers
            )
            await end()
    await world.outsider.send(behind)
    outcomes = await world.outsider.outcomes([committed.command_id, behind.command_id])
    assert [document(copies[0])["version"] for copies in outcomes.values()] == [2, 3]
    assert len(await world.outsider.everything("outcomes")) == 3


async def test_what_foreigners_put_into_the_event_topic_stops_neither_relay_nor_projectors(
    world: World,
) -> None:
    """The mark of a foreign transaction at the end of a partition kept a starting relay waiting for
    a record that never came.
    """
    relay = (await world.run(*SERVICES))[1]
    account, _ = await _opened(world)
    event = (await world.outsider.everything("events"))[0]
    garbage = list(_foreign_records(event))
    await world.outsider.send(*garbage, topic="events")
    async with world.outsider.producer(transactional_id=world.topics.prefix) as producer:
        for partition in range(world.topics.partitions):
            for end in (producer.commit_transaction, producer.abort_transaction):
                await producer.begin_transaction()
                await producer.send(world.topics.events, b"v", b"k", partition=partition)
                await end()
    await relay.terminate()
    await world.run(RELAY)
    await world.outsider.send(behind := command("DepositMoney", account, amount="1.00"))
    await world.outsider.outcomes([behind.command_id])
    await world.current(2)
    for projection in ("balance", "audit"):
        letters = await world.outsider.everything(f"events.{projection}.dlq")
        assert len(letters) == len(garbage) + world.topics.partitions
        assert all(header(letter, "dlq-error").isprintable() for letter in letters)
    _nothing_has_stumbled(world)


async def test_what_may_be_written_arrives_as_it_was_written(
    world: World, connect: Connect
) -> None:
    await world.run(*SERVICES)
    sent = {}
    for name in _ODD_NAMES:
        account = str(uuid4())
        opening = command("OpenAccount", account, owner_name=name, initial_deposit="500.00")
        freezing = command("FreezeAccount", account, reason=name)
        sent[account] = [
            message._replace(headers=[*message.headers, ("ce_actor", name.encode())])
            for message in (opening, freezing)
        ]
    await world.outsider.send(*(message for pair in sent.values() for message in pair))
    await world.current(2 * len(sent))
    rows = await world.admin.fetch("SELECT account_id::text, owner_name FROM balances.accounts")
    names = dict(rows)
    assert [names[account] for account in sent] == [normalize("NFC", name) for name in _ODD_NAMES]
    await evidence_holds(connect, 2 * len(sent))


_ODD_NAMES = [
    "O'Brien'; DROP TABLE eventstore.events; --",
    '"\\"{}[],:%s%(x)s{0}$1\\u0000',
    "Zoe\u0308",
    "\u1112\u1161\u11ab" * 46,
    "\u202eevil",
    "\u2028\u2029\u00a0\ufeff",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 28,
    "\uffff\ufffe\U0010ffff",
    " ",
    "null",
    "x" * 140,
]


_NEEDED = {"ce_slot", "ce_slotseq", "ce_version", "ce_type", "ce_id", "ce_time", "ce_recordedtime"}


def _foreign_records(event: ConsumerRecord) -> Iterator[Message]:
    """Yield records that are almost the event."""
    right = dict(event.headers)
    for key, value, headers in (
        (None, None, {}),
        (b"k", b"v", {}),
        (None, event.value, right),
        (event.key, None, right),
        (b"\xff", event.value, right),
        (event.key, event.value, right | {"ce_slot": b"64"}),
        (event.key, event.value, right | {"ce_slot": b"-1"}),
        (event.key, event.value, right | {"ce_slotseq": b"one"}),
        (event.key, event.value, right | {"ce_slotseq": "\u0661".encode()}),
        (event.key, event.value, right | {"ce_time": b"\xff"}),
        *((event.key, event.value, right | {name: None}) for name in ("ce_slot", "ce_type")),
        *(
            (event.key, event.value, {n: v for n, v in right.items() if n != name})
            for name in right.keys() & _NEEDED
        ),
    ):
        yield Message(key, value, list(headers.items()), event.partition)


async def _opened(world: World) -> tuple[str, RecordMetadata]:
    """Open an account; return its id and where the command is."""
    account = str(uuid4())
    opening = command("OpenAccount", account, owner_name="Alice", initial_deposit="500.00")
    (place,) = await world.outsider.send(opening)
    await world.outsider.outcomes([opening.command_id])
    if any(process.name == RELAY for process in world.processes):
        await world.current(1)
    return account, place


def _nothing_has_stumbled(world: World) -> None:
    """No process has ended by itself, or started its work anew."""
    for process in world.processes:
        assert process.exit_code in {None, 0}, process.last_words()
        assert process.logged("service.unavailable") == []

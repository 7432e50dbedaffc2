"""What real services say about themselves, in logs and on `/metrics`, and what they must not say.

Names, texts and amounts of the test are marks that are looked for everywhere afterwards. Seen to fail
with `said` returning `str(error)` (the DETAIL of a row that does not fit), and with the reason of a
foreign record quoting the header.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import uuid4

import httpx
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from prometheus_client.parser import text_string_to_metric_families

from tests.support.outsider import Header, Message, command
from tests.support.processes import ServiceProcess
from tests.support.until import until
from tests.support.world import AUDIT, BALANCES, COMMAND_SERVICE, RELAY, SERVICES, World

QUERY_API: Final = "query-api"
MARK: Final = "Xq7Marker"
AMOUNT: Final = "7319460.58"
CORRELATION: Final = "case-4711"
_NEGATIVE: Final = "UPDATE balances.accounts SET balance = 0 WHERE account_id = $1"

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}", re.IGNORECASE)
_LABELS: Final = {
    *("type", "outcome", "reason", "topic", "projection", "route", "method", "status"),
    *("version", "python", "commit", "le"),
}
_THERE_FROM_THE_START: Final = {
    COMMAND_SERVICE: (
        'commands_decided_total{outcome="accepted",type="OpenAccount"}',
        'commands_decided_total{outcome="insufficient_funds",type="WithdrawMoney"}',
        'commands_decided_total{outcome="unsupported_command",type="unknown"}',
        'append_retries_total{reason="SlotMoved"}',
        'dead_letters_total{topic="PREFIXcommands.dlq"}',
        'consumer_rebalances_total{topic="PREFIXcommands"}',
    ),
    RELAY: ("relay_backlog_seconds", "relay_leading", "kafka_brokers", "postgres_database_bytes"),
    BALANCES: (
        'projection_lag_seconds{projection="balance"}',
        'projection_gaps_total{projection="balance"}',
        'consumer_partitions{topic="PREFIXevents"}',
    ),
    AUDIT: ('projection_parked{projection="audit"}',),
    QUERY_API: (
        'http_requests_total{method="GET",route="/v1/accounts",status="5xx"}',
        'http_refused_total{reason="overloaded"}',
    ),
}


def _marked(account: str, **headers: bytes) -> list[Message]:
    """Return good and bad commands with a mark in every place that a sender fills."""
    opening = command("OpenAccount", account, owner_name=MARK, initial_deposit=AMOUNT)
    messages = [
        opening,
        command(
            "OpenAccount", account, opening.command_id, owner_name=MARK * 2, initial_deposit="1"
        ),
        command("DepositMoney", account, amount="0.42", reference=MARK),
        command("DepositMoney", account, amount=f"{MARK}{AMOUNT}"),
        command("DepositMoney", account, amount="1.00", **{MARK: AMOUNT}),
        command("WithdrawMoney", account, amount="99" + AMOUNT, reference=MARK),
        command(MARK, account, amount=AMOUNT),
        command("CloseAccount", MARK),
        command("DepositMoney", account, MARK, amount=AMOUNT),
    ]
    return [
        message._replace(headers=[*message.headers, *_given(headers)], partition=0)
        for message in messages
    ]


def _given(headers: dict[str, bytes]) -> list[Header]:
    return list(headers.items())


async def test_logs_and_metrics_tell_whose_line_it_is_and_nothing_of_names_texts_and_amounts(
    world: World,
) -> None:
    processes = {process.name: process for process in await world.run(*SERVICES, QUERY_API)}
    await _starts_with_zero(world, processes)
    account = str(uuid4())
    messages = _marked(account, ce_correlationid=CORRELATION.encode())
    await world.outsider.send(*messages)
    await world.outsider.outcomes([messages[2].command_id, messages[5].command_id])
    await world.current(2)
    await world.admin.execute(_NEGATIVE, account)
    taken = command("WithdrawMoney", account, amount=AMOUNT, reference=MARK)
    foreign = Message(
        account.encode(),
        MARK.encode(),
        [("ce_slot", MARK.encode()), ("ce_correlationid", CORRELATION.encode())],
        0,
    )
    await world.outsider.send(taken, foreign._replace(partition=None))
    await world.outsider.send(foreign, topic="events")
    await _over_http(processes[QUERY_API], account)

    log = processes[COMMAND_SERVICE].logged
    await until(lambda: processes[BALANCES].logged("projection.parked"))
    for name in (BALANCES, AUDIT):
        await until(lambda name=name: processes[name].logged("record.foreign"))  # type: ignore[misc]
    await until(lambda: len(log("command.malformed")) == 6 and log("command.conflict"))
    assert {line.get("correlation_id") for line in log("command.malformed")} == {CORRELATION}
    assert messages[3].command_id in {line.get("command_id") for line in log("command.malformed")}
    (conflict,) = log("command.conflict")
    assert (conflict["command_id"], conflict["correlation_id"]) == (
        messages[0].command_id,
        CORRELATION,
    )
    (parked,) = processes[BALANCES].logged("projection.parked")
    assert (parked["command_id"], parked["account_id"]) == (taken.command_id, account)
    assert "check" in parked["reason"]
    (refused,) = processes[AUDIT].logged("record.foreign")
    assert refused["correlation_id"] == CORRELATION

    for process in processes.values():
        page = (await process.get("/metrics")).body
        _follows_the_conventions(page)
        said = process.log.read_text("utf-8") + page
        assert MARK not in said, process.name
        assert AMOUNT not in said, process.name
        assert account not in page, process.name
        assert process.exit_code is None


async def _starts_with_zero(world: World, processes: dict[str, ServiceProcess]) -> None:
    for name, series in _THERE_FROM_THE_START.items():
        for one in series:
            line = f"\npassbook_{one.replace('PREFIX', world.topics.prefix)} "

            async def shown(process: ServiceProcess = processes[name], line: str = line) -> bool:
                return line in (await process.get("/metrics")).body

            try:
                await until(shown, 5.0)
            except AssertionError:
                raise AssertionError(line) from None


async def _over_http(api: ServiceProcess, account: str) -> None:
    (listening,) = api.logged("http.listening")
    url = f"http://127.0.0.1:{listening['port']}"
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        for path, body in (
            ("/v1/accounts", {"owner_name": MARK, "initial_deposit": AMOUNT}),
            ("/v1/accounts", {"owner_name": MARK, "initial_deposit": MARK}),
            (f"/v1/accounts/{account}/withdrawals", {"amount": "99" + AMOUNT, "reference": MARK}),
            (f"/v1/{MARK}", {}),
        ):
            await client.post(path, json=body, headers={"X-Correlation-ID": CORRELATION})


def _follows_the_conventions(page: str) -> None:
    """Source: Prometheus, "Metric and label naming"."""
    for family in text_string_to_metric_families(page):
        assert family.name.startswith(("passbook_", "process_", "python_")), family.name
        if not family.name.startswith("passbook_"):
            continue
        assert family.documentation.endswith("."), family.name
        assert not re.search(r"_(ms|millis|us|minutes|kb|mb|percent|count|sum)$", family.name)
        if family.type == "counter":
            assert {sample.name for sample in family.samples} <= {family.name + "_total"}
        else:
            assert not family.name.endswith("_total"), family.name
        if family.type == "histogram":
            assert family.name.endswith("_seconds"), family.name
        assert len(family.samples) <= 350, family.name
        for sample in family.samples:
            assert sample.labels.keys() <= _LABELS, sample
            for value in sample.labels.values():
                assert len(value) < 60, sample
                assert not _UUID.search(value), sample


async def test_the_lag_of_every_group_becomes_0_after_bursts_duplicates_and_restarts(
    world: World, kafka_admin: AIOKafkaAdminClient
) -> None:
    """Seen to fail with `GroupOffsets.due` returning what was processed."""
    running = await world.run(*SERVICES)
    topics = world.topics
    groups = {
        topics.prefix + COMMAND_SERVICE: "commands",
        topics.prefix + BALANCES: "events",
        topics.prefix + AUDIT: "events",
    }

    async def without_lag() -> None:
        for group, topic in groups.items():
            async with world.outsider.watched(topic) as count:
                await until(_all_committed(kafka_admin, group, topics.prefix + topic, count), 5.0)

    await without_lag()
    account = str(uuid4())
    opening = command("OpenAccount", account, owner_name="Ada", initial_deposit="500.00")
    await world.outsider.send(opening)
    await world.outsider.outcomes([opening.command_id])
    await world.current(1)
    await without_lag()
    await world.outsider.send(opening, opening)
    (event,) = await world.outsider.everything("events")
    copy = Message(event.key, event.value, list(event.headers), event.partition)
    await world.outsider.send(copy, copy, topic="events")
    await world.outsider.outcomes([opening.command_id], copies=3)
    await without_lag()
    for process in running:
        await process.kill()
    await world.outsider.send(opening)
    await world.run(*SERVICES)
    await world.outsider.outcomes([opening.command_id], copies=4)
    await without_lag()


def _all_committed(
    admin: AIOKafkaAdminClient, group: str, topic: str, count: Callable[[], Awaitable[int]]
) -> Callable[[], Awaitable[bool]]:
    async def committed() -> bool:
        offsets = await admin.list_consumer_group_offsets(group)
        parts = {part for part, note in offsets.items() if note.offset >= 0}
        every = parts == {TopicPartition(topic, number) for number in range(len(parts))}
        done = sum(note.offset for note in offsets.values())
        return bool(parts) and every and done == await count()

    return committed

"""After a run: is what the services did right? Looks from outside, in SQL and with a plain reader."""

from collections import Counter
from decimal import Decimal
from typing import Final

from passbook.cli.bench.environment import Environment
from passbook.cli.bench.workload import Expectation
from passbook.messaging.reader import TopicReader

_OUTCOMES: Final = """
SELECT coalesce(error_code, 'accepted'), count(*) FROM eventstore.commands GROUP BY 1
"""
_HOLES_IN_SLOTS: Final = """
SELECT s.slot FROM eventstore.slots s
  LEFT JOIN (SELECT slot, count(*) AS n, min(slot_seq) AS low, max(slot_seq) AS high
               FROM eventstore.events GROUP BY slot) e USING (slot)
 WHERE s.head <> coalesce(e.high, 0) OR s.head <> coalesce(e.n, 0) OR coalesce(e.low, 1) <> 1
"""
_HOLES_IN_STREAMS: Final = """
SELECT count(*) FROM (SELECT FROM eventstore.events GROUP BY stream_id
                      HAVING count(*) <> max(version) OR min(version) <> 1) wrong
"""
_BALANCES: Final = "SELECT account_id, balance, version FROM balances.accounts"
_AUDITED: Final = """
SELECT count(*) FROM eventstore.events e JOIN audit.entries a USING (slot, slot_seq)
 WHERE a.event_id = e.event_id AND a.account_id = e.stream_id AND a.version = e.version
   AND a.event_type = e.event_type AND a.data::text = e.data::text
"""


async def broken_invariants(
    environment: Environment, commands: int, expected: Expectation
) -> list[str]:
    """Return what is wrong, in words; nothing when all is as it has to be."""
    return [
        *await _store(environment, expected),
        *await _read_models(environment, expected),
        *await _events_in_kafka(environment, expected),
        *await _outcomes_in_kafka(environment, commands),
    ]


async def _store(environment: Environment, expected: Expectation) -> list[str]:
    failed = []
    outcomes = Counter(dict(await environment.admin.fetch(_OUTCOMES)))
    if outcomes != expected.outcomes:
        failed.append(f"outcomes are {dict(outcomes)}, expected {dict(expected.outcomes)}")
    if slots := await environment.admin.fetch(_HOLES_IN_SLOTS):
        failed.append(f"slots with holes: {[row[0] for row in slots]}")
    if streams := await environment.admin.fetchval(_HOLES_IN_STREAMS):
        failed.append(f"{streams} accounts have holes in their versions")
    return failed


async def _read_models(environment: Environment, expected: Expectation) -> list[str]:
    failed = []
    rows = {row[0]: (row[1], row[2]) for row in await environment.admin.fetch(_BALANCES)}
    wanted = {
        account_id: (account.balance, account.version)
        for account_id, account in expected.accounts.items()
    }
    if rows != wanted:
        wrong = [account for account in wanted if rows.get(account) != wanted[account]]
        failed.append(f"{len(wrong)} balances differ, {len(rows)} rows of {len(wanted)}")
    total = sum((balance for balance, _ in rows.values()), Decimal(0))
    if total != expected.moved:
        failed.append(f"balances add up to {total}, deposits minus withdrawals to {expected.moved}")
    audited = await environment.admin.fetchval(_AUDITED)
    if audited != expected.events:
        failed.append(f"{audited} of {expected.events} events have their audit entry")
    return failed


async def _events_in_kafka(environment: Environment, expected: Expectation) -> list[str]:
    topics = environment.settings.topics
    seen: Counter[int] = Counter()
    versions: Counter[bytes] = Counter()
    repeats = gaps = 0
    async with TopicReader(
        environment.settings.kafka, topics.events, partitions=topics.partitions, client_id="bench"
    ) as reader:
        ends = await reader.ends()
        left = sum(ends.values())
        while left:
            for records in (await reader.poll(10.0)).values():
                left -= len(records)
                for record in records:
                    headers = dict(record.headers)
                    slot, seq = int(headers["ce_slot"]), int(headers["ce_slotseq"])
                    if seq <= seen[slot]:
                        repeats += 1
                        continue
                    gaps += seq != seen[slot] + 1
                    gaps += int(headers["ce_version"]) != versions[record.key] + 1
                    seen[slot] = seq
                    versions[record.key] += 1
    failed = [f"{gaps} gaps in the event topic"] if gaps else []
    if seen.total() != expected.events:
        failed.append(f"{seen.total()} events in Kafka, {repeats} repeats, of {expected.events}")
    return failed


async def _outcomes_in_kafka(environment: Environment, commands: int) -> list[str]:
    topics = environment.settings.topics
    answered: Counter[bytes] = Counter()
    async with TopicReader(
        environment.settings.kafka, topics.outcomes, partitions=topics.partitions, client_id="bench"
    ) as reader:
        left = sum((await reader.ends()).values())
        while left:
            for records in (await reader.poll(10.0)).values():
                left -= len(records)
                answered.update(dict(record.headers)["ce_commandid"] for record in records)
    if len(answered) != commands:
        return [f"{len(answered)} of {commands} commands have an outcome in Kafka"]
    return []

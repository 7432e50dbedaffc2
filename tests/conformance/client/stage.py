"""Events to subscribe to: decided by the bank in memory, and carried to Kafka where that is read."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from passbook.client import Bank, ReceivedEvent, Subscription
from passbook.client.testing import FakeBank
from passbook.domain.slots import slot_of
from passbook.messaging.producer import Producer, Record
from passbook.messaging.topics import Topics

_WAIT_S = 15.0


@dataclass(slots=True)
class Stage:
    """`origin` decides; subscriptions are made at `bank`. Without Kafka both are the same."""

    origin: FakeBank
    bank: Bank
    kafka: str = ""
    topics: Topics = field(default_factory=Topics)
    _carried: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    async def carry(self) -> None:
        """Have everything that was decided published."""
        if not self.kafka:
            return
        records: dict[int, list[Record]] = {}
        for number, known in enumerate(self.origin._log.partitions):
            records[number] = [
                (record.key, record.value, list(record.headers))
                for record in known[self._carried[number] :]
            ]
            self._carried[number] = len(known)
        async with Producer(self.kafka, client_id="tests") as producer:
            await producer.publish(self.topics.events, records)

    async def opened(self, *accounts: UUID) -> None:
        """Have accounts opened."""
        for account_id in accounts:
            await self.origin.open_account("Ada", "100.00", account_id=account_id)
        await self.carry()

    async def deposits(self, account_id: UUID, count: int = 1) -> None:
        """Have deposits of 1.00, 2.00, 3.00 …"""
        for number in range(count):
            await self.origin.deposit(account_id, number + 1)
        await self.carry()

    async def publish(self, partition: int, record: Record) -> None:
        """Publish any record."""
        self.origin._log.append(partition, record)
        await self.carry()


def accounts_in_slot(slot: int, count: int) -> list[UUID]:
    """Return accounts that share a slot."""
    found: list[UUID] = []
    while len(found) < count:
        account_id = uuid4()
        if slot_of(account_id) == slot:
            found.append(account_id)
    return found


async def take(subscription: Subscription, count: int, *, ack: bool = True) -> list[ReceivedEvent]:
    """Return the next events, acknowledged unless told otherwise."""
    events = []
    async with asyncio.timeout(_WAIT_S):
        for _ in range(count):
            event = await anext(subscription)
            if ack:
                await event.ack()
            events.append(event)
    return events


@asynccontextmanager
async def asked(subscription: Subscription) -> AsyncIterator[asyncio.Task[ReceivedEvent]]:
    """Give a task that asks for the next event, cancelled at the end unless it has one."""
    task = asyncio.ensure_future(anext(subscription))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])

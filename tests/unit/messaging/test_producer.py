"""A broker that acknowledges nothing: it says so only to whoever waits for ever."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from passbook.messaging import producer as module
from passbook.messaging.producer import Producer, PublishFailed, Record


class _Silent:
    """A client whose batches are taken, and answered by nobody but one partition's broker."""

    def __init__(self) -> None:
        self.client = None
        self.sent: list[asyncio.Future[Any]] = []

    def create_batch(self) -> Any:
        return SimpleNamespace(append=lambda **_: True, record_count=lambda: 1, close=lambda: None)

    async def send_batch(self, _batch: Any, _topic: str, *, partition: int) -> asyncio.Future[Any]:
        acknowledged = asyncio.get_running_loop().create_future()
        self.sent.append(acknowledged)
        if partition == 0:
            acknowledged.set_result(SimpleNamespace(offset=7))
        return acknowledged


async def test_who_waits_too_long_is_told_that_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail: an idempotent client tries for ever, and a relay that cannot publish kept its
    groups from all others.
    """
    monkeypatch.setattr(module, "_ACKNOWLEDGED_S", 0.05)
    silent = _Silent()
    monkeypatch.setattr(module, "AIOKafkaProducer", lambda **_: silent)
    monkeypatch.setattr(module, "robust", lambda _client: None)
    producer = Producer("nowhere:9092", client_id="test")
    record: Record = (b"key", b"value", [])
    assert await producer.publish("topic", {0: [record]}) == {0: 7}
    async with asyncio.timeout(5):
        with pytest.raises(PublishFailed, match="has not acknowledged records of topic"):
            await producer.publish("topic", {0: [record], 1: [record]})
    assert not silent.sent[-1].cancelled(), "its error, when it comes, is nobody's surprise"

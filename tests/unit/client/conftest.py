"""A client whose Kafka, and everything behind it, is a table."""

from collections.abc import AsyncIterator

import pytest

from passbook.client import PassbookClient
from tests.unit.client.fake_bank import FakeBank, FakeProducer, FakeTail, stand_in


@pytest.fixture
async def bank(monkeypatch: pytest.MonkeyPatch) -> FakeBank:
    bank = FakeBank()
    monkeypatch.setattr("passbook.client.client.Producer", stand_in(bank, FakeProducer))
    monkeypatch.setattr("passbook.client.client.Tail", stand_in(bank, FakeTail))
    monkeypatch.setattr("passbook.client.answers._FIRST_RETRY_S", 0.001)
    return bank


@pytest.fixture
async def client(bank: FakeBank) -> AsyncIterator[PassbookClient]:
    async with PassbookClient("unused") as client:
        assert bank.tail_starts == 1
        yield client

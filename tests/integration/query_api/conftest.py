"""A ledger that is reached over HTTP."""

from collections.abc import AsyncIterator

import pytest

from tests.support.http import Served, serving
from tests.support.ledger import Ledger, running


@pytest.fixture
async def served(ledger: Ledger) -> AsyncIterator[Served]:
    """Give the service; nobody decides commands or keeps read models."""
    async with serving(ledger.settings("passbook_query_api")) as served:
        yield served


@pytest.fixture
async def deciding(ledger: Ledger) -> AsyncIterator[None]:
    """Have commands decided."""
    async with running(ledger.command_service()):
        yield

"""What acceptance tests of the command line share: one `passbook up` for all of them."""

from collections.abc import AsyncIterator

import pytest

from tests.support.installation import installation
from tests.support.program import Program


@pytest.fixture(scope="session")
async def running_passbook() -> AsyncIterator[Program]:
    """Give the program on a data directory where `passbook up` runs; tests share its ledger."""
    with installation() as here:
        async with here.up():
            yield here.passbook

"""What a browser and a generator of clients find."""

import re
from collections.abc import AsyncIterator

import pytest

from tests.support.http import Served, serving


@pytest.fixture
async def alone() -> AsyncIterator[Served]:
    """Give a service that has reached no server yet."""
    async with serving(None) as served:
        yield served


async def test_the_console_loads_nothing_from_elsewhere(alone: Served) -> None:
    page = await alone.client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"https?://|//[a-z]", page.text)
    assert "innerHTML" not in page.text


async def test_every_operation_says_what_it_answers(alone: Served) -> None:
    document = (await alone.client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    operations = {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }
    assert len(operations) == sum(len(path) for path in document["paths"].values())
    for name, operation in operations.items():
        told = operation["responses"]
        assert {"400", "401", "403", "408", "413", "421", "431", "500", "503"} <= set(told), name
        assert any(status.startswith("2") for status in told), name
        assert operation["security"], name
        assert operation["tags"], name
        for status, answer in told.items():
            assert answer["description"], (name, status)
            if status >= "400":
                assert "application/problem+json" in answer["content"], (name, status)
            if status == "503":
                assert "Retry-After" in answer["headers"], name
    references = set(re.findall(r'#/components/schemas/(\w+)"', str(document).replace("'", '"')))
    assert references <= set(document["components"]["schemas"])

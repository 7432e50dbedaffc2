"""One image for all tests of this folder, and one stack for those that only look at it."""

from collections.abc import AsyncIterator

import pytest

from tests.support.compose import Compose, built_image, running_project


@pytest.fixture(scope="session")
async def image() -> AsyncIterator[str]:
    """Give the name of the image that deploy/Dockerfile makes."""
    async with built_image() as name:
        yield name


@pytest.fixture(scope="session")
async def stack(image: str) -> AsyncIterator[Compose]:
    """Give a healthy project; whoever stops something of it starts it again."""
    async with running_project(image) as compose:
        yield compose


@pytest.fixture
async def own_stack(image: str) -> AsyncIterator[Compose]:
    """Give a healthy project with an empty ledger."""
    async with running_project(image) as compose:
        yield compose

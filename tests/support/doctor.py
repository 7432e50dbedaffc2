"""What `passbook doctor` finds in a test's own ledger."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from passbook.cli.checks.finding import Verdict
from passbook.cli.doctor import examined
from passbook.cli.options import Options
from tests.support.world import World


async def findings(world: World, dsn: str, **settings: str) -> dict[str, Verdict]:
    """Return check → verdict, as the doctor finds with this login and these settings."""
    environment = {
        "PASSBOOK_EVENT_STORE_DSN": dsn,
        "PASSBOOK_KAFKA_BOOTSTRAP": world.kafka,
        "PASSBOOK_TOPIC_PREFIX": world.topics.prefix,
        "PASSBOOK_TOPIC_PARTITIONS": str(world.topics.partitions),
        **settings,
    }
    with _only(environment):
        found = await examined(Options(world.folder / "none"))
    for finding in found:
        assert finding.verdict.remedy or finding.verdict.detail
    return {finding.name: finding.verdict for finding in found}


@contextmanager
def _only(environment: dict[str, str]) -> Iterator[None]:
    """Have these settings and no others for the length of the block."""
    with patch.dict(os.environ, environment):
        for name in set(os.environ).difference(environment):
            if name.startswith("PASSBOOK_"):
                del os.environ[name]
        yield

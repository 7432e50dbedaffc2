"""Topics that keep records otherwise than the code needs are refused at the start; the doctor says so."""

from typing import Final

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from passbook.cli.checks.finding import State
from passbook.messaging.topics import TopicMismatch, Topics, missing_topics
from passbook.service import EXIT_CONFIGURATION
from tests.support.doctor import findings
from tests.support.processes import ServiceProcess
from tests.support.until import until
from tests.support.world import AUDIT, BALANCES, COMMAND_SERVICE, RELAY, World

_ENDED_S: Final = 30.0


@pytest.mark.parametrize(
    ("service", "name", "key", "value", "expected"),
    [
        (RELAY, "events", "retention.ms", "1000", "-1"),
        (COMMAND_SERVICE, "commands", "cleanup.policy", "compact", "delete"),
        (COMMAND_SERVICE, "commands", "max.message.bytes", "1048588", "4194304"),
        (AUDIT, "events.audit.dlq", "max.message.bytes", "1048588", "4259840"),
    ],
)
async def test_a_topic_with_another_setting_is_refused(
    world: World,
    kafka_admin: AIOKafkaAdminClient,
    service: str,
    name: str,
    key: str,
    value: str,
    expected: str,
) -> None:
    """Seen to fail: without the comparison of the settings the service is ready."""
    topic = world.topics.prefix + name
    await _alter(kafka_admin, world.topics, topic, {key: value})
    sentence = f"{topic}: {key} is {value}, expected {expected}"

    process = world.start(service)
    found = await findings(world, world.dsn(service))

    assert found["topics"].state is State.FAILED
    assert found["topics"].detail == sentence
    assert await _refused(process) == sentence


@pytest.mark.parametrize(
    ("service", "settings", "sentence"),
    [
        (BALANCES, {"REPLICATION": "2"}, "events: on 1 broker, expected 2; add replicas with"),
        (
            RELAY,
            {"REPLICATION": "2", "MIN_INSYNC_REPLICAS": "2"},
            "events: min.insync.replicas is 1, expected at least 2; set it with",
        ),
    ],
)
async def test_a_topic_that_keeps_fewer_copies_is_refused(
    world: World, service: str, settings: dict[str, str], sentence: str
) -> None:
    """Seen to fail: without counting the replicas, or those in sync, the service is ready."""
    asked = {f"PASSBOOK_TOPIC_{key}": value for key, value in settings.items()}

    process = world.start(service, **asked)
    found = await findings(world, world.dsn(service), **asked)

    assert found["topics"].state is State.FAILED
    assert world.topics.prefix + sentence in found["topics"].detail
    assert world.topics.prefix + sentence in await _refused(process)


async def _refused(process: ServiceProcess) -> str:
    """Return why a service refuses to work."""
    assert await process.ended(_ENDED_S) == EXIT_CONFIGURATION, process.last_words()
    (refused,) = process.logged("service.refused")
    error: str = refused["error"]
    return error


async def _alter(
    admin: AIOKafkaAdminClient, topics: Topics, name: str, change: dict[str, str]
) -> None:
    """Change settings of a topic; return when the broker tells of them."""
    (spec,) = [spec for spec in topics.specs() if spec.name == name]
    changed = ConfigResource(ConfigResourceType.TOPIC, name, spec.config | change)
    await admin.alter_configs([changed])

    async def differs() -> bool:
        try:
            await missing_topics(admin, topics)
        except TopicMismatch:
            return True
        return False

    await until(differs)

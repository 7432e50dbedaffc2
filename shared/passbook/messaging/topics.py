"""The topics, as code: created by `passbook topics apply`, compared at every start."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from passbook.domain.slots import valid_partition_count

DEFAULT_PREFIX: Final = "bank."
DEFAULT_PARTITIONS: Final = 16
PROJECTIONS: Final = ("balance", "audit")
_MIN_INSYNC: Final = "min.insync.replicas"
_LOOKS: Final = 100
_LOOK_AGAIN_S: Final = 0.1

_DAY_MS: Final = 24 * 60 * 60 * 1000
MAX_COMMAND_RECORD: Final = 4 * 1024 * 1024
"""Bytes of a record that the command topic takes: a huge command is refused with an outcome and a
dead letter, not by a broker whose error its sender may overlook."""
MAX_DEAD_LETTER_RECORD: Final = MAX_COMMAND_RECORD + 64 * 1024


class TopicMismatch(RuntimeError):
    """The broker's topics are not the ones this code needs; the message lists the differences."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic and the settings that matter for correctness."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of all topics, for one prefix and one number of partitions; and on how many brokers
    at least each record is kept (`replication`), and must be stored before it is acknowledged.
    """

    prefix: str = DEFAULT_PREFIX
    partitions: int = DEFAULT_PARTITIONS
    replication: int = 1
    min_insync_replicas: int = 1

    def __post_init__(self) -> None:
        """Refuse a number of partitions that would split a slot."""
        if not valid_partition_count(self.partitions):
            message = f"partitions must be a power of two up to 64, not {self.partitions}"
            raise ValueError(message)
        if not 1 <= self.min_insync_replicas <= self.replication:
            message = (
                f"{self.min_insync_replicas} in-sync replicas cannot be asked for, "
                f"of a replication of {self.replication}"
            )
            raise ValueError(message)

    @property
    def commands(self) -> str:
        """Commands, keyed by account."""
        return self.prefix + "commands"

    @property
    def events(self) -> str:
        """The log, kept for ever."""
        return self.prefix + "events"

    @property
    def outcomes(self) -> str:
        """What was decided on each command."""
        return self.prefix + "outcomes"

    @property
    def commands_dlq(self) -> str:
        """Commands that could not be understood."""
        return self.prefix + "commands.dlq"

    def events_dlq(self, projection: str) -> str:
        """Events that a projection could not apply."""
        return f"{self.prefix}events.{projection}.dlq"

    def specs(self) -> list[TopicSpec]:
        """Return every topic with its settings."""
        week, quarter = str(7 * _DAY_MS), str(90 * _DAY_MS)
        large = str(MAX_DEAD_LETTER_RECORD)
        letters = {"retention.ms": quarter, "max.message.bytes": large}
        return [
            TopicSpec(name, self.partitions, {"cleanup.policy": "delete", **config})
            for name, config in (
                (
                    self.commands,
                    {"retention.ms": week, "max.message.bytes": str(MAX_COMMAND_RECORD)},
                ),
                (self.events, {"retention.ms": "-1", "retention.bytes": "-1"}),
                (self.outcomes, {"retention.ms": week}),
                (self.commands_dlq, letters),
                *((self.events_dlq(projection), letters) for projection in PROJECTIONS),
            )
        ]


async def missing_topics(admin: AIOKafkaAdminClient, topics: Topics) -> list[TopicSpec]:
    """Return the topics the broker does not have.

    Raises:
        TopicMismatch: one exists with other partitions or settings than `Topics.specs` says, or on
            fewer brokers than it should be.
    """
    specs = topics.specs()
    known = {
        description["topic"]: description
        for description in await admin.describe_topics([spec.name for spec in specs])
        if not description["error_code"]
    }
    present = [spec for spec in specs if spec.name in known]
    differences = [
        f"{spec.name}: {found} partitions, expected {spec.partitions}"
        for spec in present
        if (found := len(known[spec.name]["partitions"])) != spec.partitions
    ]
    differences += [
        f"{spec.name}: on {found} broker{'s' if found > 1 else ''}, expected {topics.replication}; "
        "add replicas with kafka-reassign-partitions.sh"
        for spec in present
        if (found := _replication(known[spec.name])) < topics.replication
    ]
    differences += await _config_differences(admin, present, topics.min_insync_replicas)
    if differences:
        raise TopicMismatch("; ".join(differences))
    return [spec for spec in specs if spec.name not in known]


async def apply_topics(admin: AIOKafkaAdminClient, topics: Topics) -> list[TopicSpec]:
    """Create the topics that are missing and return them.

    Raises:
        TopicMismatch: see `missing_topics`.
        KafkaError: the broker refused to create one.
    """
    missing = await missing_topics(admin, topics)
    if not missing:
        return []
    response = await admin.create_topics(
        [
            NewTopic(
                spec.name,
                num_partitions=spec.partitions,
                replication_factor=topics.replication,
                topic_configs=spec.config | _durability(topics),
            )
            for spec in missing
        ]
    )
    for topic, code, *rest in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            message = f"{topic}: {rest[0] if rest else error.__name__}"
            raise KafkaError(message)
    await _known_to_brokers(admin, missing)
    return missing


async def _known_to_brokers(admin: AIOKafkaAdminClient, specs: list[TopicSpec]) -> None:
    """Return when brokers tell of topics that were created: under load some time after they are,
    and a service that starts in between would refuse to run.
    """
    names = [spec.name for spec in specs]
    for _ in range(_LOOKS):
        if not any(topic["error_code"] for topic in await admin.describe_topics(names)):
            return
        await asyncio.sleep(_LOOK_AGAIN_S)
    message = f"created, but not there after {_LOOKS * _LOOK_AGAIN_S:.0f} s: {', '.join(names)}"
    raise KafkaError(message)


async def check_topics(admin: AIOKafkaAdminClient, topics: Topics) -> None:
    """Return if every topic is there as it should be.

    Raises:
        TopicMismatch: with what to do about it.
    """
    missing = await missing_topics(admin, topics)
    if missing:
        names = ", ".join(spec.name for spec in missing)
        message = f"missing topics: {names}; create them with `passbook topics apply`"
        raise TopicMismatch(message)


def _durability(topics: Topics) -> dict[str, str]:
    """Return the setting, unless it says nothing: then the brokers' own default may say more."""
    least = topics.min_insync_replicas
    return {_MIN_INSYNC: str(least)} if least > 1 else {}


def _replication(description: Mapping[str, Any]) -> int:
    """Return on how many brokers the worst kept partition of a topic is."""
    return min(len(partition["replicas"]) for partition in description["partitions"])


async def _config_differences(
    admin: AIOKafkaAdminClient, specs: list[TopicSpec], min_insync_replicas: int
) -> list[str]:
    if not specs:
        return []
    responses = await admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, spec.name) for spec in specs]
    )
    actual = {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for response in responses
        for resource in response.resources
    }
    different = [
        f"{spec.name}: {key} is {actual[spec.name].get(key)}, expected {value}"
        for spec in specs
        for key, value in spec.config.items()
        if actual[spec.name].get(key) != value
    ]
    less_durable = [
        f"{spec.name}: {_MIN_INSYNC} is {found}, expected at least {min_insync_replicas}; "
        "set it with kafka-configs.sh"
        for spec in specs
        if (found := int(actual[spec.name].get(_MIN_INSYNC, 1))) < min_insync_replicas
    ]
    return different + less_durable

"""What a principal may do in Kafka, found out by doing it: one request each, over one connection.

Whatever is allowed is done, so the topics are for nothing else. Nothing is taken from the table of
ACLs here: an attempt is its name and the name of a topic or group, without the prefix.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.new_topic import NewTopic
from aiokafka.protocol.admin import (
    AlterConfigsRequest,
    CreateAclsRequest,
    DeleteGroupsRequest,
    DeleteRecordsRequest,
    DescribeAclsRequest,
    DescribeGroupsRequest,
)
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from passbook.messaging.authorizer import AlterScramRequest

TOPICS: Final = (
    *("commands", "events", "outcomes"),
    *("commands.dlq", "events.balance.dlq", "events.audit.dlq"),
)
GROUPS: Final = ("command-service", "balance-projector", "audit-projector")
FOREIGN_GROUP: Final = "payroll"
_TOPIC_FAILED: Final = 29
_GROUP_FAILED: Final = 30
_CLUSTER_FAILED: Final = 31
_REFUSED: Final = {_TOPIC_FAILED, _GROUP_FAILED, _CLUSTER_FAILED}
_ANY: Final = 1


class Attempt(NamedTuple):
    """Something to do, and to what."""

    action: str
    name: str = ""


_OF_TOPICS: Final = ("see", "read", "write", "settings", "change", "empty", "delete")
_OF_GROUPS: Final = ("join", "watch", "commit", "forget")
ATTEMPTS: Final = (
    *(Attempt(action, group) for action in _OF_GROUPS for group in (*GROUPS, FOREIGN_GROUP)),
    *(Attempt(action, topic) for action in _OF_TOPICS for topic in TOPICS),
    Attempt("create"),
    Attempt("acls"),
    Attempt("grant"),
    Attempt("password"),
)
"""Those that take something away come after those that would miss it."""


def parsed(text: str) -> set[Attempt]:
    """Return what a text allows: `read commands; see *`, actions with names, by semicolons."""
    allowed: set[Attempt] = set()
    for part in filter(None, map(str.strip, text.split(";"))):
        action, *names = part.split()
        known = GROUPS if action in _OF_GROUPS else TOPICS
        wanted = [*known] if names == ["*"] else names or [""]
        allowed |= {Attempt(action, name) for name in wanted}
    unknown = allowed - set(ATTEMPTS)
    assert not unknown, unknown
    return allowed


class Trier:
    """Tries as whoever the admin client is logged in as."""

    def __init__(self, client: AIOKafkaAdminClient, prefix: str) -> None:
        """Try on the topics and groups of this prefix."""
        self._client = client
        self._prefix = prefix

    async def allowed(self, attempts: Iterable[Attempt] = ATTEMPTS) -> set[Attempt]:
        """Return those attempts that were not refused."""
        return {one for one in attempts if await self._code(one) not in _REFUSED}

    async def _code(self, attempt: Attempt) -> int:
        name = attempt.name
        if name != FOREIGN_GROUP:
            name = self._prefix + name
        code: int = await getattr(self, f"_{attempt.action}")(name)
        return code

    async def _send(self, request: Any) -> Any:
        return await self._client._send_request(request)

    async def _see(self, topic: str) -> int:
        return (await self._send(MetadataRequest([topic]))).topics[0][0]  # type: ignore[no-any-return]

    async def _read(self, topic: str) -> int:
        partitions = [(0, 0, 1024)]
        answer = await self._send(FetchRequest(1, 0, 1024, 1, [(topic, partitions)]))
        return answer.topics[0][1][0][1]  # type: ignore[no-any-return]

    async def _write(self, topic: str) -> int:
        batch = DefaultRecordBatchBuilder(
            magic=2,
            compression_type=0,
            is_transactional=0,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=-1,
            batch_size=1024,
        )
        batch.append(0, 0, None, b"an attempt", [])
        answer = await self._send(
            ProduceRequest(None, -1, 1000, [(topic, [(0, bytes(batch.build()))])])
        )
        return answer.topics[0][1][0][1]  # type: ignore[no-any-return]

    async def _settings(self, topic: str) -> int:
        wanted = [ConfigResource(ConfigResourceType.TOPIC, topic)]
        (answer,) = await self._client.describe_configs(wanted)
        return answer.resources[0][0]  # type: ignore[no-any-return]

    async def _change(self, topic: str) -> int:
        settings = [("retention.ms", "1")]
        answer = await self._send(AlterConfigsRequest([(2, topic, settings)], validate_only=True))
        return answer.resources[0][0]  # type: ignore[no-any-return]

    async def _empty(self, topic: str) -> int:
        answer = await self._send(DeleteRecordsRequest([(topic, [(0, 0)])], 1000))
        return answer.topics[0][1][0][2]  # type: ignore[no-any-return]

    async def _delete(self, topic: str) -> int:
        return (await self._client.delete_topics([topic])).topic_error_codes[0][1]  # type: ignore[no-any-return]

    async def _create(self, prefix: str) -> int:
        answer = await self._client.create_topics(
            [NewTopic(f"{prefix}new", 1, 1)], validate_only=True
        )
        return answer.topic_errors[0][1]  # type: ignore[no-any-return]

    async def _join(self, group: str) -> int:
        return (await self._send(HeartbeatRequest(group, 1, "nobody"))).error_code  # type: ignore[no-any-return]

    async def _watch(self, group: str) -> int:
        return (await self._send(DescribeGroupsRequest([group]))).groups[0][0]  # type: ignore[no-any-return]

    async def _commit(self, group: str) -> int:
        position = [(f"{self._prefix}events", [(0, 0, "")])]
        answer = await self._send(OffsetCommitRequest(group, -1, "", -1, position))
        return answer.topics[0][1][0][1]  # type: ignore[no-any-return]

    async def _forget(self, group: str) -> int:
        return (await self._send(DeleteGroupsRequest([group]))).results[0][1]  # type: ignore[no-any-return]

    async def _acls(self, _: str) -> int:
        request = DescribeAclsRequest(_ANY, None, _ANY, None, None, _ANY, _ANY)
        return (await self._send(request)).error_code  # type: ignore[no-any-return]

    async def _grant(self, prefix: str) -> int:
        request = CreateAclsRequest(2, f"{prefix}nothing", 3, "User:nobody", "*", 3, 3)
        return (await self._send(request)).creation_responses[0][0]  # type: ignore[no-any-return]

    async def _password(self, prefix: str) -> int:
        credential: tuple[object, ...] = (f"{prefix}nobody", 2, 8192, b"salt", bytes(64), {})
        answer = await self._send(AlterScramRequest([credential]))
        return answer.results[0][1]  # type: ignore[no-any-return]

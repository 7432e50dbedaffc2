"""Who may do what in Kafka: the table that `passbook acls` applies and compares.

    passbook_command_service    reads commands in its group; writes outcomes and dead letters; reads
                                where the events end
    passbook_outbox_relay       writes events, and reads where they end
    passbook_balance_projector  reads events in its group; writes its dead letters
    passbook_audit_projector    likewise
    passbook_query_api          writes commands, reads outcomes
    passbook_client, …          who publishes: like it, and reads events in groups of its own
    passbook_reader             reads everything, sees groups and ACLs, changes nothing
    passbook_operator           like it, and publishes dead letters again: commands and events; puts
                                the command service's group back after a restore

All that run as services, and the last two, may see what the topics are set to, which is compared at
every start. Topics and ACLs themselves are changed by a super user (`super.users` of the brokers).
Principals are named like the logins of PostgreSQL. Kafka lets who may read or write a topic describe
it too, and who may write any to use an idempotent producer.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Final, NamedTuple

from passbook.messaging.topics import PROJECTIONS, Topics

CLIENT: Final = "passbook_client"
READER: Final = "passbook_reader"
OPERATOR: Final = "passbook_operator"
SERVICES: Final = (
    "passbook_command_service",
    "passbook_outbox_relay",
    *(f"passbook_{projection}_projector" for projection in PROJECTIONS),
    "passbook_query_api",
)
PRINCIPALS: Final = (*SERVICES, CLIENT, READER, OPERATOR)
"""Every principal of the table."""


class Kind(IntEnum):
    """What a right is about. Source: Kafka, ResourceType."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5
    DELEGATION_TOKEN = 6
    USER = 7


class Pattern(IntEnum):
    """How a name is meant. Source: Kafka, PatternType. `*` is every name, and literal."""

    LITERAL = 3
    PREFIXED = 4


class Operation(IntEnum):
    """Source: Kafka, AclOperation."""

    ALL = 2
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12
    CREATE_TOKENS = 13
    DESCRIBE_TOKENS = 14
    TWO_PHASE_COMMIT = 15


class Permission(IntEnum):
    """Source: Kafka, AclPermissionType. What is denied stays so, whatever else is allowed."""

    DENY = 2
    ALLOW = 3


class Right(NamedTuple):
    """One operation on one kind of thing."""

    operation: Operation
    kind: Kind
    name: str
    pattern: Pattern = Pattern.LITERAL
    permission: Permission = Permission.ALLOW

    def covers(self, kind: Kind, name: str) -> bool:
        """Tell whether it is about a thing, whatever it lets do with it."""
        if self.pattern is Pattern.PREFIXED:
            return self.kind is kind and name.startswith(self.name)
        return self.kind is kind and self.name in {name, "*"}


class Acl(NamedTuple):
    """A right that a principal has, from a host or (`*`) from any; `principal` is without `User:`."""

    principal: str
    right: Right
    host: str = "*"

    def __str__(self) -> str:
        """Return it as a sentence."""
        operation, kind, name, pattern, permission = self.right
        verb = "may not" if permission is Permission.DENY else "may"
        end = "*" if pattern is Pattern.PREFIXED else ""
        what = f"{operation.name.lower().replace('_', ' ')} {kind.name.lower()}"
        place = "" if self.host == "*" else f", from {self.host}"
        return f"{self.principal} {verb} {what} {name}{end}{place}"


def acls(topics: Topics, clients: Iterable[str] = ()) -> frozenset[Acl]:
    """Return everything that the principals of the table need, and each of `clients`, who publish
    commands like `passbook_client`.

    Raises:
        ValueError: without a prefix, the groups of the services are like everybody's.
    """
    if not topics.prefix:
        message = "ACLs need a topic prefix, which tells the groups of the services from others"
        raise ValueError(message)
    table = rights(topics)
    return frozenset(
        Acl(principal, right)
        for principal in {*table, *clients}
        for right in table.get(principal, table[CLIENT])
    )


def guarded(topics: Topics) -> list[Right]:
    """Return what nobody outside of the table should have: to write what services write, which is all
    but commands; to work in their groups; and to give oneself any of it, by an ACL or a password.
    """
    written = {spec.name for spec in topics.specs()} - {topics.commands}
    names = ("command-service", *(f"{projection}-projector" for projection in PROJECTIONS))
    return [
        *(_on(Operation.WRITE, topic) for topic in sorted(written)),
        *(_group(topics, name) for name in names),
        Right(Operation.ALTER, Kind.CLUSTER, "kafka-cluster"),
    ]


def rights(topics: Topics) -> Mapping[str, list[Right]]:
    """Return principal → its rights."""
    command_service, relay, *projectors, query_api = SERVICES
    publishing = [_on(Operation.WRITE, topics.commands), _on(Operation.READ, topics.outcomes)]
    reading = [
        *(_on(Operation.READ, spec.name) for spec in topics.specs()),
        Right(Operation.DESCRIBE, Kind.GROUP, topics.prefix, Pattern.PREFIXED),
        Right(Operation.DESCRIBE, Kind.CLUSTER, "kafka-cluster"),
    ]
    table = {
        command_service: [
            _on(Operation.READ, topics.commands),
            _group(topics, "command-service"),
            _on(Operation.WRITE, topics.outcomes),
            _on(Operation.WRITE, topics.commands_dlq),
            _on(Operation.READ, topics.events),
        ],
        relay: [_on(Operation.WRITE, topics.events), _on(Operation.READ, topics.events)],
        **{
            principal: [
                _on(Operation.READ, topics.events),
                _group(topics, f"{projection}-projector"),
                _on(Operation.WRITE, topics.events_dlq(projection)),
            ]
            for principal, projection in zip(projectors, PROJECTIONS, strict=True)
        },
        query_api: publishing,
        READER: reading,
        OPERATOR: [
            *reading,
            _on(Operation.WRITE, topics.commands),
            _on(Operation.WRITE, topics.events),
            _group(topics, "command-service"),
        ],
    }
    table = {principal: [*own, *_settings(topics, own)] for principal, own in table.items()}
    return {**table, CLIENT: [*publishing, *_subscribing(topics)]}


def _subscribing(topics: Topics) -> list[Right]:
    """Return what lets read events in any group but those of the services: whoever joined one of
    them would be given partitions, and leave them undone.
    """
    own = (Kind.GROUP, topics.prefix, Pattern.PREFIXED, Permission.DENY)
    return [
        _on(Operation.READ, topics.events),
        Right(Operation.READ, Kind.GROUP, "*"),
        Right(Operation.READ, *own),
        Right(Operation.DESCRIBE, *own),
    ]


def _settings(topics: Topics, known: Iterable[Right]) -> Iterator[Right]:
    """Yield what lets see every topic, and what it is set to."""
    seen = {right.name for right in known}
    for spec in topics.specs():
        yield _on(Operation.DESCRIBE_CONFIGS, spec.name)
        if spec.name not in seen:
            yield _on(Operation.DESCRIBE, spec.name)


def _on(operation: Operation, topic: str) -> Right:
    return Right(operation, Kind.TOPIC, topic)


def _group(topics: Topics, name: str) -> Right:
    return Right(Operation.READ, Kind.GROUP, topics.prefix + name)

"""What the brokers know of who may do what, and of passwords: read and changed by an admin.

aiokafka knows the requests for ACLs and has no methods for them, and knows nothing of passwords.
"""

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import ClusterAuthorizationFailedError, for_code
from aiokafka.protocol.admin import CreateAclsRequest_v1, DeleteAclsRequest_v1, DescribeAclsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from passbook.messaging.acls import Acl, Kind, Operation, Pattern, Permission, Right

_ANY: Final = 1
_USER: Final = "User:"
_EVERYBODY: Final = "*"
_EVERYWHERE: Final = "*"
_ITERATIONS: Final = 8192
_SALT_BYTES: Final = 24
_MECHANISMS: Final = {1: "sha256", 2: "sha512"}
"""Source: Kafka, ScramMechanism."""


class NotAllowed(Exception):
    """The brokers do not let this principal look at, or change, what others may do."""


class Changes(NamedTuple):
    """What differs from the table: `missing` is to be made; `surplus`, what a principal of the
    table, or everybody, may and should not; `forbidden`, what others may and nobody else should;
    `foreign`, what else others may do with the same topics and groups, or with the cluster.
    """

    missing: list[Acl]
    surplus: list[Acl]
    forbidden: list[Acl]
    foreign: list[Acl]


async def known_acls(admin: AIOKafkaAdminClient) -> frozenset[Acl]:
    """Return every ACL of the brokers.

    Raises:
        NotAllowed: this needs a super user, or Describe on the cluster.
    """
    response = await admin._send_request(  # noqa: SLF001 - there is no method for it
        DescribeAclsRequest(_ANY, None, _ANY, None, None, _ANY, _ANY)
    )
    _raise_for(response.error_code, response.error_message)
    return frozenset(
        Acl(
            principal.removeprefix(_USER),
            Right(Operation(operation), Kind(kind), name, Pattern(pattern), Permission(permission)),
            host,
        )
        for kind, name, pattern, entries in response.resources
        for principal, host, operation, permission in entries
    )


def compare(wanted: Iterable[Acl], known: Iterable[Acl], guarded: Sequence[Right] = ()) -> Changes:
    """Return what differs, in a stable order; `guarded` is what others should not have."""
    wanted, known = frozenset(wanted), frozenset(known)
    principals = {acl.principal for acl in wanted} | {_EVERYBODY}
    ours = {(acl.right.kind, acl.right.name) for acl in wanted}
    extra = known - wanted
    surplus = {acl for acl in extra if acl.principal in principals}
    others = {acl for acl in extra - surplus if any(acl.right.covers(*one) for one in ours)}
    forbidden = {acl for acl in others if any(_gives(acl, one, known) for one in guarded)}
    return Changes(*map(sorted, (wanted - known, surplus, forbidden, others - forbidden)))


def _gives(acl: Acl, wanted: Right, known: Iterable[Acl]) -> bool:
    """Tell whether a right comes from an ACL, which counts only if nothing denies it."""
    denials = (
        one.right
        for one in known
        if one.right.permission is Permission.DENY
        and one.principal in {acl.principal, _EVERYBODY}
        and one.host == _EVERYWHERE
    )
    allows = acl.right.permission is Permission.ALLOW
    return allows and _names(acl.right, wanted) and not any(_names(one, wanted) for one in denials)


def _names(right: Right, wanted: Right) -> bool:
    covers = right.covers(wanted.kind, wanted.name)
    return covers and right.operation in {wanted.operation, Operation.ALL}


async def create_acls(admin: AIOKafkaAdminClient, acls: Iterable[Acl]) -> None:
    """Have these rights given.

    Raises:
        NotAllowed: this needs a super user, or Alter on the cluster.
    """
    response = await admin._send_request(_CreateAcls(acls))  # noqa: SLF001 - see above
    for result in response.creation_responses:
        _raise_for(*result)


async def delete_acls(admin: AIOKafkaAdminClient, acls: Iterable[Acl]) -> None:
    """Have these rights taken away.

    Raises:
        NotAllowed: this needs a super user, or Alter on the cluster.
    """
    response = await admin._send_request(_DeleteAcls(acls))  # noqa: SLF001 - see above
    for result in response.filter_responses:
        _raise_for(*result[:2])


async def set_passwords(admin: AIOKafkaAdminClient, passwords: Mapping[str, str]) -> None:
    """Let users (name → password) log in by SCRAM with these passwords and no others. Both
    mechanisms are set, so that no former password is left behind in one of them.

    The brokers are sent what a password is proved against, never the password.

    Raises:
        NotAllowed: this needs a super user, or Alter on the cluster.
    """
    for mechanism in _MECHANISMS:  # a request may name a user once
        response = await admin._send_request(  # noqa: SLF001 - there is no method for it
            AlterScramRequest(
                [_credential(name, password, mechanism) for name, password in passwords.items()]
            )
        )
        for _user, code, message, _tags in response.results:
            _raise_for(code, message)


def _credential(name: str, password: str, mechanism: int) -> tuple[object, ...]:
    """Return what a password is proved against. Source: RFC 5802, section 3."""
    salt = secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac(_MECHANISMS[mechanism], password.encode(), salt, _ITERATIONS)
    return name, mechanism, _ITERATIONS, salt, salted, {}


def _raise_for(code: int, message: str | None) -> None:
    if code:
        error = for_code(code)
        if issubclass(error, ClusterAuthorizationFailedError):
            reason = "Kafka does not let this user see, or change, what others may do"
            raise NotAllowed(reason)
        raise error(message)


class _CreateAcls(Request[CreateAclsRequest_v1]):  # type: ignore[misc]
    """aiokafka's own creates one: a hundred of them would be as many writes to the brokers' log."""

    API_KEY = CreateAclsRequest_v1.API_KEY

    def __init__(self, acls: Iterable[Acl]) -> None:
        """Take what to create."""
        self._acls = list(map(_row, acls))

    def build(self, request_struct_class: type[CreateAclsRequest_v1]) -> CreateAclsRequest_v1:
        """Return the request."""
        return request_struct_class(self._acls)


class _DeleteAcls(Request[DeleteAclsRequest_v1]):  # type: ignore[misc]
    API_KEY = DeleteAclsRequest_v1.API_KEY

    def __init__(self, acls: Iterable[Acl]) -> None:
        """Take what to delete."""
        self._acls = list(map(_row, acls))

    def build(self, request_struct_class: type[DeleteAclsRequest_v1]) -> DeleteAclsRequest_v1:
        """Return the request."""
        return request_struct_class(self._acls)


def _row(acl: Acl) -> tuple[int, str, int, str, str, int, int]:
    operation, kind, name, pattern, permission = acl.right
    return kind, name, pattern, _USER + acl.principal, acl.host, operation, permission


class AlterScramResponse(Response):  # type: ignore[misc]
    """Source: Kafka, AlterUserScramCredentialsResponse.json."""

    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScram(RequestStruct):  # type: ignore[misc]
    """Source: Kafka, AlterUserScramCredentialsRequest.json."""

    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = AlterScramResponse
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(
                ("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)
            ),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class AlterScramRequest(Request[_AlterScram]):  # type: ignore[misc]
    """Sets what users' passwords are proved against."""

    API_KEY = 51

    def __init__(self, credentials: Sequence[tuple[object, ...]]) -> None:
        """Take what is to be stored of each user and mechanism."""
        self._credentials = credentials

    def build(self, request_struct_class: type[_AlterScram]) -> _AlterScram:
        """Return the request, as this client wants to have it made."""
        return request_struct_class([], self._credentials, {})

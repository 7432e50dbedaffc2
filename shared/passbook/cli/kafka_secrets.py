"""What a Kafka with TLS and passwords needs beside the secrets of PostgreSQL.

Again one folder for each process, and some for people:

    authority/authority.pem         signs certificates: for nobody but the next call
    kafka/node.pem, kafka/ca.pem    the brokers' certificate with its key, and what signed it
    owner/kafka_admin.pem           the certificate of the super user passbook_admin, with its key
    owner/kafka_passwords/USER      every user's password: for `passbook acls apply --passwords`
    FOLDER/kafka_password           of the service's user; `client`, `reader`, `operator` have theirs
    FOLDER/kafka_ca.pem             what to trust
"""

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from passbook.cli.logins import OF_SERVICE
from passbook.messaging.acls import CLIENT, OPERATOR, PRINCIPALS, READER

if TYPE_CHECKING:
    from passbook.cli.certificates import Authority

ADMIN: Final = "passbook_admin"
BROKER: Final = "kafka"
"""The principal of every broker; like the admin, a super user of the brokers' settings."""
_FOLDERS: Final = {**OF_SERVICE, "client": CLIENT, "reader": READER, "operator": OPERATOR}
_BYTES: Final = 24


class Wanted(NamedTuple):
    """A file that has to be there; `shared` lets other accounts read it."""

    path: Path
    text: str
    shared: bool = False


def kafka_secrets(directory: Path, hosts: Sequence[str]) -> Iterator[Wanted]:
    """Yield what has to be there, for brokers that are reached by these names. Each is looked for
    again, and written if it is not there, before the next one is asked for: some are made of others.
    """
    kept = directory / "authority" / "authority.pem"
    yield Wanted(kept, _new_authority())
    authority = _authority(kept)
    yield Wanted(
        directory / "kafka" / "node.pem", _whole(authority.issue(BROKER, hosts)), shared=True
    )
    yield Wanted(directory / "owner" / "kafka_admin.pem", _whole(authority.issue(ADMIN)))
    passwords = directory / "owner" / "kafka_passwords"
    for user in PRINCIPALS:
        yield Wanted(passwords / user, secrets.token_urlsafe(_BYTES))
    for folder, user in _FOLDERS.items():
        yield Wanted(directory / folder / "kafka_password", (passwords / user).read_text())
    for trusting in ("owner", *_FOLDERS):
        yield Wanted(directory / trusting / "kafka_ca.pem", authority.certificate, shared=True)
    yield Wanted(directory / "kafka" / "ca.pem", authority.certificate, shared=True)


def _new_authority() -> str:
    from passbook.cli.certificates import Authority

    return Authority.create("Passbook").whole


def _authority(kept: Path) -> "Authority":
    from passbook.cli.certificates import Authority

    return Authority.load(kept.read_text())


def _whole(issued: tuple[str, str]) -> str:
    certificate, key = issued
    return key + certificate

"""`passbook acls`: who may do what in Kafka, from the table in `passbook.messaging.acls`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from cyclopts import App, Parameter
from rich.console import Group, RenderableType
from rich.text import Text

from passbook.cli.connect import connect
from passbook.cli.failures import EXIT_FAILED, EXIT_OK, Misused
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.cli.patience import patiently
from passbook.cli.secrets import passwords_in
from passbook.cli.setup import Check, Wait
from passbook.config import Settings
from passbook.messaging.acls import PRINCIPALS, Acl, Right, acls, guarded
from passbook.messaging.admin import kafka_admin
from passbook.messaging.authorizer import (
    Changes,
    compare,
    create_acls,
    delete_acls,
    known_acls,
    set_passwords,
)
from passbook.messaging.topics import Topics

_STYLES: Final = {"missing": "yellow", "surplus": "red", "forbidden": "red", "foreign": "dim"}

app = App(name="acls", help="Who may do what in Kafka: list, apply, check.")

Clients = Annotated[
    list[str] | None,
    Parameter(
        name="--client",
        negative="",
        show_default=False,
        help="A user who may do what passbook_client may; can be repeated.",
    ),
]


class Work(NamedTuple):
    """What `apply` was asked to do."""

    wanted: frozenset[Acl]
    guarded: list[Right]
    check: bool
    prune: bool
    passwords: dict[str, str]


@app.command(name="list")
def list_(*, client: Clients = None, options: Options = DEFAULTS) -> None:
    """List what each principal needs. Nobody is asked; this is the table, for these topics."""
    table = sorted(_table(Settings().topics, client or ()))
    emit([_document(acl) for acl in table], options, lambda: Text("\n".join(map(str, table))))


@app.command
async def apply(  # noqa: PLR0913 - one argument for each option
    *,
    check: Check = False,
    prune: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Take away what principals of the table may do beyond it.",
        ),
    ] = False,
    client: Clients = None,
    passwords: Annotated[
        Path | None,
        Parameter(help="Directory with a file a user: let each log in with the password in it."),
    ] = None,
    wait: Wait = 0,
    options: Options = DEFAULTS,
) -> int:
    """Give every principal what it needs, and report what somebody may do beyond that.

    Safe to repeat. It needs a super user of the brokers; --check is content with passbook_reader.
    With --check, exit 1 if something is missing or too much, or if others, who are not in the table, may
    write events, outcomes or dead letters, work in the services' groups, or give such rights. What else
    others may do with the same topics and groups is told, and is nothing wrong.
    """
    settings = connect(options)
    wanted = _table(settings.topics, client or ())
    users = (*PRINCIPALS, *(client or ()))
    given = {} if passwords is None or check else passwords_in(passwords, users)
    work = Work(wanted, guarded(settings.topics), check, prune, given)
    changes = await patiently(lambda: _apply(settings, work), wait)
    document = {
        "missing" if check else "created": [_document(acl) for acl in changes.missing],
        "removed" if prune and not check else "surplus": [
            _document(acl) for acl in changes.surplus
        ],
        "forbidden": [_document(acl) for acl in changes.forbidden],
        "foreign": [_document(acl) for acl in changes.foreign],
        "passwords": sorted(given),
    }
    emit(document, options, lambda: _told(changes, work))
    wrong = changes.missing or changes.surplus or changes.forbidden
    return EXIT_FAILED if check and wrong else EXIT_OK


async def _apply(settings: Settings, work: Work) -> Changes:
    async with kafka_admin(settings.kafka) as admin:
        if work.passwords:
            await set_passwords(admin, work.passwords)
        changes = compare(work.wanted, await known_acls(admin), work.guarded)
        if not work.check:
            await create_acls(admin, changes.missing)
            if work.prune:
                await delete_acls(admin, changes.surplus)
    return changes


def _table(topics: Topics, clients: Iterable[str]) -> frozenset[Acl]:
    try:
        return acls(topics, clients)
    except ValueError as error:
        raise Misused(str(error)) from error


def _document(acl: Acl) -> dict[str, str]:
    operation, kind, name, pattern, permission = acl.right
    return {
        "principal": acl.principal,
        "host": acl.host,
        "permission": permission.name.lower(),
        "operation": operation.name.lower(),
        "resource": kind.name.lower(),
        "name": name,
        "pattern": pattern.name.lower(),
    }


def _told(changes: Changes, work: Work) -> RenderableType:
    made = "missing" if work.check else "created"
    extra = "removed" if work.prune and not work.check else "too much"
    lines = [
        *_lines(made, changes.missing, _STYLES["missing"]),
        *_lines(extra, changes.surplus, _STYLES["surplus"]),
        *_lines("nobody else should", changes.forbidden, _STYLES["forbidden"]),
        *_lines("others", changes.foreign, _STYLES["foreign"]),
    ]
    if work.passwords:
        lines.append(Text(f"passwords set: {len(work.passwords)}"))
    if not (changes.missing or changes.surplus or changes.forbidden):
        lines.append(Text(f"All {len(work.wanted)} ACLs are there, and no others.", style="green"))
    return Group(*lines)


def _lines(what: str, acls: Sequence[Acl], style: str) -> list[Text]:
    return [Text(f"{what}: {acl}", style=style) for acl in acls]

"""What the login of each service has to be allowed to do, and what no login of a service should be.

A login that lacks a right is refused at the start, not with the first command. One that can do more
than it needs is told of, and works: the rights are what keeps a service that was taken over from
writing past `append`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

from passbook.eventstore.errors import StoreMismatch

_LOG: Final = (
    "SELECT eventstore.store_info",
    "SELECT eventstore.slots",
    "SELECT eventstore.events",
    "SELECT eventstore.archive_segments",
    "SELECT eventstore.archived_streams",
)
READS_LOG: Final = (*_LOG, "SELECT eventstore.relay_positions")
"""What whoever follows the log does: a projector, also one that is not ours."""
_SNAPSHOTS: Final = (
    "SELECT eventstore.snapshots",
    "EXECUTE eventstore.recorded",
    "EXECUTE eventstore.newest_snapshots",
)
NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "passbook_command_service": (
        *READS_LOG,
        *_SNAPSHOTS,
        "SELECT eventstore.commands",
        "EXECUTE eventstore.append",
        "EXECUTE eventstore.save_snapshots",
    ),
    "passbook_outbox_relay": (
        *READS_LOG,
        "INSERT eventstore.relay_positions",
        "UPDATE eventstore.relay_positions",
    ),
    "passbook_balance_projector": READS_LOG,
    "passbook_audit_projector": READS_LOG,
    "passbook_query_api": (
        *READS_LOG,
        *_SNAPSHOTS,
        "SELECT eventstore.commands",
        "EXECUTE eventstore.settle",
    ),
}
"""Login → what its service does in the event store, as a verb and what it is done to."""

_MISSING: Final = """
SELECT n.verb || ' ' || n.object
  FROM coalesce($3::name, current_user) AS l(login),
       unnest($1::text[], $2::text[]) WITH ORDINALITY AS n(verb, object, place)
  LEFT JOIN pg_namespace s ON s.nspname = split_part(n.object, '.', 1)
  LEFT JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = split_part(n.object, '.', 2)
  LEFT JOIN pg_proc p ON p.pronamespace = s.oid AND p.proname = split_part(n.object, '.', 2)
 WHERE NOT coalesce(has_schema_privilege(l.login, s.oid, 'USAGE') AND CASE n.verb
           WHEN 'EXECUTE' THEN has_function_privilege(l.login, p.oid, 'EXECUTE')
           WHEN 'SELECT' THEN has_table_privilege(l.login, c.oid, 'SELECT')
           ELSE has_any_column_privilege(l.login, c.oid, n.verb) END, false)
 ORDER BY n.place
"""
_TOO_MUCH: Final = """
SELECT CASE WHEN r.rolsuper THEN 'it is a superuser'
            WHEN bool_or(pg_has_role(c.relowner, 'USAGE')) THEN 'it owns the event store'
            ELSE 'it may write to ' || string_agg(DISTINCT c.oid::regclass::text, ', ')
                 || ' past `append`' END
  FROM pg_roles r, pg_class c
 WHERE r.rolname = current_user
   AND c.relnamespace = to_regnamespace('eventstore') AND c.relkind = 'r'
   AND c.relname <> 'relay_positions'
   AND (has_any_column_privilege(c.oid, 'INSERT') OR has_any_column_privilege(c.oid, 'UPDATE')
        OR has_table_privilege(c.oid, 'DELETE') OR has_table_privilege(c.oid, 'TRUNCATE'))
 GROUP BY r.rolsuper
"""
# What only its own service, or an operator, does: by these the log can be changed.
_CHANGES_LOG: Final = (
    "EXECUTE eventstore.append",
    "EXECUTE eventstore.archive",
    "EXECUTE eventstore.restore_events",
    "EXECUTE eventstore.unarchive",
)
_LOGINS: Final = "SELECT n FROM unnest($1::text[]) n WHERE pg_has_role(n::name, 'USAGE')"


async def missing_rights(
    connection: asyncpg.Connection, needs: Sequence[str], login: str | None = None
) -> list[str]:
    """Return those of `needs` that `login`, or else that of the connection, may not do. What is not
    there may not be done.
    """
    verbs, objects = zip(*(need.split(" ") for need in needs), strict=True)
    return [row[0] for row in await connection.fetch(_MISSING, verbs, objects, login)]


async def check_rights(connection: asyncpg.Connection, login: str, needs: Sequence[str]) -> None:
    """Return if the login of the connection may do what a service does that is to log in as `login`.

    Raises:
        StoreMismatch: it may not; the message says what, and what to do about it.
    """
    missing = await missing_rights(connection, needs)
    if missing:
        user = await connection.fetchval("SELECT current_user")
        message = f"login {user} may not {', '.join(missing)}: log in as {login}"
        if user == login:
            message = f"login {user} may not {', '.join(missing)}: grant it, as the migrations do"
        raise StoreMismatch(message)


async def too_much(connection: asyncpg.Connection) -> str:
    """Say why the login could change the log without `append`, or with a function that its service
    does not call, or why it is more than one service's, so that nobody's evidence is in other hands;
    nothing when it is not so.
    """
    found: str | None = await connection.fetchval(_TOO_MUCH)
    if found:
        return found
    logins = await logins_of(connection)
    if len(logins) > 1:
        return f"it may act as {', '.join(logins)}"
    others = set(_CHANGES_LOG).difference(*(NEEDS[login] for login in logins))
    may = sorted(others.difference(await missing_rights(connection, sorted(others))))
    return f"it may {', '.join(may)}" if may else ""


async def logins_of(connection: asyncpg.Connection) -> list[str]:
    """Return which of the services' logins the login of the connection is, or may act as."""
    return [row[0] for row in await connection.fetch(_LOGINS, list(NEEDS))]

"""Who may do what in PostgreSQL: the login that asks, and for an owner everybody's."""

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

from passbook.cli.checks.finding import Verdict, failed, fine, warning
from passbook.eventstore.rights import NEEDS, READS_LOG, logins_of, missing_rights, too_much
from passbook.projection.protocol import Projection
from passbook.projection.rights import rights_of

_QUERY_API: Final = "passbook_query_api"
_REMEDY: Final = "use a login that `passbook migrate` made, and give it its rights back"

_OWNS: Final = "SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = $1"
_ACTS_AS: Final = "SELECT pg_has_role($1::name, 'USAGE')"
# What migration 0005 takes from PUBLIC, if who ran it could.
_EVERYBODYS: Final = """
SELECT 'create temporary tables' FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
 WHERE d.datname = current_database() AND a.grantee = 0 AND a.privilege_type = 'TEMPORARY'
UNION
SELECT 'create large objects' FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
 WHERE p.pronamespace = 'pg_catalog'::regnamespace AND a.grantee = 0
   AND p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'lo_export')
"""


async def log(connection: asyncpg.Connection, *projections: Projection) -> Verdict:
    """Say what the login may do to the log, and whether it can do its service's work; of who owns
    the log, whether every service's login can.
    """
    login = await connection.fetchval("SELECT current_user")
    logins = await logins_of(connection)
    if await connection.fetchval(_OWNS, "eventstore"):
        needs = {projection.writer: READS_LOG for projection in projections} | dict(NEEDS)
        lacking = await _lacking(connection, needs)
    else:
        acts_as = logins or [_QUERY_API]
        lacking = await _lacking(connection, {login: [n for one in acts_as for n in NEEDS[one]]})
    if lacking:
        return failed(lacking, _REMEDY)
    reason = await too_much(connection)
    if reason:
        return warning(
            f"{login} could do too much: {reason}",
            "let services log in as passbook_… (one login a service)",
        )
    appends = "passbook_command_service" in logins
    return fine(f"{login} reads the log{' and may append' if appends else ' and cannot change it'}")


async def rows(connection: asyncpg.Connection, *projections: Projection) -> Verdict:
    """Say whether the login, where it is a projector's, can do the projector's work; of who owns
    the read models, whether every projector's login can, and the query API's read them.
    """
    if await connection.fetchval(_OWNS, "projections"):
        needs = {one.writer: rights_of(one) for one in projections}
        read = (need for one in projections for need in rights_of(one))
        needs[_QUERY_API] = [need for need in read if need.startswith("SELECT ")]
        writes = list(projections)
    else:
        login = await connection.fetchval("SELECT current_user")
        writes = [one for one in projections if await connection.fetchval(_ACTS_AS, one.writer)]
        needs = {login: [need for one in writes for need in rights_of(one)]} if writes else {}
    lacking = await _lacking(connection, needs)
    if lacking:
        return failed(lacking, _REMEDY)
    names = ", ".join(one.name for one in writes)
    return fine(f"writes {names}" if names else "writes to no read model")


async def everybodys(connection: asyncpg.Connection) -> Verdict:
    """Say whether any login could fill the disk of the log."""
    found = [row[0] for row in await connection.fetch(_EVERYBODYS)]
    if found:
        return warning(
            f"every login may {' and '.join(sorted(found))}",
            "take that from PUBLIC as a superuser, as the migration `least_privilege` does",
        )
    return fine("no login may create temporary tables or large objects")


async def _lacking(connection: asyncpg.Connection, needs: Mapping[str, Sequence[str]]) -> str:
    """Say who (login → what it does) may not do what; nothing when everybody may do his work."""
    missing = {
        login: await missing_rights(connection, list(dict.fromkeys(what)), login)
        for login, what in needs.items()
    }
    return "; ".join(f"{who} may not {', '.join(what)}" for who, what in missing.items() if what)

"""Who logs in as what: every service with the login that has its verbs and no others."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from passbook.embedded.datadir import DataDir
from passbook.migrations import ROLES
from passbook.scram import scram_verifier

QUERY_API: Final = "query-api"
OF_SERVICE: Final = {
    "command-service": "passbook_command_service",
    "outbox-relay": "passbook_outbox_relay",
    "balance-projector": "passbook_balance_projector",
    "audit-projector": "passbook_audit_projector",
    QUERY_API: "passbook_query_api",
}
"""Service → its login."""
READER: Final = "passbook_reader"

# ALTER ROLE takes no parameters, so the server itself quotes name and verifier.
_STATEMENT: Final = "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)"


async def set_passwords(admin_dsn: str, data_dir: DataDir) -> None:
    """Let every login in with the password that the data directory keeps for it."""
    await give_passwords(admin_dsn, {role: data_dir.password(role) for role in ROLES})


async def give_passwords(admin_dsn: str, passwords: Mapping[str, str]) -> None:
    """Let these logins (name → password) in; the login of `admin_dsn` may alter roles.

    The server is told what it needs to check the passwords, never one of them.

    Raises:
        ValueError: see `scram_verifier`; no password is changed then.
    """
    verifiers = {role: scram_verifier(password) for role, password in passwords.items()}
    connection = await asyncpg.connect(admin_dsn)
    try:
        for role, verifier in verifiers.items():
            await connection.execute(await connection.fetchval(_STATEMENT, role, verifier))
    finally:
        await connection.close()


def login_dsn(admin_dsn: str, role: str, data_dir: DataDir) -> str:
    """Return the DSN of `role` at the server and database of `admin_dsn`."""
    parts = urlsplit(admin_dsn)
    place = parts.netloc.rpartition("@")[2]
    password = quote(data_dir.password(role), safe="")
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{place}"))

"""What makes a database one that services refuse: statements for its owner, with its name to fill in."""

from typing import Final

NOT_DURABLE: Final = "ALTER DATABASE {database} SET synchronous_commit = off"
SERIALIZABLE: Final = "ALTER DATABASE {database} SET default_transaction_isolation = serializable"
READ_ONLY: Final = "ALTER DATABASE {database} SET default_transaction_read_only = on"
AS_BEFORE: Final = "ALTER DATABASE {database} RESET ALL"


def _pretending(function: str, arguments: str, returns: str, answer: str) -> str:
    """Let a function of the server's answer wrongly to whoever does not name its schema."""
    return f"""
        CREATE SCHEMA pretence;
        CREATE FUNCTION pretence.{function}({arguments}) RETURNS {returns} RETURN {answer};
        GRANT USAGE ON SCHEMA pretence TO PUBLIC;
        ALTER DATABASE {{database}} SET search_path = pretence, pg_catalog;
    """


OLD_SERVER: Final = _pretending(
    *("current_setting", "name text", "text"),
    "CASE name WHEN 'server_version_num' THEN '170006' ELSE pg_catalog.current_setting(name) END",
)
OTHER_CLOCK: Final = _pretending(
    "clock_timestamp", "", "timestamptz", "pg_catalog.clock_timestamp() - interval '7 s'"
)
STANDBY: Final = _pretending("pg_is_in_recovery", "", "boolean", "true")

"""What a read model has to say about itself; everything else is the runtime's."""

from collections.abc import Sequence
from typing import Final, Protocol
from uuid import UUID

import asyncpg

from passbook.messaging.events import PublishedEvent
from passbook.migrations import Migration, load_migrations
from passbook.service import PartStopped


class CannotApply(Exception):
    """The events of a batch do not fit the rows they should change. The runtime finds out whose."""


class ProjectionStopped(PartStopped):
    """The projection must not go on by itself; the message says what an operator has to do."""


class Projection(Protocol):
    """A read model. `apply` is called inside the transaction that moves the positions."""

    @property
    def name(self) -> str:
        """Short and stable: it keys positions, metrics and topics."""
        ...

    @property
    def schema(self) -> str:
        """The schema of its tables, a plain identifier. `ddl` and `apply` name the tables without
        it: they run with this schema as the search path, or with that of a copy beside it.
        """
        ...

    @property
    def writer(self) -> str:
        """The login that applies events."""
        ...

    @property
    def version(self) -> int:
        """How many scripts `ddl` has: one more whenever the tables or the meaning of the rows change."""
        ...

    @property
    def ddl(self) -> tuple[str, ...]:
        """The first script creates the tables and grants them to `writer` and its readers; each
        further one makes the next version of them, also where there are rows. What was released is
        frozen. Rows that a script cannot fill, since it knows no events, a rebuild fills.
        """
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """What `apply` does, each as a verb and one of its tables, like `UPDATE accounts`: a login
        that may not do it is refused at the start.
        """
        ...

    @property
    def parks(self) -> bool:
        """Whether an account may be left out while the others go on; see `ParkingProjection`. False
        where every event must be there, in order.
        """
        ...

    @property
    def evidence(self) -> bool:
        """Whether its rows prove something by being older than a doubt: a rebuild never replaces
        them by others.
        """
        ...

    @property
    def gather_s(self) -> float:
        """How long Kafka may gather events before it delivers them: 0 for a read model whose
        readers wait for it, more for one that had rather work less.
        """
        ...

    async def apply(self, connection: asyncpg.Connection, events: Sequence[PublishedEvent]) -> None:
        """Change the read model by `events`: each slot's are the next ones, in order.

        Raises:
            CannotApply, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError: they do not
                fit.
            UnknownEventType, UnknownSchemaVersion: this code is too old for them.
        """
        ...


class ParkingProjection(Projection, Protocol):
    """A read model whose `parks` is true: its accounts do not depend on each other, so that one can
    be left out, and be taken back later.
    """

    async def forget(self, connection: asyncpg.Connection, account_id: UUID) -> None:
        """Remove whatever there is of an account, as if it had never had an event.

        Run like `apply`, but by the login that owns the tables; all events of the account are
        applied next.
        """
        ...


_SCHEMA: Final = """
CREATE SCHEMA {schema};
GRANT USAGE ON SCHEMA {schema} TO {writer}, passbook_reader;
SET LOCAL search_path TO {schema};
"""
_ENTER: Final = "SET LOCAL search_path TO {schema};"
_INSTALL: Final = """
INSERT INTO projections.installed (projection, version) VALUES ('{name}', {version})
    ON CONFLICT (projection) DO UPDATE SET version = excluded.version;
INSERT INTO projections.positions (projection, slot) SELECT '{name}', generate_series(0, 63)
    ON CONFLICT DO NOTHING;
"""


def doorbell_channel(projection: str) -> str:
    """Return the channel on which a projection whose readers wait rings after a commit."""
    return f"passbook_projection_{projection}"


def create_tables(projection: Projection, schema: str) -> str:
    """Return the script that makes a projection's tables, empty, in a new schema."""
    return _SCHEMA.format(schema=schema, writer=projection.writer) + "".join(projection.ddl)


def projection_migrations(*projections: Projection) -> list[Migration]:
    """Return the scripts for the runtime's own tables and for those of `projections`, one a version.

    An upgrade leaves copies beside the live tables as they are: those of an older version are not
    gone on with, nor gone back to.
    """
    scripts = load_migrations("projections", "passbook.projection")
    for projection in projections:
        enter = _SCHEMA.format(schema=projection.schema, writer=projection.writer)
        for version, ddl in enumerate(projection.ddl, 1):
            install = _INSTALL.format(name=projection.name, version=version)
            scripts.append(
                Migration(
                    f"projection {projection.name}",
                    version,
                    projection.name,
                    enter + ddl + install,
                )
            )
            enter = _ENTER.format(schema=projection.schema)
    return scripts

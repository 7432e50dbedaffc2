"""`passbook log recover`: an event store that was restored to the past gets back what Kafka has."""

import time
from typing import Annotated, Final

from cyclopts import App, Parameter
from rich.console import RenderableType
from rich.text import Text

from passbook.cli.connect import admin_dsn, connect
from passbook.cli.failures import EXIT_FAILED, EXIT_OK
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.cli.progress import counted
from passbook.eventstore.preflight import check_event_store
from passbook.recovery.ahead import relay_hints
from passbook.recovery.replenish import Place, Replenished, replenish
from passbook.service import database_pool
from services.command_service.__main__ import GROUP

_APPLICATION: Final = "passbook-recovery"

app = App(name="log", help="Bring back what a restored event store has lost.")


@app.command
async def recover(
    *,
    check: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Change nothing; exit 1 if it is needed."),
    ] = False,
    options: Options = DEFAULTS,
) -> int:
    """Bring back into the event store what it lost by a restore and the topics have kept.

    Events come back under their own numbers and times, outcomes with them, in one transaction; the
    command service then decides again what was never published. Refuses when the store went on
    after the restore. Stop the command services first. Needs the login that owns the event store.
    """
    settings = connect(options)
    began = time.monotonic()
    topics = settings.topics
    async with database_pool(admin_dsn(options), _APPLICATION) as pool:
        hints = await relay_hints(pool, topics)
        async with pool.acquire() as connection:
            unsafe = settings.allow_unsafe_durability
            await check_event_store(connection, allow_unsafe=unsafe)
            with counted("reading the topic", "events") as on_progress:
                found = await replenish(
                    connection,
                    Place(settings.kafka, topics, topics.prefix + GROUP),
                    hints,
                    check=check,
                    on_progress=on_progress,
                )
    needed = bool(found.events or found.outcomes or found.undecided)
    document = {"ok": not (check and needed)} | found.to_dict()
    document["seconds"] = round(time.monotonic() - began, 3)
    emit(document, options, lambda: _told(found, check=check))
    return EXIT_FAILED if check and needed else EXIT_OK


def _told(found: Replenished, *, check: bool) -> RenderableType:
    done = "missing in the store" if check else "brought back"
    lines = [
        f"{found.events:,} events of {found.slots} slots and {found.outcomes:,} outcomes {done}",
    ]
    if found.undecided:
        lines.append(
            f"{len(found.undecided):,} commands whose events never reached Kafka are decided again"
        )
    return Text("\n".join(lines))

"""`passbook events tail`: the log as it grows, read from the event store."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Final, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.text import Text

from passbook.cli.connect import connect
from passbook.cli.event_facts import facts
from passbook.cli.failures import EXIT_OK
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit_json, out
from passbook.contracts.event_documents import log_document
from passbook.domain.slots import SLOT_COUNT
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.doorbell import DoorbellListener
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.store import RecordedEvent
from passbook.messaging.cloudevents import format_time
from passbook.service import alongside, database_pool

_APPLICATION: Final = "passbook-cli"
_READ_PER_SLOT: Final = 50
_POLL_S: Final = 1.0
_TYPE_WIDTH: Final = 15

app = App(name="events", help="Follow the log of events.")


@app.command
async def tail(
    *,
    start: Annotated[
        Literal["now", "beginning"],
        Parameter(name="--from", help="Only what happens from now on, or everything."),
    ] = "now",
    limit: Annotated[
        int | None,
        Parameter(validator=Number(gte=1), show_default=False, help="End after so many events."),
    ] = None,
    options: Options = DEFAULTS,
) -> int:
    """Follow the log, one event a line, until Ctrl-C.

    The events of a slot, and so those of an account, come in their order and without a hole;
    accounts among themselves about as they were recorded.
    """
    settings = connect(options)
    doorbell = DoorbellListener(settings.event_store)
    console = out()
    shown = 0
    try:
        async with (
            database_pool(settings.event_store, _APPLICATION) as pool,
            alongside(doorbell.run()),
        ):
            store = PostgresEventStore(pool, Archive(settings.archive))
            after = await store.heads() if start == "now" else dict.fromkeys(range(SLOT_COUNT), 0)
            async for event in _follow(store, doorbell, after):
                _print(event, console, options)
                shown += 1
                if shown == limit:
                    break
    except asyncio.CancelledError:
        # Ctrl-C is how this ends, not how it fails.
        return EXIT_OK
    return EXIT_OK


async def _follow(
    store: PostgresEventStore, doorbell: DoorbellListener, after: Mapping[int, int]
) -> AsyncIterator[RecordedEvent]:
    """Yield everything above `after` (slot → number), for ever."""
    positions = dict(after)
    while True:
        events = await store.read_log(positions, _READ_PER_SLOT)
        # Times never run backwards inside a slot, so this keeps each slot's order.
        for event in sorted(events, key=lambda event: (event.recorded_at, event.slot)):
            positions[event.slot] = event.slot_seq
            yield event
        if not events:
            await doorbell.wait(_POLL_S)


def _print(event: RecordedEvent, console: Console, options: Options) -> None:
    if options.json:
        emit_json(log_document(event), indent=False)
        return
    line = Text.assemble(
        (format_time(event.recorded_at), "dim"),
        f"  {event.slot:>2}:{event.slot_seq:<6} {event.stream_id}  ",
        (f"{event.event_type:<{_TYPE_WIDTH}}", "bold"),
        f" {event.version:>4}  ",
        facts(event),
    )
    console.print(line, soft_wrap=True)

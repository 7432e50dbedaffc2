"""`passbook projection parked`: the accounts a read model leaves out, and how they get back in."""

from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

from cyclopts import Parameter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from passbook.cli.connect import connect, read_model_owner
from passbook.cli.failures import EXIT_FAILED, EXIT_OK, Misused, NotFound
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.cli.progress import Steps
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.postgres import PostgresEventStore
from passbook.messaging.cloudevents import format_time
from passbook.projection.healing import Healing, ParkedAccount, Refolded, parked_accounts
from passbook.projection.lag import installed
from passbook.projection.protocol import ParkingProjection
from passbook.service import database_pool
from services.balance_projector.projection import BalanceProjection

_APPLICATION: Final = "passbook-cli"
_PARKING: Final[dict[str, ParkingProjection]] = {"balance": BalanceProjection()}


async def parked(
    name: Annotated[str, Parameter(help="The read model, as `projection list` calls it.")],
    /,
    *,
    retry: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Fold them anew from the event store; exit 1 if one stays parked.",
        ),
    ] = False,
    account: Annotated[
        UUID | None, Parameter(show_default=False, help="Only this account.")
    ] = None,
    options: Options = DEFAULTS,
) -> int:
    """List the accounts that a read model leaves out because their events did not fit, or take
    them back with --retry.

    The projectors go on meanwhile. --retry needs the login that owns the read model.
    """
    settings = connect(options)
    async with database_pool(settings.read_model, _APPLICATION) as pool:
        if name not in await installed(pool):
            message = f"there is no read model {name}: see `passbook projection list`"
            raise NotFound(message)
        found = await parked_accounts(pool, name)
    chosen = [one for one in found if account in {None, one.account_id}]
    if account is not None and not chosen:
        message = f"account {account} is not parked in {name}"
        raise NotFound(message)
    if not retry:
        emit([one.to_dict() for one in chosen], options, lambda: _table(chosen))
        return EXIT_OK
    results = await _retry(name, chosen, options)
    failed = [one for one in results if one.reason is not None]
    document = {
        "ok": not failed,
        "healed": [
            {"account_id": str(one.account_id), "events": one.events}
            for one in results
            if one.reason is None
        ],
        "still_parked": [
            {"account_id": str(one.account_id), "reason": one.reason} for one in failed
        ],
    }
    emit(document, options, lambda: _told(results))
    return EXIT_FAILED if failed else EXIT_OK


async def _retry(name: str, chosen: Sequence[ParkedAccount], options: Options) -> list[Refolded]:
    projection = _PARKING.get(name)
    if projection is None:
        message = f"{name} takes nothing back: only {', '.join(_PARKING)} leaves accounts out"
        raise Misused(message)
    settings = connect(options)
    say = Steps()
    results = []
    async with (
        database_pool(read_model_owner(options), _APPLICATION) as owner,
        database_pool(settings.event_store, _APPLICATION) as events,
    ):
        store = PostgresEventStore(events, Archive(settings.archive))
        healing = Healing(projection, owner, store)
        for number, one in enumerate(chosen, start=1):
            results.append(await healing.refold(one))
            say(f"{number} of {len(chosen)} accounts folded anew")
    return results


def _table(found: Sequence[ParkedAccount]) -> RenderableType:
    if not found:
        return Text("No account is parked.", style="green")
    table = Table(
        "account",
        "from",
        "left out",
        "since",
        "reason",
        box=None,
        pad_edge=False,
        padding=(0, 3, 0, 0),
    )
    for one in found:
        table.add_row(
            str(one.account_id),
            f"{one.slot}:{one.slot_seq}",
            f"{one.events:,} events",
            format_time(one.parked_at),
            Text(one.reason),
        )
    return table


def _told(results: Sequence[Refolded]) -> RenderableType:
    if not results:
        return Text("No account is parked.", style="green")
    return Group(
        *(
            Text(f"{one.account_id}  back, {one.events:,} events applied", style="green")
            if one.reason is None
            else Text(f"{one.account_id}  still parked: {one.reason}", style="red")
            for one in results
        )
    )

"""`passbook projection`: `list` says how far the read models are."""

from collections.abc import Sequence
from typing import Final

from cyclopts import App
from rich.table import Table

from passbook.cli.connect import admin_dsn, connect
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.cli.parked import parked
from passbook.projection.inline import inline_projections, remove_inline
from passbook.projection.lag import ProjectionLag, projection_lags
from passbook.service import database_pool

_APPLICATION: Final = "passbook-cli"

app = App(name="projection", help="Positions and lag of the read models.")
app.command(parked)
app.command("passbook.cli.rebuild:rebuild", name="rebuild")
app.command("passbook.cli.rebuild:verify", name="verify")


@app.command(name="list")
async def list_(*, options: Options = DEFAULTS) -> None:
    """List the read models with their positions, lag and parked accounts."""
    settings = connect(options)
    async with (
        database_pool(settings.read_model, _APPLICATION) as rows,
        database_pool(settings.event_store, _APPLICATION) as events,
    ):
        lags = await projection_lags(rows, events)
    emit([lag.to_dict() for lag in lags], options, lambda: lag_table(lags))


@app.command(name="remove-inline")
async def remove_inline_(name: str, /, *, options: Options = DEFAULTS) -> None:
    """Drop a read model that appends keep themselves: they go without it from then on.

    Take it out of PASSBOOK_INLINE_PROJECTIONS and start the command services anew.

    Parameters
    ----------
    name
        As in PASSBOOK_INLINE_PROJECTIONS.
    """
    (projection,) = inline_projections([name])
    async with (
        database_pool(admin_dsn(options), _APPLICATION) as pool,
        pool.acquire() as connection,
    ):
        await remove_inline(connection, projection)
    emit({"removed": projection.name}, options, lambda: f"removed: {projection.name}")


def lag_table(lags: Sequence[ProjectionLag]) -> Table:
    """Return the read models as a table; one that is behind stands out."""
    table = Table(
        "read model",
        "version",
        "applied",
        "behind",
        "",
        "parked",
        box=None,
        pad_edge=False,
        padding=(0, 3, 0, 0),
    )
    for lag in lags:
        table.add_row(
            lag.name,
            str(lag.version),
            f"{sum(lag.positions.values()):,}",
            f"{lag.events_behind:,} events",
            f"{lag.seconds_behind:.1f} s",
            str(lag.parked),
            style="yellow" if lag.events_behind or lag.parked else None,
        )
    return table

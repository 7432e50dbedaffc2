"""A rebuild under everybody's eyes: the whole log again, compared with the live rows, swapped."""

from passbook.cli.demo.report import Report
from passbook.cli.failures import CommandFailed
from passbook.cli.rebuild import rebuilding
from passbook.config import Settings
from passbook.projection.errors import RebuildError
from services.balance_projector.money import Money
from services.balance_projector.projection import BalanceProjection


async def rebuild(settings: Settings, owner_dsn: str, report: Report) -> None:
    """Rebuild the balance view while its projector works, and compare it with the log by account
    and in sum. `owner_dsn` is a login that owns the read models.
    """
    report.chapter(
        "A rebuild",
        "The whole log once more, from the first event, beside the live table, which it replaces.",
    )
    money = Money()
    try:
        async with rebuilding(BalanceProjection(), settings, owner_dsn) as one:
            rebuilt = await one.rebuild()
            verified = await one.verify(money.count, money.look)
    except (CommandFailed, RebuildError) as error:
        report.check("a rebuild gives the same rows", str(error), ok=False)
        return
    held_ms = (rebuilt.held_s or 0.0) * 1000
    report.check(
        "a rebuild gives the same rows",
        f"{rebuilt.comparison.accounts:,} accounts, {rebuilt.events + rebuilt.already:,} events, "
        f"{rebuilt.seconds:.2f} s; the projector waited {held_ms:.0f} ms",
        ok=rebuilt.ok,
    )
    report.check(
        "and is the view from now on",
        f"{verified.comparison.rows:,} rows, as the log says",
        ok=verified.ok,
    )
    report.check(
        "money is conserved",
        f"balances {money.held:,} = deposits - withdrawals {money.paid_in:,}",
        ok=money.ok,
    )

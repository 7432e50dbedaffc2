"""What came out of a rebuild or a verification, for programs and for people."""

from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from passbook.projection.rebuild import Rebuilt

_SHOWN: Final = 20


def document(name: str, result: Rebuilt) -> dict[str, Any]:
    """Return the document of `projection rebuild` and `verify`.

    `events` were folded in this run, `already` in one before it; `held_ms` is how long the live
    projection waited for the swap, null when nothing was swapped.
    """
    compared = result.comparison
    return {
        "ok": result.ok,
        "projection": name,
        "swapped": result.held_s is not None,
        "accounts": compared.accounts,
        "rows": compared.rows,
        "differing": compared.differing,
        "differences": [one.to_dict() for one in compared.differences],
        "events": result.events,
        "already": result.already,
        "seconds": round(result.seconds, 3),
        "events_per_s": round(result.events / result.fold_s) if result.fold_s else 0,
        "held_ms": None if result.held_s is None else round(result.held_s * 1000, 1),
    }


def verdict(found: dict[str, Any]) -> RenderableType:
    """Return what a verification found, for people."""
    good = Text(f"OK: {_extent(found)}", style="green")
    bad = Text(f"NOT OK: {_extent(found)}", style="bold red")
    lines = [good if found["ok"] else bad, *_differences(found), *_filled_by_a_rebuild(found)]
    if "held" in found:
        same = found["held"] == found["paid_in"]
        lines.append(
            Text(
                f"  balances add up to {found['held']:,}, "
                f"deposits minus withdrawals to {found['paid_in']:,}",
                style="dim" if same else "red",
            )
        )
    return Group(*lines)


def swap_verdict(found: dict[str, Any], *, rolled_back: bool) -> RenderableType:
    """Return what a rebuild did and found, for people."""
    done = "rolled back" if rolled_back else "rebuilt"
    lines = [
        Text(f"{found['projection']} is {done}: {_extent(found)}", style="green"),
        Text(
            f"  the live projector waited {found['held_ms']} ms; the former rows are kept, "
            f"`passbook projection rebuild {found['projection']} --rollback` goes back to them",
            style="dim",
        ),
    ]
    if found["ok"]:
        lines.append(Text("  every row was the same before", style="dim"))
    else:
        before = f"  before, {found['differing']:,} rows were different:"
        lines += [Text(before, style="yellow"), *_differences(found)]
    return Group(*lines)


def _extent(found: dict[str, Any]) -> str:
    folded = found["events"] + found["already"]
    extent = (
        f"{found['rows']:,} rows of {found['accounts']:,} accounts from {folded:,} events, "
        f"{found['seconds']:.1f} s"
    )
    return f"{extent}, {found['events_per_s']:,} events/s" if found["events"] else extent


def _filled_by_a_rebuild(found: dict[str, Any]) -> list[Text]:
    """Return what to do about columns that rows of an older version do not have yet."""
    empty = {
        column
        for one in found["differences"]
        for column, value in (one["rebuilt"] or {}).items()
        if value is not None and one["live"] is not None and one["live"].get(column) is None
    }
    if not empty:
        return []
    columns, name = " and ".join(sorted(empty)), found["projection"]
    message = f"  rows without {columns} may be from before there was such a column:"
    return [Text(f"{message} `passbook projection rebuild {name}` fills them in", style="yellow")]


def _differences(found: dict[str, Any]) -> list[Text]:
    lines = []
    for one in found["differences"][:_SHOWN]:
        live, rebuilt = one["live"] or {}, one["rebuilt"] or {}
        changed = [
            f"{column} {live.get(column)} → {rebuilt.get(column)}"
            for column in (rebuilt or live)
            if live.get(column) != rebuilt.get(column)
        ]
        if not live:
            changed = ["is missing in the live rows"]
        elif not rebuilt:
            changed = ["is not in the rebuilt rows"]
        why = " (parked)" if one["parked"] else ""
        lines.append(Text(f"  {one['account_id']}{why}: {', '.join(changed)}", style="red"))
    if found["differing"] > len(lines):
        lines.append(Text(f"  and {found['differing'] - len(lines):,} more", style="red"))
    return lines

"""Reports as tables."""

from typing import Any

from rich.table import Table


def throughput_table(report: dict[str, Any]) -> Table:
    """Return what a person wants to know of a throughput run."""
    table = Table(title=f"{report['commands']:,} commands, {report['accounts']:,} accounts")
    table.add_column("measure")
    table.add_column("figure", justify="right")
    table.add_row("commands decided", f"{report['decided_per_s']:,}/s")
    table.add_row("events published", f"{report['published_per_s']:,}/s")
    table.add_row("end to end, both read models current", f"{report['end_to_end_per_s']:,}/s")
    for service, megabytes in report["rss_mb"].items():
        table.add_row(f"memory of {service}, at most", f"{megabytes:.0f} MB")
    for name, figure in report["floor"].items():
        table.add_row(f"floor: {name.removesuffix('_ms').replace('_', ' ')}", f"{figure:.2f} ms")
    for name, figure in report["ratio"].items():
        table.add_row(f"ratio: {name.replace('_', ' ')}", f"{figure:g}")
    invariants = report["invariants"]
    table.add_row("invariants", "hold" if invariants["ok"] else "\n".join(invariants["failed"]))
    return table


def stages_table(report: dict[str, Any]) -> Table:
    """Return what a person wants to know of each service alone."""
    table = Table(title=f"{report['commands']:,} commands, one service at a time")
    table.add_column("service")
    table.add_column("a second", justify="right")
    for name, title in (
        ("decided_per_s", "command service: commands decided"),
        ("published_per_s", "outbox relay: events published"),
        ("balance_per_s", "balance projector: events applied"),
        ("audit_per_s", "audit projector: events applied"),
    ):
        table.add_row(title, f"{report[name]:,}")
    return table


def latency_table(report: dict[str, Any]) -> Table:
    """Return what a person wants to know of a latency run."""
    table = Table(title=f"{report['rate']} commands/s for {report['seconds']} s, in ms")
    for column in ("from sending a command", "p50", "p95", "p99", "max"):
        table.add_column(column, justify="left" if column.startswith("from") else "right")
    for name, title in (("outcome_ms", "to its outcome"), ("balance_ms", "to its balance")):
        figures = report[name]
        table.add_row(title, *(f"{figures[key]:.2f}" for key in ("p50", "p95", "p99", "max")))
    for name, figure in report["floor_ms"].items():
        table.add_row(f"floor: {name.removesuffix('_ms').replace('_', ' ')}", f"{figure:.2f}")
    for name, figure in report["ratio"].items():
        table.add_row(f"ratio: {name.replace('_', ' ')}", f"{figure:g}")
    return table


def rebuild_table(report: dict[str, Any]) -> Table:
    """Return what a person wants to know of a rebuild."""
    table = Table(title=f"{report['events']:,} events of {report['accounts']:,} accounts")
    table.add_column("measure")
    table.add_column("figure", justify="right")
    table.add_row("events folded", f"{report['events_per_s']:,}/s")
    table.add_row("from beginning to end", f"{report['seconds']:.2f} s")
    table.add_row("the live projector waited", f"{report['held_ms']:.0f} ms")
    table.add_row("memory, at most", f"{report['rss_mb']:.0f} MB")
    table.add_row("every row as it was", "yes" if report["ok"] else "no")
    return table

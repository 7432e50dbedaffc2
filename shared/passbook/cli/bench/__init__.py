"""`passbook bench`: measures the real services, as processes, on real servers, and checks what they
did. A figure without a correct result is no figure: a broken invariant fails the run.
"""

from typing import Annotated

import uvloop
from cyclopts import App, Parameter
from cyclopts.validators import Number

from passbook.cli.failures import EXIT_FAILED, EXIT_OK
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit

app = App(name="bench", help="Measure throughput and latency.")

_Positive = Annotated[int, Parameter(validator=Number(gte=1))]


@app.command
def throughput(
    *,
    commands: _Positive = 50_000,
    accounts: _Positive | None = None,
    options: Options = DEFAULTS,
) -> int:
    """Let the services work off a backlog of commands, and measure how fast.

    Nine commands in ten are deposits and withdrawals, one opens an account; some are refused by
    the rules. The clock runs from the first command read until both read models are current.

    Parameters
    ----------
    commands
        How many commands are published before the services start.
    accounts
        How many accounts they are about; a tenth of the commands by default, which is the most.
    """
    from passbook.cli.bench.report import throughput_table
    from passbook.cli.bench.throughput import measure_throughput

    report = uvloop.run(measure_throughput(commands, accounts or max(1, commands // 10)))
    emit(report, options, lambda: throughput_table(report))
    return EXIT_OK if report["invariants"]["ok"] else EXIT_FAILED


@app.command
def stages(
    *, commands: _Positive = 100_000, accounts: _Positive | None = None, options: Options = DEFAULTS
) -> int:
    """Let each service work off the same backlog alone, one after the other.

    The command service decides it, the relay publishes the events, each projector replays them.

    Parameters
    ----------
    commands
        How many commands are published before the services start.
    accounts
        How many accounts they are about; a tenth of the commands by default, which is the most.
    """
    from passbook.cli.bench.report import stages_table
    from passbook.cli.bench.stages import measure_stages

    report = uvloop.run(measure_stages(commands, accounts or max(1, commands // 10)))
    emit(report, options, lambda: stages_table(report))
    return EXIT_OK


@app.command
def latency(*, rate: _Positive = 200, seconds: _Positive = 30, options: Options = DEFAULTS) -> int:
    """Send commands at a fixed rate and measure how long their outcome and their balance take.

    Open loop: commands are sent when they are due, whatever happened to those before, and time
    counts from the moment a command was due.

    Parameters
    ----------
    rate
        Commands a second.
    seconds
        For how long.
    """
    from passbook.cli.bench.latency import measure_latency
    from passbook.cli.bench.report import latency_table

    report = uvloop.run(measure_latency(rate, seconds))
    emit(report, options, lambda: latency_table(report))
    return EXIT_OK


@app.command
def load(*, events: _Positive = 10_000, rounds: _Positive = 20, options: Options = DEFAULTS) -> int:
    """Load an account with a long history, through a snapshot and without one.

    Both through the repositories, on a real PostgreSQL, in turn. The snapshot is as old as it gets:
    99 events came after it. Fails unless both give the same account.

    Parameters
    ----------
    events
        How many events the account has.
    rounds
        How often it is loaded each way; the median counts.
    """
    from passbook.cli.bench.load import load_table, measure_load

    report = uvloop.run(measure_load(events, rounds))
    emit(report, options, lambda: load_table(report))
    return EXIT_OK if report["same_account"] else EXIT_FAILED


@app.command
def rebuild(
    name: str = "balance",
    /,
    *,
    events: _Positive = 300_000,
    accounts: _Positive = 20_000,
    options: Options = DEFAULTS,
) -> int:
    """Write a log, and build a read model anew from it.

    Reading, folding, writing and comparing: what `projection rebuild` does. `held_ms` is how long
    the swap keeps the live projector waiting.

    Parameters
    ----------
    name
        The read model: balance or audit.
    events
        How many events the log has.
    accounts
        How many accounts they are about.
    """
    from passbook.cli.bench.rebuild import measure_rebuild
    from passbook.cli.bench.report import rebuild_table

    report = uvloop.run(measure_rebuild(name, events, accounts))
    emit(report, options, lambda: rebuild_table(report))
    return EXIT_OK if report["ok"] else EXIT_FAILED


@app.command
def inline(*, seconds: _Positive = 12, options: Options = DEFAULTS) -> int:
    """Append with and without inline balances, and compare: in batches of 1, 50 and 500 events.

    Parameters
    ----------
    seconds
        For how long, about.
    """
    from passbook.cli.bench.inline import inline_table, measure_inline

    report = uvloop.run(measure_inline(seconds))
    emit(report, options, lambda: inline_table(report))
    return EXIT_OK if report["rows_right"] else EXIT_FAILED


@app.command
def http(*, seconds: _Positive = 5, accounts: _Positive = 1000, options: Options = DEFAULTS) -> int:
    """Read balances and send commands over HTTP, each as fast as they are answered.

    Commands are waited for. Fails unless every answer is the one asked for, and the balances then add
    up to what was paid in.

    Parameters
    ----------
    seconds
        For how long, each.
    accounts
        How many accounts they are about.
    """
    from passbook.cli.bench.http import http_table, measure_http

    report = uvloop.run(measure_http(seconds, accounts))
    emit(report, options, lambda: http_table(report))
    return EXIT_OK


@app.command
def scaling(
    *, commands: _Positive = 60_000, repeats: _Positive = 5, options: Options = DEFAULTS
) -> int:
    """Let 1, 2 and 4 instances work off a backlog, and see how long it stops when one comes or goes.

    Every service alone, on the same backlog, all its instances at once; they share the machine with
    the servers. Then, under a steady load, a second instance is added, ended by SIGTERM and killed,
    and the longest time is told that any partition stood still. Then the leading relay is
    terminated, killed and frozen, and the other one takes over. Takes about three minutes.

    Parameters
    ----------
    commands
        How many commands are in the backlog.
    repeats
        How often the leading relay ends in each way.
    """
    from passbook.cli.bench.scaling import measure_scaling, scaling_table

    report = uvloop.run(measure_scaling(commands, repeats))
    emit(report, options, lambda: scaling_table(report))
    return EXIT_OK

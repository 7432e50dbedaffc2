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

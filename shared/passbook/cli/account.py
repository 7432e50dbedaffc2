"""`passbook account`: the commands that change accounts; `account_views` has the ones that look."""

import getpass
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID, uuid4, uuid5

from cyclopts import App, Group, Parameter
from cyclopts.validators import Number
from rich.text import Text

from passbook.catalogue import CATALOGUE
from passbook.cli.connect import connect
from passbook.cli.failures import EXIT_OK, EXIT_REJECTED
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.client import Outcome, PassbookClient
from passbook.client.bank import DEFAULT_TIMEOUT_S, Context
from passbook.domain.commands import (
    CloseAccount,
    Command,
    DepositMoney,
    FreezeAccount,
    OpenAccount,
    WithdrawMoney,
)
from passbook.domain.money import parse_amount
from passbook.domain.text import TEXT_LENGTH, clean_name, clean_text

app = App(name="account", help="Open accounts, move money, freeze, close, and look at them.")
for _name, _text in (
    ("show", "Show an account: from the balance view, or folded from its events."),
    ("history", "Show everything that happened to an account, oldest first."),
    ("list", "List accounts by their ids, a page at a time, as they are or were at a time."),
):
    app.command(f"passbook.cli.account_views:{_name}_", name=_name, help=_text)

_DELIVERY: Final = Group("How it is sent", sort_key=50)

AccountId = Annotated[UUID, Parameter(help="The account.")]
Amount = Annotated[str, Parameter(help="Like 20 or 20.50.", allow_leading_hyphen=True)]
Reference = Annotated[str, Parameter(help=f"What it is for: up to {TEXT_LENGTH} characters.")]


@Parameter(name="*", group=_DELIVERY)
@dataclass(frozen=True, slots=True)
class Delivery:
    """How a command is sent; cyclopts fills it from the command line."""

    wait: Annotated[
        bool, Parameter(show_default=False, help="Wait for the outcome, or only for Kafka.")
    ] = True
    timeout: Annotated[
        float, Parameter(validator=Number(gt=0), help="Seconds to wait at most.")
    ] = DEFAULT_TIMEOUT_S
    command_id: Annotated[
        UUID | None,
        Parameter(help="Key of idempotency: asking again with the same one changes nothing more."),
    ] = None
    expected_version: Annotated[
        int | None,
        Parameter(validator=Number(gte=0), help="Reject it if the account has another version."),
    ] = None


_AS_USUAL: Final = Delivery()


@app.command(name="open")
async def open_(
    *,
    owner: Annotated[str, Parameter(help="Name of the owner: up to 140 characters.")],
    deposit: Annotated[str, Parameter(help="The first deposit, at least 100.00.")],
    account_id: Annotated[
        UUID | None, Parameter(name="--id", help="Id of the account; a new one if not given.")
    ] = None,
    delivery: Delivery = _AS_USUAL,
    options: Options = DEFAULTS,
) -> int:
    """Open an account with a first deposit."""
    command_id = delivery.command_id or uuid4()
    # Derived, so that asking again with the same --command-id asks for the same account.
    account_id = account_id or uuid5(command_id, "account")
    command = OpenAccount(
        account_id, clean_name(owner), parse_amount(deposit), delivery.expected_version
    )
    return await _carry_out(command, command_id, delivery, options)


@app.command
async def deposit(
    account_id: AccountId,
    amount: Amount,
    /,
    *,
    reference: Reference = "",
    delivery: Delivery = _AS_USUAL,
    options: Options = DEFAULTS,
) -> int:
    """Put money into an account."""
    command = DepositMoney(
        account_id, parse_amount(amount), clean_text(reference), delivery.expected_version
    )
    return await _carry_out(command, delivery.command_id or uuid4(), delivery, options)


@app.command
async def withdraw(
    account_id: AccountId,
    amount: Amount,
    /,
    *,
    reference: Reference = "",
    delivery: Delivery = _AS_USUAL,
    options: Options = DEFAULTS,
) -> int:
    """Take money out of an account."""
    command = WithdrawMoney(
        account_id, parse_amount(amount), clean_text(reference), delivery.expected_version
    )
    return await _carry_out(command, delivery.command_id or uuid4(), delivery, options)


@app.command
async def freeze(
    account_id: AccountId,
    /,
    *,
    reason: Annotated[str, Parameter(help=f"Why: up to {TEXT_LENGTH} characters.")],
    delivery: Delivery = _AS_USUAL,
    options: Options = DEFAULTS,
) -> int:
    """Stop all movements of an account."""
    command = FreezeAccount(account_id, clean_text(reason), delivery.expected_version)
    return await _carry_out(command, delivery.command_id or uuid4(), delivery, options)


@app.command
async def close(
    account_id: AccountId,
    /,
    *,
    delivery: Delivery = _AS_USUAL,
    options: Options = DEFAULTS,
) -> int:
    """Close an account, also a frozen one."""
    command = CloseAccount(account_id, delivery.expected_version)
    return await _carry_out(command, delivery.command_id or uuid4(), delivery, options)


async def _carry_out(
    command: Command, command_id: UUID, delivery: Delivery, options: Options
) -> int:
    """Publish a command, print its outcome, return the exit code."""
    settings = connect(options)
    async with PassbookClient(
        settings.kafka, settings.topics, source="/passbook/cli", client_id="passbook-cli"
    ) as bank:
        if delivery.wait:
            outcome = await bank.execute(
                command, command_id=command_id, timeout=delivery.timeout, **_actor()
            )
            emit(outcome.to_dict(), options, lambda: _told(outcome))
            return exit_code(outcome)
        await bank.send(command, command_id=command_id, timeout=delivery.timeout, **_actor())
    account = str(command.account_id)
    document = {"command_id": str(command_id), "account_id": account, "outcome": None}
    emit(document, options, lambda: Text(f"Sent as command {command_id}, account {account}"))
    return EXIT_OK


def exit_code(outcome: Outcome) -> int:
    """Return how a program ends that was told this outcome."""
    if outcome.error is None:
        return EXIT_OK
    known = CATALOGUE.get(outcome.error.code)
    return EXIT_REJECTED if known is None else int(known.exit)


def _actor() -> Context:
    """Return who runs this program, for the record; nothing where accounts have no names."""
    try:
        return {"actor": clean_name(getpass.getuser())}
    except (OSError, KeyError, ValueError):
        return {}


def _told(outcome: Outcome) -> Text:
    if outcome.error is None:
        verdict = Text("Accepted", style="green")
        verdict.append(f": account {outcome.account_id} is at version {outcome.version}", "none")
        return verdict
    verdict = Text("Rejected", style="red")
    verdict.append(f" ({outcome.error.code}): {outcome.error.message}", "none")
    return verdict

"""Commands: published, waited for, and looked up."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Request, Response

from passbook.catalogue import CATALOGUE
from passbook.client import Outcome, OutcomeUnknown
from passbook.client.arguments import account_opened_by
from passbook.client.bank import Context
from passbook.domain.commands import (
    CloseAccount,
    Command,
    DepositMoney,
    FreezeAccount,
    OpenAccount,
    WithdrawMoney,
)
from passbook.domain.errors import AccountAlreadyExists
from passbook.eventstore.errors import AccountNotFound
from passbook.eventstore.store import CommandOutcome
from passbook.messaging.outcomes import document
from passbook.messaging.producer import PublishFailed
from services.query_api.backend import Backend, served_by
from services.query_api.identity.callers import Caller, commander, reader_or_commander
from services.query_api.identity.ownership import must_own, owner_of, owns
from services.query_api.listening.correlation import CORRELATION_ID
from services.query_api.problems import Problem
from services.query_api.routes.bodies import (
    Body,
    CloseAccountBody,
    FreezeAccountBody,
    MoveMoneyBody,
    OpenAccountBody,
)
from services.query_api.routes.described import COMMAND, FOUND_OUTCOME, OPENING, tagged
from services.query_api.routes.documents import json_response
from services.query_api.routes.parameters import (
    USUAL_WAIT_S,
    AccountId,
    CommandId,
    Wait,
    etag,
    if_match,
    one_header,
    plain_query,
    uuid_header,
)

router = APIRouter(dependencies=[Depends(plain_query)])

_ACKNOWLEDGE_S: Final = 5.0

_OPEN: Final = Body(OpenAccountBody, {"owner_name": "Zoë Müller", "initial_deposit": "500.00"})
_MOVE: Final = Body(MoveMoneyBody, {"amount": "20.00", "reference": "salary"})
_FREEZE: Final = Body(FreezeAccountBody, {"reason": "court order"})
_CLOSE: Final = Body(CloseAccountBody, {}, optional=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a command, how, and by way of what."""

    request: Request
    caller: Caller
    backend: Backend
    command_id: UUID
    if_match: int | None
    wait_s: float
    context: Context

    def expected(self, fields: dict[str, Any]) -> int | None:
        """Return the version that the account must have, by header or body.

        Raises:
            Problem: `malformed`, when they differ.
        """
        version: int | None = fields.pop("expected_version", None)
        if self.if_match is None or version is None:
            return version if self.if_match is None else self.if_match
        if version != self.if_match:
            raise Problem("malformed", "If-Match and expected_version ask for different versions")
        return version


async def asking(
    request: Request,
    caller: Annotated[Caller, Depends(commander)],
    backend: Annotated[Backend, Depends(served_by)],
    wait: Wait = USUAL_WAIT_S,
) -> Asked:
    """Return how a command is asked for.

    Raises:
        Problem: who asks may not, or what the headers say makes no sense.
    """
    context: Context = {}
    if caller.subject is not None:
        context["actor"] = caller.subject
    if correlation := one_header(request, "X-Correlation-ID"):
        if CORRELATION_ID.fullmatch(correlation) is None:
            raise Problem(
                "malformed", "header X-Correlation-ID: up to 200 visible ASCII characters"
            )
        context["correlation_id"] = correlation
    # Where requests have spans, the client library sends the context of one that is below this.
    if (trace := request.headers.get("traceparent")) and not request.app.state.traced:
        context["traceparent"] = trace
    command_id = uuid_header(request, "Idempotency-Key") or uuid4()
    return Asked(request, caller, backend, command_id, if_match(request), wait, context)


Asking = Annotated[Asked, Depends(asking)]


@router.post("/v1/accounts", **tagged("openAccount", OPENING, _OPEN.openapi))
async def open_account(asked: Asking) -> Response:
    """Open an account with a first deposit of at least 100.00."""
    fields = await _OPEN.read(asked.request)
    given = fields.pop("account_id", None)
    account_id = account_opened_by(asked.command_id) if given is None else UUID(given)
    expected = asked.expected(fields)
    return await _carry_out(asked, OpenAccount(account_id, **fields, expected_version=expected))


@router.post("/v1/accounts/{account_id}/deposits", **tagged("deposit", COMMAND, _MOVE.openapi))
async def deposit(account_id: AccountId, asked: Asking) -> Response:
    """Put money into an account."""
    return await _change(asked, account_id, _MOVE, DepositMoney)


@router.post("/v1/accounts/{account_id}/withdrawals", **tagged("withdraw", COMMAND, _MOVE.openapi))
async def withdraw(account_id: AccountId, asked: Asking) -> Response:
    """Take money out of an account."""
    return await _change(asked, account_id, _MOVE, WithdrawMoney)


@router.post("/v1/accounts/{account_id}/freeze", **tagged("freeze", COMMAND, _FREEZE.openapi))
async def freeze(account_id: AccountId, asked: Asking) -> Response:
    """Stop all movements of an account."""
    return await _change(asked, account_id, _FREEZE, FreezeAccount)


@router.post("/v1/accounts/{account_id}/close", **tagged("close", COMMAND, _CLOSE.openapi))
async def close(account_id: AccountId, asked: Asking) -> Response:
    """Close an account, also a frozen one."""
    return await _change(asked, account_id, _CLOSE, CloseAccount)


@router.get(
    "/v1/commands/{command_id}",
    **tagged("showCommand", FOUND_OUTCOME, tag="commands", scope="bank:command bank:read"),
)
async def show_command(
    command_id: CommandId,
    caller: Annotated[Caller, Depends(reader_or_commander)],
    backend: Annotated[Backend, Depends(served_by)],
) -> Response:
    """Show what was decided on a command."""
    outcome = (await backend.store.outcomes([command_id])).get(command_id)
    if outcome is None or not await _may_see(outcome, caller, backend):
        detail = f"Command {command_id} is not decided, or is none"
        raise Problem("command_not_found", detail, {"Retry-After": "1"})
    told = document(
        command_id,
        outcome.stream_id,
        outcome.version,
        outcome.event_ids,
        outcome.error_code,
        outcome.error_message,
    )
    return json_response(told)


async def _may_see(outcome: CommandOutcome, caller: Caller, backend: Backend) -> bool:
    """Tell whether an outcome may be shown: that about a foreign account may not. One about an account
    that does not exist tells nothing that whoever knows the command's id did not know.
    """
    if caller.sees_all or outcome.stream_id is None:
        return True
    try:
        await must_own(backend, caller, outcome.stream_id)
    except AccountNotFound:
        return await owner_of(backend, outcome.stream_id) is None
    return True


async def _change(
    asked: Asked, account_id: UUID, body: Body[Any], kind: Callable[..., Command]
) -> Response:
    fields = await body.read(asked.request)
    await must_own(asked.backend, asked.caller, account_id)
    expected = asked.expected(fields)
    return await _carry_out(asked, kind(account_id, **fields, expected_version=expected))


async def _carry_out(asked: Asked, command: Command) -> Response:
    """Publish a command and answer with its outcome, or with where that will be."""
    bank, command_id = asked.backend.bank, asked.command_id
    try:
        if asked.wait_s == 0:
            await bank.send(command, command_id=command_id, timeout=_ACKNOWLEDGE_S, **asked.context)
            return _under_way(command_id, command)
        async with asked.request.app.state.stopping.cutting_short(asked.request):
            outcome = await bank.execute(
                command, command_id=command_id, timeout=asked.wait_s, **asked.context
            )
    except OutcomeUnknown as error:
        if asked.wait_s == 0 or isinstance(error.__cause__, PublishFailed):
            raise _perhaps(command_id) from error
        return _under_way(command_id, command)
    except TimeoutError:
        return _under_way(command_id, command)
    if isinstance(command, OpenAccount):
        await _not_anothers(command.account_id, asked)
    return _answered(outcome, command, asked)


async def _not_anothers(account_id: UUID, asked: Asked) -> None:
    """Return unless the account that was to be opened is somebody else's: then its version, or the
    outcome of an opening that was asked for with the same id and content, is not the caller's to know.

    Raises:
        Problem: `account_already_exists`.
    """
    if asked.caller.sees_all:
        return
    owner = await owner_of(asked.backend, account_id)
    if owner is not None and not owns(asked.caller, owner):
        error = AccountAlreadyExists(account_id)
        raise Problem(error.code, str(error), {"Idempotency-Key": str(asked.command_id)})


def _perhaps(command_id: UUID) -> Problem:
    detail = "Kafka has not confirmed the command; ask again with the same Idempotency-Key"
    key = {"Idempotency-Key": str(command_id)}
    return Problem("unavailable", detail, key, command_id=str(command_id))


def _under_way(command_id: UUID, command: Command) -> Response:
    told = {"command_id": str(command_id), "account_id": str(command.account_id), "outcome": None}
    headers = {
        "Location": f"/v1/commands/{command_id}",
        "Retry-After": "1",
        "Idempotency-Key": str(command_id),
    }
    return json_response(told, 202, headers)


def _answered(outcome: Outcome, command: Command, asked: Asked) -> Response:
    headers = {"Idempotency-Key": str(asked.command_id)}
    if outcome.error is not None:
        raise _rejected(outcome, asked, headers)
    headers["ETag"] = etag(outcome.version)
    status = 200
    if isinstance(command, OpenAccount):
        status = 201
        headers["Location"] = f"/v1/accounts/{command.account_id}"
    return json_response(outcome.to_dict(), status, headers)


def _rejected(outcome: Outcome, asked: Asked, headers: dict[str, str]) -> Problem:
    assert outcome.error is not None
    code = outcome.error.code
    by_header = code == "version_mismatch" and asked.if_match is not None
    if code in CATALOGUE and CATALOGUE[code].status < 500:  # noqa: PLR2004 - classes of statuses
        status = 412 if by_header else None
    else:
        status = 422
    return Problem(
        code,
        outcome.error.message,
        headers,
        status=status,
        version=outcome.version,
        command_id=str(outcome.command_id),
    )

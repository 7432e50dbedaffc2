"""The examples of the README are run as they stand there, and do what it says."""

import asyncio
import json
import os
import re
import shlex
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import pytest

from tests.support.outsider import Outsider, command, document, header
from tests.support.program import Program

_README: Final = Path(__file__).parents[2] / "README.md"
_BOUND_S: Final = 30.0


@pytest.fixture
async def kafka(running_passbook: Program) -> str:
    """Give the address that the README speaks of, where the README says that it is."""
    status = (await running_passbook("status", "--json")).document
    bootstrap: str = status["endpoints"]["kafka_bootstrap"]
    return bootstrap


async def test_the_client_publishes_commands(kafka: str) -> None:
    assert await _run("Publish commands", kafka) == "insufficient_funds 2\n"


async def test_any_kafka_client_gets_the_outcome_that_is_shown(
    running_passbook: Program, kafka: str
) -> None:
    command_id = (await _run("Publish commands", kafka, place=1)).strip()

    outsider = Outsider(kafka, "bank.", partitions=16)
    (outcome,) = (await outsider.outcomes([command_id]))[command_id]
    told = document(outcome)
    assert (told["outcome"], told["version"]) == ("accepted", 1)
    assert outcome.key.decode() == told["account_id"] == header(outcome, "ce_subject")
    (shown,) = map(json.loads, _blocks("Publish commands", "json"))
    assert told.keys() == shown.keys()
    account = await running_passbook(
        "account", "show", told["account_id"], "--min-version", 1, "--json"
    )
    assert account.document["owner_name"] == "Alice"
    assert account.document["balance"] == "500.00"


async def test_the_client_subscribes_to_typed_events(running_passbook: Program, kafka: str) -> None:
    opened = await running_passbook("account", "open", "--owner", "B", "--deposit", "100", "--json")
    await running_passbook("account", "deposit", opened.document["account_id"], "7.00")

    account_id, version, amount = (await _run("Subscribe to events", kafka)).split()

    assert UUID(account_id)
    assert int(version) > 1
    assert Decimal(amount) != 0


async def test_any_kafka_client_sees_events_from_the_first_one_on(
    running_passbook: Program, kafka: str
) -> None:
    await running_passbook("account", "open", "--owner", "Bob", "--deposit", "100.00")

    line = await _run("Subscribe to events", kafka, place=1)

    event_type, version, data = line.strip().split(" ", 2)
    assert (event_type, version) == ("bank.AccountOpened", "1")
    assert data.startswith("{")


async def test_the_http_requests_are_answered(running_passbook: Program, tmp_path: Path) -> None:
    (block,) = _blocks("Read over HTTP", "sh")
    status = (await running_passbook("status", "--json")).document
    requests = re.sub("0b7a5d0c-6f0e-4d6b-9c57-2f3a4b5c6d7e", str(uuid4()), block)
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", requests.replace("curl -s", "curl --fail -sS")),
        env={"HTTP": status["endpoints"]["http_url"], "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )

    async with asyncio.timeout(_BOUND_S):
        answers, errors = await process.communicate()

    assert process.returncode == 0, errors.decode()
    assert answers.count(b'"balance":"520.00"') >= 2
    assert b"\nevent: bank.MoneyDeposited\n" in answers


async def test_the_library_needs_no_server() -> None:
    assert await _run("From Python, without Kafka", "") == ""


async def test_of_two_people_on_one_account_one_is_told(running_passbook: Program) -> None:
    status = (await running_passbook("status", "--json")).document
    store = status["endpoints"]["event_store_dsn"]

    told = await _run("From Python, without Kafka", "", place=1, STORE=store)

    assert told.startswith("get it again and decide again: stream ")


async def test_an_old_shape_is_read_as_todays() -> None:
    assert await _run("Snapshots and schema versions", "") == ""


@pytest.mark.parametrize(
    "section",
    [
        "The past, and reads that must not be behind",
        "Contracts",
        "Rebuilds",
        "The archive",
        "Evidence",
        "What was left aside",
    ],
)
async def test_the_command_lines_run_in_their_order(
    running_passbook: Program, kafka: str, tmp_path: Path, section: str
) -> None:
    opened = await running_passbook("account", "open", "--owner", "C", "--deposit", "100", "--json")
    account_id = opened.document["account_id"]
    for _ in range(6):
        await running_passbook("account", "deposit", account_id, "1", "--json")
    now = datetime.now(UTC).isoformat()
    place = await _dead_letter(running_passbook, kafka) if "aside" in section else ""
    (block,) = _blocks(section, "")
    for line in block.splitlines():
        said = re.sub(r"\[.*?\]", "", line.partition("#")[0])
        said = re.sub(r"2026-01-31T\S+", now, said).replace("ID", account_id)
        said = said.replace("audit-key", f"{tmp_path}/audit-key")
        program, *arguments = shlex.split(said.replace("commands/3:17", place))
        assert program == "passbook"
        arguments, _, file = partition(arguments, ">")
        ended = await running_passbook(*arguments)
        assert ended.code == 0, f"{line}\n{ended.stdout}{ended.stderr}"
        if file:
            await asyncio.to_thread(Path(file[0]).write_text, ended.stdout)
    # Tests share the directory, and no other one knows the key.
    for checkpoint in (Path(running_passbook.settings["PASSBOOK_DATA_DIR"]) / "checkpoints").glob(
        "*"
    ):
        checkpoint.unlink()


def _blocks(section: str, language: str) -> list[str]:
    """Return the code blocks of a section of the README."""
    text = _README.read_text("utf-8")
    (found,) = re.findall(
        rf"^## {re.escape(section)}\n(.*?)(?=^## )", text, re.DOTALL | re.MULTILINE
    )
    return re.findall(rf"^```{language}\n(.*?)^```$", found, re.DOTALL | re.MULTILINE)


async def _dead_letter(passbook: Program, kafka: str) -> str:
    """Have a dead letter; return its place."""
    outsider = Outsider(kafka, "bank.", partitions=16)
    broken = command("DepositMoney", str(uuid4()), amount="a lot")
    await outsider.send(broken)
    await outsider.outcomes([broken.command_id])
    places = {
        letter["id"]: letter["place"]
        for letter in (await passbook("dlq", "list", "--json")).document
    }
    return str(places[broken.command_id])


def partition(arguments: list[str], mark: str) -> tuple[list[str], str, list[str]]:
    """Return what is before and after a mark, like `str.partition`."""
    if mark not in arguments:
        return arguments, "", []
    at = arguments.index(mark)
    return arguments[:at], mark, arguments[at + 1 :]


async def _run(section: str, kafka: str, place: int = 0, **environment: str) -> str:
    """Run an example of a section as a program; return what it printed."""
    example = _blocks(section, "python")[place]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", example),
        env={"KAFKA": kafka, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_BOUND_S):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()

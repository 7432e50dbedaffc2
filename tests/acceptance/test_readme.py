"""The examples of the README are run as they stand there, and do what it says."""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.outsider import Outsider, document, header
from tests.support.program import Program

_README: Final = Path(__file__).parents[2] / "README.md"
_BOUND_S: Final = 30.0


@pytest.fixture
async def kafka(running_passbook: Program) -> str:
    """Give the address that the README speaks of, where the README says that it is."""
    status = (await running_passbook("status", "--json")).document
    bootstrap: str = status["endpoints"]["kafka_bootstrap"]
    return bootstrap


async def test_publishing_a_command_leads_to_the_outcome_that_is_shown(
    running_passbook: Program, kafka: str
) -> None:
    command_id = (await _run("Publish a command", kafka)).strip()

    outsider = Outsider(kafka, "bank.", partitions=16)
    (outcome,) = (await outsider.outcomes([command_id]))[command_id]
    told = document(outcome)
    assert (told["outcome"], told["version"]) == ("accepted", 1)
    assert outcome.key.decode() == told["account_id"] == header(outcome, "ce_subject")
    (shown,) = map(json.loads, _blocks("Publish a command", "json"))
    assert told.keys() == shown.keys()
    account = await running_passbook(
        "account", "show", told["account_id"], "--min-version", 1, "--json"
    )
    assert account.document["owner_name"] == "Alice"
    assert account.document["balance"] == "500.00"


async def test_subscribing_shows_events_from_the_first_one_on(
    running_passbook: Program, kafka: str
) -> None:
    await running_passbook("account", "open", "--owner", "Bob", "--deposit", "100.00")

    line = await _run("Subscribe to events", kafka)

    event_type, version, data = line.strip().split(" ", 2)
    assert (event_type, version) == ("bank.AccountOpened", "1")
    assert data.startswith("{")


async def test_the_client_executes_commands(kafka: str) -> None:
    assert await _run("From Python, over Kafka", kafka) == "2\n"


async def test_the_library_needs_no_server() -> None:
    assert await _run("From Python, without Kafka", "") == ""


def _blocks(section: str, language: str) -> list[str]:
    """Return the code blocks of a section of the README."""
    text = _README.read_text("utf-8")
    (found,) = re.findall(
        rf"^## {re.escape(section)}\n(.*?)(?=^## )", text, re.DOTALL | re.MULTILINE
    )
    return re.findall(rf"^```{language}\n(.*?)^```$", found, re.DOTALL | re.MULTILINE)


async def _run(section: str, kafka: str) -> str:
    """Run the only example of a section as a program; return what it printed."""
    (example,) = _blocks(section, "python")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", example),
        env={"KAFKA": kafka},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_BOUND_S):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()

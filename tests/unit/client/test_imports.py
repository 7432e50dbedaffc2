"""What the library asks of those who import it: three packages, and no code of the servers."""

import json
import re
import tomllib
from importlib.metadata import metadata

from tests.architecture.source import ROOT
from tests.support.blocked import run_blocked

_LOADED = """
import json
import passbook.client, passbook.client.testing
print(json.dumps([name for name in sys.modules if name.startswith("passbook.")]))
"""
_DECIDES = """
import asyncio
from passbook.client.testing import FakeBank

async def use():
    async with FakeBank() as bank:
        opened = await bank.open_account("Alice", "500.00")
        async with bank.subscribe(group="readers") as events:
            event = await anext(events)
            await event.ack()
            assert event.account_id == opened.account_id

asyncio.run(use())
"""
_COMMAND_LINE = """
from passbook.cli import main
sys.exit(main(["status"]))
"""


async def test_the_client_loads_no_code_of_the_servers() -> None:
    """Fails when `passbook/__init__.py` imports the store's errors at once."""
    code, output, errors = await run_blocked(_LOADED)
    assert code == 0, errors
    parts = {name.split(".")[1] for name in json.loads(output)}
    assert parts == {"client", "domain", "messaging"}


async def test_the_client_works_where_nothing_but_its_three_libraries_is_installed() -> None:
    code, _, errors = await run_blocked(_DECIDES)
    assert code == 0, errors


async def test_the_command_line_says_what_to_install() -> None:
    code, output, errors = await run_blocked(_COMMAND_LINE)
    assert (code, output) == (69, "")
    (line,) = errors.splitlines()
    assert re.fullmatch(
        r"passbook: the command line needs \w+, which is not installed: "
        r"pip install 'passbook\[server\]'",
        line,
    )


def test_what_is_installed_with_the_client_is_what_it_needs() -> None:
    required = {
        re.split(r"[\[<>=]", one)[0]
        for one in metadata("passbook").get_all("Requires-Dist") or []
        if "extra ==" not in one
    }
    assert required == {"aiokafka", "orjson", "pydantic", "typing-extensions"}


def test_the_wheel_says_that_it_is_typed() -> None:
    """A wheel has every file of the packages that are named, so the marker has to be in one."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert "shared/passbook" in build["targets"]["wheel"]["packages"]
    assert "exclude" not in build["targets"]["wheel"]
    assert (ROOT / "shared/passbook/py.typed").is_file()

"""What docker-compose.yml says of all containers alike."""

from typing import Any, Final

import pytest
import yaml

from tests.support.observability import ROOT, RUNBOOKS

_SERVICES: Final[dict[str, dict[str, Any]]] = yaml.safe_load(
    (ROOT / "docker-compose.yml").read_text("utf-8")
)["services"]
_RUNNING: Final = [
    name for name, one in _SERVICES.items() if one.get("restart") != "no" and "profiles" not in one
]
_SCALED: Final = [
    name
    for name, one in _SERVICES.items()
    if one.get("command", [""])[0] == "run" and "ports" not in one
]


@pytest.mark.parametrize("name", _SCALED)
def test_the_next_up_keeps_the_number_of_instances(name: str) -> None:
    """By a variable, which `.env` keeps: what `--scale` says is forgotten by the next `up`. Both
    pages that tell of numbers name it.

    Seen to fail without `scale` at the relay.
    """
    variable = f"PASSBOOK_{name.replace('-', '_').upper()}S"
    assert _SERVICES[name]["scale"] == f"${{{variable}:-1}}"
    for page in (ROOT / "README.md", RUNBOOKS / "README.md"):
        assert f"`{variable}" in page.read_text("utf-8"), page


@pytest.mark.parametrize("name", _RUNNING)
def test_a_container_that_runs_for_long_has_limits(name: str) -> None:
    """Of memory and of processes. Seen to fail with the two servers, which had no second one."""
    assert {"mem_limit", "pids_limit"} <= set(_SERVICES[name])


def test_postgres_may_have_a_process_for_each_connection() -> None:
    """Seen to fail with `pids_limit: 128`."""
    postgres = _SERVICES["postgres"]
    (connections,) = (word for word in postgres["command"] if word.startswith("max_connections="))
    default = int(connections.partition(":-")[2].rstrip("}"))
    assert postgres["pids_limit"] > 10 * default

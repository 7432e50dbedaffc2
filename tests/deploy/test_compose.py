"""What docker-compose.yml says of all containers alike."""

from typing import Any, Final

import pytest
import yaml

from tests.support.observability import ROOT, RUNBOOKS

_SERVICES: Final[dict[str, dict[str, Any]]] = yaml.safe_load(
    (ROOT / "docker-compose.yml").read_text("utf-8")
)["services"]
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

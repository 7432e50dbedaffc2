"""Where things are: names of folders and modules, and the three files of every service."""

import ast
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.source import ROOT, calls, modules

_NAMES_THAT_SAY_NOTHING: Final = {"utils", "util", "common", "helpers", "base", "manager", "misc"}
_SERVICES: Final = sorted(
    path.name for path in (ROOT / "services").iterdir() if (path / "__init__.py").is_file()
)
_CARD: Final = ("Consumes", "Produces", "Owns", "Guarantees", "Scales")


def test_every_name_says_what_is_inside() -> None:
    parts = {part for path in modules() for part in path.with_suffix("").parts}
    assert parts.isdisjoint(_NAMES_THAT_SAY_NOTHING)


def test_a_module_is_one_concept() -> None:
    """Over 300 lines, it is two."""
    long = {path for path in modules() if len((ROOT / path).read_text().splitlines()) > 300}
    assert long == set()


@pytest.mark.parametrize("service", _SERVICES)
def test_every_service_has_a_card_and_its_wiring(service: str) -> None:
    folder = Path("services") / service
    card = ast.get_docstring(modules()[folder / "__init__.py"]) or ""
    assert all(f"\n{entry}" in card for entry in _CARD)
    assert len(modules()[folder / "__init__.py"].body) == 1, "a card has no code"
    assert folder / "__main__.py" in modules()


def test_settings_are_read_by_wiring_only() -> None:
    """Two functions read them for it, and tell what is refused."""
    ways = {"Settings": "config.py", "load_settings": "service.py", "service_settings": None}
    readers = {
        path
        for path, call in calls()
        if isinstance(call.func, ast.Name)
        and call.func.id in ways
        and path.name != ways[call.func.id]
    }
    assert all(path.name == "__main__.py" or "cli" in path.parts for path in readers), readers


def test_the_sql_of_services_is_constant() -> None:
    """Names of databases and roles have to be formatted in; only `cli` and `embedded` make any."""
    verbs = {"execute", "executemany", "fetch", "fetchrow", "fetchval", "cursor"}
    formatted = [
        f"{path}:{call.lineno}"
        for path, call in calls()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in verbs
        and {"cli", "embedded"}.isdisjoint(path.parts)
        and any(isinstance(argument, ast.JoinedStr) for argument in call.args[:1])
    ]
    assert formatted == []

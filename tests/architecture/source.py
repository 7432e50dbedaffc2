"""The source text under test, parsed."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


@cache
def modules() -> dict[Path, ast.Module]:
    """Return every module of the library and the services, by its path from the top."""
    return {
        path.relative_to(ROOT): ast.parse(path.read_text())
        for folder in ("shared", "services")
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


def calls() -> Iterator[tuple[Path, ast.Call]]:
    """Yield every call in the code with the module it is in."""
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield path, node

"""The contract as it was published, in `tests/golden/contracts`: nobody who kept to it is broken.

`passbook contracts export` compares with the committed files only, which can be deleted. When the
contract has grown, keep the new state beside the old ones:

    uv run python -c "from tests.unit.contracts.test_published import keep; keep('1.1.0')"
"""

from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from passbook.cli.contracts import documents
from passbook.contracts.changes import is_annotation
from passbook.contracts.documents import compare_documents, rendered

_FOLDER: Final = Path(__file__).parents[2] / "golden" / "contracts"


@pytest.mark.parametrize("file", sorted(_FOLDER.iterdir()), ids=lambda file: file.stem)
def test_nothing_that_was_published_is_changed_or_taken_away(file: Path) -> None:
    """Seen to fail: without `reference` in `MoneyDepositedV2`, and with a longer one."""
    published = orjson.loads(file.read_bytes())
    changes = compare_documents(published, documents())
    assert [str(change) for change in changes if change.kind == "breaking"] == []


def test_what_is_kept_is_all_but_the_words() -> None:
    kept = {name: _without_words(one) for name, one in documents().items()}
    assert {change.what for change in compare_documents(kept, documents())} == {"worded anew"}


def keep(name: str) -> None:
    """Keep the contract as it is now; the words, which may change, are left out."""
    kept = {path: _without_words(document) for path, document in documents().items()}
    with (_FOLDER / f"{name}.json").open("xb") as file:
        file.write(rendered(kept))


def _without_words(node: Any) -> Any:
    """A field may have the name of an annotation; what stands there is no text or list then."""
    if isinstance(node, list):
        return [_without_words(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {
        name: _without_words(value)
        for name, value in node.items()
        if not (is_annotation(name) and (isinstance(value, str | list | bool) or "schema" in node))
    }

"""What people read after a rebuild or a verification."""

from decimal import Decimal
from typing import Any

from rich.console import Console, RenderableType

from passbook.cli.rebuild_report import document, swap_verdict, verdict
from passbook.projection.copies import Comparison, Difference
from passbook.projection.rebuild import Rebuilt

_ROW = {"account_id": "a", "balance": "1.00", "version": "2"}


def _read(drawing: RenderableType) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(drawing)
    return capture.get()


def _found(*differences: Difference, differing: int | None = None) -> dict[str, Any]:
    total = len(differences) if differing is None else differing
    comparison = Comparison(3, 3, 3, total, differences)
    return document("balance", Rebuilt(comparison, 900, 100, 0.01, 1.5, 0.0125))


def test_a_rebuild_that_found_nothing_says_so_and_how_to_go_back() -> None:
    text = _read(swap_verdict(_found(), rolled_back=False))
    assert "balance is rebuilt: 3 rows of 3 accounts from 1,000 events, 1.5 s, 90,000" in text
    assert "waited 12.5 ms" in text
    assert "`passbook projection rebuild balance --rollback` goes back to them" in text
    assert "every row was the same before" in text


def test_every_kind_of_difference_is_told() -> None:
    found = _found(
        Difference("accounts", _ROW, {**_ROW, "balance": "2.00"}, parked=False),
        Difference("accounts", None, _ROW, parked=False),
        Difference("accounts", _ROW, None, parked=True),
        differing=7,
    )
    text = _read(swap_verdict(found, rolled_back=True))
    assert "balance is rolled back" in text
    assert "before, 7 rows were different" in text
    assert "a: balance 1.00 → 2.00" in text
    assert "a: is missing in the live rows" in text
    assert "a (parked): is not in the rebuilt rows" in text
    assert "and 4 more" in text


def test_a_verification_says_what_the_sums_are() -> None:
    sums = {"held": Decimal("1234.50"), "paid_in": Decimal("1234.00")}
    text = _read(verdict(_found() | {"ok": False} | sums))
    assert "NOT OK" in text
    assert "balances add up to 1,234.50, deposits minus withdrawals to 1,234.00" in text


def test_a_verification_says_what_fills_in_a_column_that_older_rows_do_not_have() -> None:
    old = Difference("accounts", {**_ROW, "owner": None}, {**_ROW, "owner": "ada"}, parked=False)
    text = _read(verdict(_found(old) | {"ok": False}))
    assert "a: owner None → ada" in text
    assert "rows without owner may be from before" in text
    assert "`passbook projection rebuild balance` fills them in" in text
    other = Difference("accounts", _ROW, {**_ROW, "balance": "2.00"}, parked=False)
    assert "fills them in" not in _read(verdict(_found(other) | {"ok": False}))

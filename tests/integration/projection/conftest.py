"""Fixtures of this folder."""

from tests.support.ledger import ledger

__all__ = ["ledger"]

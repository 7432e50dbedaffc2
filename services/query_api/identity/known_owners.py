"""Owners that were looked up: they never change, so that none is looked up twice while it is used."""

from collections import OrderedDict
from typing import Final
from uuid import UUID

MOST_KNOWN: Final = 100_000
"""Some 20 MB."""


class KnownOwners:
    """Account → owner, of the accounts that were asked for last."""

    def __init__(self, most: int = MOST_KNOWN) -> None:
        """Remember up to `most` accounts."""
        self._most = most
        self._known: OrderedDict[UUID, str] = OrderedDict()

    def get(self, account_id: UUID) -> str | None:
        """Return an owner, "" for an account that nobody owns; None when it is not known here."""
        owner = self._known.get(account_id)
        if owner is not None:
            self._known.move_to_end(account_id)
        return owner

    def put(self, account_id: UUID, owner: str) -> None:
        """Remember an owner."""
        self._known[account_id] = owner
        if len(self._known) > self._most:
            self._known.popitem(last=False)

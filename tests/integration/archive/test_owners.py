"""Whose an account is can be told when its opening is in the archive, and the view does not know."""

from types import SimpleNamespace
from typing import cast
from uuid import UUID, uuid4

import pytest

from passbook.domain.slots import slot_of
from passbook.eventstore.errors import AccountNotFound, ArchiveUnreadable
from passbook.eventstore.store import EventStore
from services.query_api.backend import Backend
from services.query_api.identity.callers import ADMIN, READ, Caller
from services.query_api.identity.known_owners import KnownOwners
from services.query_api.identity.ownership import must_own, owner_of
from tests.integration.archive.conftest import Books
from tests.support.accounts import busy, rows

ADA = Caller("ada", frozenset({READ}))
BOB = Caller("bob", frozenset({READ}))
ROOT = Caller("root", frozenset({READ, ADMIN}))


def _backend(books: Books, store: EventStore) -> Backend:
    """Return what ownership asks; it asks nothing else."""
    asked = SimpleNamespace(store=store, rows=books.pool, owners=KnownOwners())
    return cast("Backend", asked)


async def _opened_by(books: Books, actor: str) -> UUID:
    """Return an account whose other events are by somebody else."""
    account = busy(movements=3)
    events = [
        event._replace(metadata=f'{{"command_id": "{uuid4()}", "actor": "{by}"}}')
        for event, by in zip(rows(account), [actor, "eve", "eve", "eve"], strict=True)
    ]
    slot = slot_of(account.id)
    heads = await books.store.heads()
    await books.store.append_batch({slot: heads[slot]}, events, [])
    return account.id


async def test_the_owner_of_an_archived_account_is_read_from_the_archive(books: Books) -> None:
    """And nothing is made up where it cannot be read.

    Seen to fail: with the table of events asked alone.
    """
    account_id = await _opened_by(books, "ada")
    await books.run()
    assert await books.in_table() == 1  # the newest of a slot stays
    assert await owner_of(_backend(books, books.store), account_id) == "ada"
    await books.pool.execute("UPDATE balances.accounts SET owner = NULL")
    backend = _backend(books, books.store)
    assert await owner_of(backend, account_id) == "ada"
    await must_own(backend, ADA, account_id)
    with pytest.raises(AccountNotFound):
        await must_own(backend, BOB, account_id)
    with pytest.raises(ArchiveUnreadable):
        await owner_of(_backend(books, books.plain), account_id)


async def test_an_account_that_is_not_there_yet_is_not_remembered_as_missing(books: Books) -> None:
    """Or who opens it now would not own it. Seen to fail: with None remembered as nobody."""
    backend = _backend(books, books.store)
    missing = uuid4()
    assert await owner_of(backend, missing) is None
    for caller in (ADA, BOB):
        with pytest.raises(AccountNotFound):
            await must_own(backend, caller, missing)
    await must_own(backend, ROOT, missing)
    assert backend.owners.get(missing) is None


async def test_an_owner_is_asked_for_once(books: Books) -> None:
    """They never change. Seen to fail: without `put`."""
    backend = _backend(books, books.store)
    account_id = await _opened_by(books, "ada")
    assert await owner_of(backend, account_id) == "ada"
    await books.pool.close()
    assert await owner_of(backend, account_id) == "ada"

"""Invariant 6, where the chains alone prove nothing: a tail that is gone from everywhere, a suffix
written anew on both sides. Each test first shows that without a checkpoint nobody would know.

Seen to fail: without the look behind the end (those with `cut_off`), without the comparison with the
signed hash (those with `rewritten`), without the look at the previous checkpoint (what is signed).
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from passbook.eventstore.postgres import PostgresEventStore
from services.audit_projector.checkpoints import Checkpoint, read, sign
from services.audit_projector.errors import NotSigned
from services.audit_projector.heads import environment, heads_to_sign
from services.audit_projector.projection import AuditProjection
from services.audit_projector.signatures import Signer, new_key
from services.audit_projector.verify import Verification
from tests.integration.audit_projector.forging import (
    EVENTS,
    EVERYTHING,
    OTHER_SLOT,
    SLOT,
    Check,
    append,
    cut,
    cut_without_trace,
    only,
    rewrite,
)
from tests.support.databases import Connect, OpenPool
from tests.support.projected import project


async def taken(admin: asyncpg.Connection) -> Checkpoint:
    """Return a checkpoint of the log as it stands."""
    return await heads_to_sign(admin, await environment(admin), None)


async def grow(pools: OpenPool, slot: int) -> None:
    """Append eight events to a slot, and audit them."""
    pool = await pools()
    await append(PostgresEventStore(pool), slot, 2)
    await project(pool, AuditProjection())


async def test_heads_that_were_signed_are_confirmed_and_so_they_are_when_the_log_has_grown(
    admin: asyncpg.Connection, check: Check, pools: OpenPool
) -> None:
    before = await taken(admin)
    assert before.entries == EVERYTHING
    assert await check([before]) == Verification(entries=EVERYTHING, slots=2, confirmed=2)
    await grow(pools, OTHER_SLOT)
    after = await taken(admin)
    found = await check([before, after])
    # The head of the slot that stood still is the same in both.
    assert found == Verification(entries=EVERYTHING + 8, slots=2, confirmed=3)


async def test_tail_that_is_gone_from_everywhere_is_found_by_a_checkpoint(
    admin: asyncpg.Connection, check: Check
) -> None:
    signed = await taken(admin)
    await cut_without_trace(admin, 9)
    assert (await check()).ok
    assert only(await check([signed])) == (SLOT, 9, "cut_off")


async def test_whole_slot_that_is_gone_is_found_by_a_checkpoint(
    admin: asyncpg.Connection, check: Check
) -> None:
    signed = await taken(admin)
    await cut_without_trace(admin, 1)
    assert (await check()).ok
    assert only(await check([signed])) == (SLOT, 1, "cut_off")


async def test_tail_that_was_replaced_by_other_events_is_found_by_a_checkpoint(
    admin: asyncpg.Connection, check: Check, pools: OpenPool
) -> None:
    signed = await taken(admin)
    await cut_without_trace(admin, 9)
    await grow(pools, SLOT)
    assert (await check()).ok
    assert only(await check([signed])) == (SLOT, EVENTS, "rewritten")


@pytest.mark.parametrize("first", [2, 7, EVENTS])
async def test_suffix_written_anew_on_both_sides_is_found_by_a_checkpoint(
    admin: asyncpg.Connection, check: Check, first: int
) -> None:
    signed = await taken(admin)
    await rewrite(admin, first)
    assert (await check()).ok
    assert only(await check([signed])) == (SLOT, EVENTS, "rewritten")


async def test_the_oldest_checkpoint_that_is_contradicted_says_where(
    admin: asyncpg.Connection, check: Check, pools: OpenPool
) -> None:
    """The rewriting began after the first checkpoint: that one still holds, the next one tells."""
    first = await taken(admin)
    await grow(pools, OTHER_SLOT)
    second = await taken(admin)
    await rewrite(admin, 7)
    found = await check([second, first])
    assert only(found) == (SLOT, EVENTS, "rewritten")
    assert found.confirmed == 2
    await cut_without_trace(admin, 5)
    assert only(await check([first, second])) == (SLOT, 5, "cut_off")


async def test_nobody_signs_a_log_that_does_not_end_where_the_projection_stands(
    admin: asyncpg.Connection,
) -> None:
    await cut(admin, 9, "audit.entries")
    with pytest.raises(NotSigned, match=f"slot {SLOT} ends at 8"):
        await taken(admin)


@pytest.mark.parametrize("tamper", [cut_without_trace, rewrite])
async def test_nobody_signs_that_what_was_signed_before_is_gone(
    admin: asyncpg.Connection,
    tmp_path: Path,
    tamper: Callable[[asyncpg.Connection, int], Awaitable[None]],
) -> None:
    new_key(tmp_path / "key")
    first = read(sign(await taken(admin), Signer.of(tmp_path / "key")))
    following = await heads_to_sign(admin, await environment(admin), first)
    assert following.previous == first.sha256
    await tamper(admin, 7)
    with pytest.raises(NotSigned, match=f"entry {SLOT}:{EVENTS} is not the one"):
        await heads_to_sign(admin, await environment(admin), first)


async def test_a_checkpoint_needs_no_more_than_the_right_to_read(
    admin: asyncpg.Connection, connect: Connect
) -> None:
    reader = await connect("passbook_reader")
    assert (await taken(reader)).heads == (await taken(admin)).heads

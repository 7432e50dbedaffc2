"""Which messages are followed: decided by the text of `traceparent` alone."""

import random

import pytest

from passbook.tracing.described import consumed_event, published_event
from passbook.tracing.following import MOST_A_SECOND, MOST_FOLLOWED, Choice, sampled, sampled_by
from tests.support.messages import message
from tests.support.spans import traceparent
from tests.unit.services.kafka import ScriptedConsumer

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize("flags", ["01", "03", "0b", "ff"])
def test_the_lowest_bit_of_the_flags_says_sampled(flags: str) -> None:
    context = f"00-{TRACE}-{SPAN}-{flags}"
    assert sampled(context) == context


@pytest.mark.parametrize(
    "context",
    [
        None,
        "",
        f"00-{TRACE}-{SPAN}-00",
        f"00-{TRACE}-{SPAN}-02",
        f"00-{TRACE}-{SPAN}-0A",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-1",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-0\u0661",
        "01",
        "1" * 55,
    ],
)
def test_what_is_not_sampled_or_no_context_is_not_followed(context: str | None) -> None:
    """Source: W3C Trace Context, 3.2.2. Seen to fail: with the pattern of the wire, which lets ids of
    nothing but zeros pass.
    """
    assert sampled(context) is None
    if context is not None:
        assert sampled_by([("traceparent", context.encode())]) is None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("ce_id", b"1")],
        [("traceparent", None)],
        [("traceparent", b"\xff" * 55)],
        [("traceparent", b"")],
    ],
)
def test_any_headers_may_come(headers: list[tuple[str, bytes | None]]) -> None:
    assert sampled_by(headers) is None


def test_of_a_batch_the_lowest_trace_ids_are_followed_whoever_looks() -> None:
    """Fails when those that come first are taken, which another service sees in another order."""
    found = [(traceparent(low=random.getrandbits(64)), number) for number in range(1000)]
    lowest = sorted(found, key=lambda one: int(one[0][19:35], 16))[:MOST_FOLLOWED]
    here = Choice(lambda: 0.0).of(found)
    elsewhere = Choice(lambda: 0.0).of(random.sample(found, len(found)))
    assert here == elsewhere == lowest


def test_so_many_are_followed_in_a_second_and_no_more() -> None:
    """Fails when batches are limited only by themselves: forty a second have 5,120 messages."""
    now = 0.0
    choice = Choice(lambda: now)
    found = [(traceparent(), number) for number in range(1000)]
    picked = 0
    for _ in range(400):
        now += 0.025
        picked += len(choice.of(found))
    assert picked <= MOST_A_SECOND * 10 + MOST_FOLLOWED
    assert picked > MOST_A_SECOND * 9


async def test_nothing_that_does_not_look_as_it_should_is_told_of_an_event() -> None:
    """Anybody may publish: `Zaphod` is no id, and no number."""
    forged = message(
        "DepositMoney",
        key=b"Zaphod",
        ce_id="Zaphod",
        ce_type="bank.Zaphod Beeblebrox",
        ce_slot="Zaphod",
        ce_slotseq="1" * 500,
        ce_commandid="Zaphod",
        traceparent=traceparent(),
    )
    assert published_event((forged.key, forged.value, forged.headers)) == {}
    ((record,),) = (await ScriptedConsumer([forged]).poll(1)).values()
    assert consumed_event(record) == {
        "messaging.destination.partition.id": "1",
        "messaging.kafka.offset": 0,
    }

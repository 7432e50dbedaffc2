"""Commands that are followed through the command service, whatever becomes of them."""

import asyncio
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from passbook.eventstore.errors import StoreUnavailable
from passbook.messaging.producer import PublishFailed
from passbook.tracing.batches import BatchTraces, Hop
from services.command_service.traces import described_command, sampled_command
from tests.support.messages import Message
from tests.support.spans import Recording, recording, traceparent
from tests.support.until import until
from tests.unit.services.deciding import Bank, ask


def followed(*polls: list[Message]) -> tuple[Bank, Recording]:
    made = recording()
    bank = Bank(*polls)
    hop = Hop.process("bank.commands", "bank.command-service")
    bank.service._traces = BatchTraces(hop, sampled_command, described_command, made.tracer)
    return bank, made


def told(made: Recording, context: str) -> ReadableSpan:
    (span,) = made.below(context)
    return span


def attributes(made: Recording, context: str) -> dict[str, object]:
    return dict(told(made, context).attributes or {})


def traced(asked: Message, context: str) -> Message:
    return asked._replace(headers=[*asked.headers, ("traceparent", context.encode())])


async def test_every_kind_of_answer_ends_a_span_and_none_is_an_error() -> None:
    account = uuid4()
    opened, refused, malformed, lost = (traceparent() for _ in range(4))
    bank, made = followed(
        [
            traced(ask("OpenAccount", account), opened),
            traced(ask("WithdrawMoney", account, amount="9000"), refused),
            traced(ask("DepositMoney", account, amount="1e3"), malformed),
            traced(ask("DepositMoney", "Zaphod", command_id="Zaphod"), lost),
            ask("DepositMoney", account),
        ]
    )
    async with bank.running():
        await bank.answered(4)
    assert attributes(made, opened)["passbook.outcome"] == "accepted"
    assert attributes(made, refused)["passbook.error.code"] == "insufficient_funds"
    assert attributes(made, malformed)["passbook.error.code"] == "malformed"
    assert attributes(made, lost)["passbook.outcome"] == "dead_letter"
    assert all(span.status.status_code is StatusCode.UNSET for span in made.spans)
    assert not any("Zaphod" in span.to_json() for span in made.spans)
    (batch,) = [span for span in made.spans if span.links and span.parent is None]
    assert len(batch.links) == 4
    assert len(made.named("eventstore.append")) == 5


async def test_a_refused_append_is_seen_and_what_is_decided_again_is_told() -> None:
    """The same command is under way twice: the second append is refused, and decided again by what is
    stored. Fails when the trace of the batch is not handed on to what is decided again.
    """
    first, second, third = traceparent(), traceparent(), traceparent()
    opening = ask("OpenAccount", uuid4())
    bank, made = followed([traced(opening, first)])
    bank.store.gate.clear()
    async with bank.running():
        await until(lambda: bank.store.waiting)
        bank.consumer.arrive(traced(opening, second), traced(ask("OpenAccount", uuid4()), third))
        await bank.consumer.taken()
        bank.store.gate.set()
        assert await bank.answered(3) == ["accepted"] * 3
    for context in (second, third):
        assert attributes(made, context)["passbook.outcome"] == "accepted"
        told_of = told(made, context)
        steps = [
            dict(span.attributes or {})
            for span in made.named("eventstore.append")
            if span.parent == told_of.context
        ]
        assert steps[0]["passbook.refused"] == "DuplicateCommand"
        assert "passbook.refused" not in steps[-1]
    assert all(span.status.status_code is StatusCode.UNSET for span in made.spans)


async def test_a_store_that_fails_is_an_error_of_the_span() -> None:
    context = traceparent()
    bank, made = followed([traced(ask("OpenAccount", uuid4()), context)])
    bank.store.failure = StoreUnavailable("it says 4711.42")
    with pytest.raises(StoreUnavailable):
        await bank.service.run(asyncio.Event())
    assert told(made, context).status.status_code is StatusCode.ERROR
    assert attributes(made, context)["error.type"] == "StoreUnavailable"
    assert not any("4711" in span.to_json() for span in made.spans)


async def test_an_answer_that_cannot_be_published_is_an_error_of_the_span() -> None:
    context = traceparent()
    bank, made = followed([traced(ask("OpenAccount", uuid4()), context)])
    bank.producer.fail = True
    with pytest.raises(PublishFailed):
        await bank.service.run(asyncio.Event())
    assert attributes(made, context)["error.type"] == "PublishFailed"

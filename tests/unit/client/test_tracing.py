"""The sender's trace goes on with a command, without asking anybody to have OpenTelemetry."""

from decimal import Decimal
from uuid import UUID

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from passbook.client import OutcomeUnknown, PassbookClient
from passbook.domain.commands import DepositMoney
from passbook.messaging.producer import PublishFailed
from tests.support.blocked import run_blocked
from tests.support.spans import Recording, recording, traceparent
from tests.unit.client.fake_bank import FakeBank

ACCOUNT = UUID("0199d5d0-0000-7000-8000-000000000001")
DEPOSIT = DepositMoney(ACCOUNT, Decimal("20.00"), "salary")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Recording:
    """Have the program that uses the library trace itself."""
    made = recording()
    monkeypatch.setattr(trace, "get_tracer", lambda *_: made.tracer)
    return made


def sent(bank: FakeBank) -> dict[str, str]:
    _, message = bank.published[-1]
    return message.context


async def test_a_command_carries_the_context_of_the_span_that_sends_it(
    client: PassbookClient, bank: FakeBank, made: Recording
) -> None:
    with made.tracer.start_as_current_span("checkout") as checkout:
        outcome = await client.execute(DEPOSIT)
        await client.send(DEPOSIT)
    first, second, _ = made.spans
    assert (first.name, first.kind) == ("send bank.commands", SpanKind.PRODUCER)
    assert first.parent == second.parent == checkout.get_span_context()
    assert first.attributes is not None
    assert first.attributes["messaging.message.id"] == str(outcome.command_id)
    assert first.attributes["messaging.kafka.message.key"] == str(ACCOUNT)
    assert second.context is not None
    assert sent(bank)["traceparent"] == (
        f"00-{second.context.trace_id:032x}-{second.context.span_id:016x}-01"
    )
    assert first.status.status_code is StatusCode.UNSET


async def test_a_context_that_the_caller_gives_is_passed_on_as_it_is(
    client: PassbookClient, bank: FakeBank, made: Recording
) -> None:
    given = traceparent()
    with made.tracer.start_as_current_span("checkout"):
        await client.execute(DEPOSIT, traceparent=given)
    assert sent(bank) == {"traceparent": given}
    assert [span.name for span in made.spans] == ["checkout"]


async def test_outside_of_a_trace_nothing_is_added(
    client: PassbookClient, bank: FakeBank, made: Recording
) -> None:
    await client.execute(DEPOSIT)
    assert sent(bank) == {}
    assert made.spans == ()


async def test_a_trace_that_is_not_sampled_goes_on_and_says_so(
    client: PassbookClient, bank: FakeBank, made: Recording
) -> None:
    above = SpanContext(7, 9, is_remote=True, trace_flags=TraceFlags(0))
    with trace.use_span(NonRecordingSpan(above)):
        await client.execute(DEPOSIT)
    version, trace_id, _, flags = sent(bank)["traceparent"].split("-")
    assert (version, int(trace_id, 16), flags) == ("00", 7, "00")
    assert made.spans == ()


async def test_a_command_that_may_not_have_arrived_is_a_failed_span(
    client: PassbookClient, made: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise PublishFailed("no broker")

    monkeypatch.setattr(client._outbox, "post", fail)
    with made.tracer.start_as_current_span("checkout"), pytest.raises(OutcomeUnknown):
        await client.send(DEPOSIT)
    span = made.spans[0]
    assert span.attributes is not None
    assert span.attributes["error.type"] == "PublishFailed"
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None


async def test_the_library_works_where_it_is_not_installed() -> None:
    code, _, errors = await run_blocked("import passbook.client, passbook.client.tracing")
    assert code == 0, errors

"""The spans of batches, as a tracer makes them."""

import pytest
from opentelemetry.trace import StatusCode

from passbook.eventstore.errors import SlotMoved, StoreUnavailable
from passbook.tracing.batches import BatchTraces, Hop
from passbook.tracing.following import MOST_FOLLOWED, sampled
from passbook.tracing.switch import ending
from tests.support.spans import Recording, recording, traceparent

NAME = "process bank.commands"


def following(made: Recording) -> BatchTraces[str]:
    """Return what follows messages that are nothing but their `traceparent`."""
    hop = Hop.process("bank.commands", "bank.command-service")
    return BatchTraces(hop, sampled, lambda context: {"passbook.flags": context[-2:]}, made.tracer)


def test_a_batch_without_a_sampled_message_has_no_spans() -> None:
    made = recording()
    assert following(made).begin([traceparent("00"), "", traceparent("02")]) is None
    assert made.spans == ()


def test_of_a_large_batch_128_are_linked_and_the_others_counted() -> None:
    """Fails when `Choice` is taken out: 1,000 spans, and OpenTelemetry drops links by itself."""
    made = recording()
    contexts = [traceparent() for _ in range(1000)]
    with ending(following(made).begin([*contexts, *[traceparent("00")] * 200])):
        pass
    batch = made.spans[-1]
    assert batch.parent is None
    assert len(batch.links) == MOST_FOLLOWED
    assert batch.attributes is not None
    assert batch.attributes["messaging.batch.message_count"] == 1200
    assert batch.attributes["passbook.batch.sampled"] == 1000
    assert batch.attributes["passbook.batch.not_followed"] == 1000 - MOST_FOLLOWED
    assert len(made.spans) == MOST_FOLLOWED + 1
    followed = {span.context.trace_id for span in made.spans[:-1] if span.context}
    assert followed == {link.context.trace_id for link in batch.links}


def test_a_step_of_the_batch_is_in_every_trace() -> None:
    made = recording()
    first, second = traceparent(), traceparent()
    trace = following(made).begin([first, second])
    assert trace is not None
    with ending(trace), trace.step("eventstore.append", {"db.system.name": "postgresql"}):
        pass
    steps = made.named("eventstore.append")
    parents = {span.context.span_id for span in made.named(NAME) if span.context}
    assert len(steps) == 3
    assert {step.parent.span_id for step in steps if step.parent} == parents


def test_a_failure_is_told_by_its_class_and_a_refusal_is_none() -> None:
    """Fails when the exception is recorded: its text has what somebody has sent."""
    made = recording()
    trace = following(made).begin([traceparent()])
    assert trace is not None
    with pytest.raises(SlotMoved), trace.step("append", {}, (SlotMoved,)):
        raise SlotMoved("1")
    refused = made.named("append")
    assert all(span.status.status_code is StatusCode.UNSET for span in refused)
    with pytest.raises(StoreUnavailable), ending(trace):
        raise StoreUnavailable("Zaphod's 4711.42")
    failed = made.named(NAME)
    assert len(failed) == 2
    for span in failed:
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes is not None
        assert span.attributes["error.type"] == "StoreUnavailable"
    assert not any("4711" in span.to_json() for span in made.spans)


def test_a_message_ends_with_its_result_and_the_batch_with_the_last_one() -> None:
    made = recording()
    first, second = traceparent(), traceparent()
    trace = following(made).begin([first, second])
    assert trace is not None
    trace.finish(lambda context: {"passbook.outcome": "accepted"} if context == first else None)
    assert [span.parent is None for span in made.spans] == [False]
    trace.finish(lambda _: {"passbook.outcome": "rejected"})
    assert [span.parent is None for span in made.spans] == [False, False, True]
    (span,) = made.below(second)
    assert span.attributes is not None
    assert span.attributes["passbook.outcome"] == "rejected"
    trace.end()
    assert len(made.spans) == 3


@pytest.mark.parametrize(
    ("sampler", "spans"),
    [
        ("parentbased_always_on", 2),
        ("parentbased_traceidratio", 2),
        ("always_off", 0),
        ("traceidratio", 0),
    ],
)
def test_a_batch_is_recorded_as_its_messages_are(
    monkeypatch: pytest.MonkeyPatch, sampler: str, spans: int
) -> None:
    """A root has no parent that a sampler could ask. Fails without `AsTheMessages`: by ratio, messages
    have spans and their batch has none.
    """
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.01")
    made = recording()
    with ending(following(made).begin([traceparent(low=2**63)])):
        pass
    assert len(made.spans) == spans

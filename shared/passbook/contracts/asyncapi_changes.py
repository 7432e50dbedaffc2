"""What a change of an AsyncAPI document does to those who speak to the bank through Kafka."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from passbook.contracts.changes import (
    Change,
    Changes,
    Direction,
    annotations,
    constants,
    named,
    others,
    part,
)
from passbook.contracts.schema_changes import compare_schemas

Document = Mapping[str, Any]

_DIRECTIONS: Final = {"receive": Direction.ACCEPTED, "send": Direction.SENT}
_FOR_EVER: Final = -1
_TOP: Final = frozenset(
    {"asyncapi", "info", "channels", "operations", "components", "defaultContentType"}
)
_CHANNEL: Final = frozenset({"address", "messages", "bindings"})
_OPERATION: Final = frozenset({"action", "channel", "messages", "reply", "bindings"})
_MESSAGE: Final = frozenset(
    {"headers", "payload", "bindings", "contentType", "correlationId", "name"}
)
_GROWING: Final = ("retention.ms", "retention.bytes", "max.message.bytes")
"""Settings of a topic that harm nobody by becoming larger; -1 is the largest."""


def compare_asyncapi(old: Document, new: Document) -> list[Change]:
    """Return the differences of two documents."""
    return list(_Documents(old, new).compare())


class _Documents:
    def __init__(self, old: Document, new: Document) -> None:
        self._old = old
        self._new = new

    def compare(self) -> Changes:
        old, new = self._old, self._new
        yield from constants(old, new, "asyncapi", "defaultContentType")
        if old.get("info") != new.get("info"):
            yield Change.additive("info", "worded anew")
        yield from part(old, new, "channels", partial(named, compare=self._channel, what="channel"))
        operations = partial(named, compare=self._operation, what="operation")
        yield from part(old, new, "operations", operations)
        yield from self._messages()
        yield from others(old, new, _TOP)

    def _channel(self, old: Document, new: Document) -> Changes:
        yield from annotations(old, new)
        yield from constants(old, new, "address")
        messages = partial(named, compare=constants, what="message")
        yield from part(old, new, "messages", messages)
        yield from part(old, new, "bindings", partial(named, compare=_topic))
        yield from others(old, new, _CHANNEL)

    def _operation(self, old: Document, new: Document) -> Changes:
        yield from annotations(old, new)
        yield from constants(old, new, "action", "channel")
        before, after = _references(old), _references(new)
        for name in sorted(before - after):
            yield Change.breaking("messages", f"{name} is gone")
        for name in sorted(after - before):
            yield Change.additive("messages", f"{name} is new")
        yield from named(*_picked(old, new, "reply"), compare=lambda a, b: constants(a, b, *a, *b))
        if old.get("bindings") != new.get("bindings"):
            # The group in which we read is nobody else's business.
            yield Change.additive("bindings", "changed")
        yield from others(old, new, _OPERATION)

    def _messages(self) -> Changes:
        """Every message with the direction of the operation that carries it; one that is carried no
        more was told with its channel.
        """
        for operation, stated in self._old.get("operations", {}).items():
            direction = _DIRECTIONS.get(stated.get("action"), Direction.SENT)
            if operation not in self._new.get("operations", {}):
                continue
            after = _by_name(self._new, self._new["operations"][operation])
            for name, before in _by_name(self._old, stated).items():
                if name in after:
                    for change in self._message(before, after[name], direction):
                        yield change.within(f"{operation}/{name}")

    def _message(self, old: Document, new: Document, direction: Direction) -> Changes:
        yield from annotations(old, new)
        yield from constants(old, new, "contentType", "correlationId", "name")
        schemas = partial(
            compare_schemas, direction=direction, old_document=self._old, new_document=self._new
        )
        yield from part(old, new, "headers", schemas)
        yield from part(old, new, "payload", schemas)
        old_key, new_key = (one.get("bindings", {}).get("kafka", {}) for one in (old, new))
        for change in part(old_key, new_key, "key", schemas):
            yield change.within("bindings/kafka")
        yield from others(old, new, _MESSAGE)


def _topic(old: Document, new: Document) -> Changes:
    yield from constants(old, new, "topic", "partitions", "replicas")
    before, after = old.get("topicConfiguration", {}), new.get("topicConfiguration", {})
    for name in sorted(before.keys() | after.keys()):
        where = f"topicConfiguration/{name}"
        one, other = before.get(name), after.get(name)
        if one == other:
            continue
        larger = name in _GROWING and one is not None and (other == _FOR_EVER or _more(one, other))
        change = Change.additive if one is None or larger else Change.breaking
        yield change(where, f"{one} became {other}")


def _more(one: int, other: int | None) -> bool:
    return other is not None and one != _FOR_EVER and other > one


def _references(operation: Document) -> set[str]:
    return {one["$ref"].rpartition("/")[2] for one in operation.get("messages", [])}


def _by_name(document: Document, operation: Document) -> dict[str, Document]:
    """The messages of an operation; one that points nowhere is told with its channel."""
    messages = document.get("components", {}).get("messages", {})
    return {name: messages[name] for name in _references(operation) if name in messages}


def _picked(old: Document, new: Document, name: str) -> tuple[Document, Document]:
    """Both with nothing but one part, so that it can be gone or new."""
    before, after = ({name: one[name]} if name in one else {} for one in (old, new))
    return before, after

"""What is said twice: attributes with two values, and fields of JSON."""

import pytest

from passbook.messaging.cloudevents import Header
from passbook.messaging.repetitions import contradicted_headers, repeated_field


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("ce_id", b"1"), ("ce_type", b"a")], set()),
        ([("ce_id", b"1"), ("ce_id", b"1")], set()),
        ([("traceparent", b"1"), ("traceparent", b"2")], set()),
        ([("ce_id", b"1"), ("ce_id", b"2")], {"ce_id"}),
        ([("ce_id", b"1"), ("ce_id", b"2"), ("ce_id", b"1")], {"ce_id"}),
        (
            [("ce_id", b"1"), ("ce_type", b"a"), ("ce_id", b"2"), ("ce_type", b"b")],
            {"ce_id", "ce_type"},
        ),
    ],
)
def test_attributes_with_two_values_are_found(headers: list[Header], expected: set[str]) -> None:
    assert contradicted_headers(headers, dict(headers)) == expected


@pytest.mark.parametrize(
    ("value", "fields", "expected"),
    [
        (b'{"a": "1", "b": "2"}', 2, None),
        (b'{"a": "1:2:3", "b": "::"}', 2, None),
        (b'{"a": "1", "a": "2"}', 1, "a"),
        (b'{"a": "1", "a": "1"}', 1, "a"),
        (rb'{"a": "1", "\u0061": "2"}', 1, "a"),
        (b'{"b": ":", "a": "1", "a" : "2"}', 2, "a"),
    ],
)
def test_fields_that_come_twice_are_found(value: bytes, fields: int, expected: str | None) -> None:
    assert repeated_field(value, fields) == expected

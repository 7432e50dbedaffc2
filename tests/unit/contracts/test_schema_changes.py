"""Which change of a schema breaks whom: what we accept may only widen, what we send only narrow."""

from typing import Any, Final

import pytest

from passbook.contracts.changes import Direction
from passbook.contracts.schema_changes import compare_schemas

WIDER: Final = "wider"
NARROWER: Final = "narrower"
BOTH: Final = "both"
NEITHER: Final = "neither"

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_NULL: Final[dict[str, Any]] = {"type": "null"}
_ONE_FIELD: Final[dict[str, Any]] = {"type": "object", "properties": {"a": _TEXT}}
_MUST: Final[dict[str, Any]] = {**_ONE_FIELD, "required": ["a"]}
_TWO_FIELDS: Final[dict[str, Any]] = {"type": "object", "properties": {"a": _TEXT, "b": _TEXT}}

CASES: Final[dict[str, tuple[Any, Any, str]]] = {
    "a type more": (_TEXT, {"type": ["string", "null"]}, WIDER),
    "another type": (_TEXT, {"type": "integer"}, BOTH),
    "any number": ({"type": "integer"}, {"type": "number"}, WIDER),
    "any type": (_TEXT, {}, WIDER),
    "a constant more": ({"enum": ["a"]}, {"enum": ["a", "b"]}, WIDER),
    "any constant": ({"enum": ["a"]}, {}, WIDER),
    "another constant": ({"const": "a"}, {"const": "b"}, BOTH),
    "a constant of several": ({"enum": ["a", "b"]}, {"const": "a"}, NARROWER),
    "a pattern": (_TEXT, {"pattern": "^a$"}, BOTH),
    "a pattern for text": (_TEXT, {**_TEXT, "pattern": "^a$"}, NARROWER),
    "another pattern": ({"pattern": "^a$"}, {"pattern": "^b$"}, BOTH),
    "a pattern that will do, too": (
        {**_TEXT, "pattern": "^a$"},
        {"anyOf": [{**_TEXT, "pattern": "^a$"}, {**_TEXT, "pattern": "^b$"}]},
        WIDER,
    ),
    "no pattern": ({"pattern": "^a$"}, {}, WIDER),
    "a format": ({}, {"format": "uuid"}, NARROWER),
    "another format": ({"format": "uuid"}, {"format": "date"}, BOTH),
    "a longer text": ({"maxLength": 1}, {"maxLength": 2}, WIDER),
    "any length": ({"maxLength": 1}, {}, WIDER),
    "a text of a length": ({}, {"minLength": 1}, NARROWER),
    "a lower limit that is lower": ({"minimum": 1}, {"minimum": 0}, WIDER),
    "a limit that is out": ({"maximum": 1}, {"exclusiveMaximum": 1}, BOTH),
    "fewer things": ({"maxItems": 2}, {"maxItems": 1}, NARROWER),
    "different things": ({}, {"uniqueItems": True}, NARROWER),
    "a field that must be there": (_ONE_FIELD, _MUST, NARROWER),
    "a field that may be missing": (_MUST, _ONE_FIELD, WIDER),
    "a field more": (_ONE_FIELD, _TWO_FIELDS, NEITHER),
    "a field more that must be there": (
        _ONE_FIELD,
        {**_TWO_FIELDS, "required": ["b"]},
        NARROWER,
    ),
    "a field more where nothing else is let in": (
        {**_ONE_FIELD, "additionalProperties": False},
        {**_TWO_FIELDS, "additionalProperties": False},
        WIDER,
    ),
    "a field that is gone": (_TWO_FIELDS, _ONE_FIELD, BOTH),
    "a field within that is wider": (
        {"properties": {"a": _MUST}},
        {"properties": {"a": _ONE_FIELD}},
        WIDER,
    ),
    "nothing else is let in": (_ONE_FIELD, {**_ONE_FIELD, "additionalProperties": False}, NARROWER),
    "something else is let in": (
        {"additionalProperties": False},
        {"additionalProperties": True},
        WIDER,
    ),
    "longer things": ({"items": {"maxLength": 1}}, {"items": {"maxLength": 2}}, WIDER),
    "a choice more": ({"anyOf": [_TEXT]}, {"anyOf": [_TEXT, _NULL]}, WIDER),
    "a choice less": ({"anyOf": [_TEXT, _NULL]}, {"anyOf": [_NULL]}, NARROWER),
    "a choice instead of one thing": (_TEXT, {"anyOf": [_TEXT, _NULL]}, WIDER),
    "one thing instead of a choice": ({"anyOf": [_TEXT, _NULL]}, _TEXT, NARROWER),
    "a choice that is wider": (
        {"oneOf": [_NULL, {"maxLength": 1}]},
        {"oneOf": [{"maxLength": 2}, _NULL]},
        WIDER,
    ),
    "choices in another order": ({"anyOf": [_TEXT, _NULL]}, {"anyOf": [_NULL, _TEXT]}, NEITHER),
    "a part that is narrower": ({"allOf": [_TEXT]}, {"allOf": [{"const": "a"}]}, BOTH),
    "a part more": ({"allOf": [_TEXT]}, {"allOf": [_TEXT, {"maxLength": 1}]}, BOTH),
    "nothing at all": (_TEXT, False, NARROWER),
    "everything": (_TEXT, True, WIDER),
    "another name": ({"$id": "urn:a"}, {"$id": "urn:b"}, BOTH),
    "what is not known here": ({}, {"dependentRequired": {"a": ["b"]}}, BOTH),
    "words": (
        {"description": "a", "title": "A", "examples": ["a"], "deprecated": False},
        {"description": "b", "title": "B", "examples": ["b"], "deprecated": True},
        NEITHER,
    ),
    "a default": ({}, {"default": 1}, NEITHER),
}

_ONE_WAY: Final = {
    "a field more",
    "a field more that must be there",
    "a field more where nothing else is let in",
    "a field that is gone",
    "a default",
}
"""Whatever is taken away breaks, whoever writes it."""
_UNSEEN: Final = {"choices in another order"}


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("case", CASES)
def test_a_change_breaks_in_the_direction_in_which_it_harms(
    case: str, direction: Direction
) -> None:
    old, new, way = CASES[case]
    harmful = {NARROWER, BOTH} if direction is Direction.ACCEPTED else {WIDER, BOTH}
    assert _breaks(old, new, direction) is (way in harmful)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("case", [case for case in CASES if case not in _ONE_WAY])
def test_the_way_back_breaks_in_the_other_direction(case: str, direction: Direction) -> None:
    new, old, way = CASES[case]
    harmful = {WIDER, BOTH} if direction is Direction.ACCEPTED else {NARROWER, BOTH}
    assert _breaks(old, new, direction) is (way in harmful)


@pytest.mark.parametrize("case", [case for case in CASES if case not in _UNSEEN])
def test_no_change_goes_unmentioned(case: str) -> None:
    old, new, _ = CASES[case]
    assert compare_schemas(old, new, Direction.SENT)
    assert compare_schemas(old, old, Direction.SENT) == []


@pytest.mark.parametrize("direction", Direction)
def test_a_field_that_is_taken_away_breaks_whoever_relies_on_it(direction: Direction) -> None:
    assert _breaks(_TWO_FIELDS, _ONE_FIELD, direction)
    assert not _breaks(_ONE_FIELD, _TWO_FIELDS, direction)


def test_another_default_changes_what_those_mean_who_leave_it_out() -> None:
    assert _breaks({"default": 1}, {"default": 2}, Direction.ACCEPTED)
    assert _breaks({"default": 1}, {}, Direction.ACCEPTED)
    assert not _breaks({"default": 1}, {"default": 2}, Direction.SENT)


def test_references_are_followed_also_where_a_schema_contains_itself() -> None:
    def tree(limit: int) -> dict[str, Any]:
        children = {"type": "array", "items": {"$ref": "#/$defs/tree"}}
        node = {"properties": {"name": {"maxLength": limit}, "children": children}}
        return {"$defs": {"tree": node}, "$ref": "#/$defs/tree"}

    old, new = tree(2), tree(1)
    (change,) = compare_schemas(old, new, Direction.ACCEPTED, old, new)
    assert (change.kind, change.where) == ("breaking", "properties/name/maxLength")
    assert compare_schemas(old, old, Direction.ACCEPTED, old, old) == []


def test_a_change_says_where_it_is_and_what_it_was() -> None:
    old = {"properties": {"amount": {"anyOf": [{"maxLength": 3}, _NULL]}}}
    new = {"properties": {"amount": {"anyOf": [{"maxLength": 2}, _NULL]}}}
    (change,) = compare_schemas(old, new, Direction.ACCEPTED)
    assert str(change) == "properties/amount/anyOf/0/maxLength: 3 became 2"


def _breaks(old: Any, new: Any, direction: Direction) -> bool:
    return any(change.kind == "breaking" for change in compare_schemas(old, new, direction))

"""No change that breaks somebody is taken for harmless: compared with what a validator says of values.

Seen to fail: with any one line taken out of `_values`, `_limits` or `_required`.
"""

from collections.abc import Iterator
from typing import Any, Final

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from passbook.contracts.changes import Direction
from passbook.contracts.schema_changes import compare_schemas

_TYPES: Final = ("null", "boolean", "integer", "number", "string", "object")
_FIELDS: Final = ("a", "b", "c")

_numbers = st.integers(0, 4)
_plain = st.one_of(
    st.none(),
    st.booleans(),
    _numbers,
    st.sampled_from([0.5, 2.5]),
    st.text("ab", max_size=4),
)
_leaves = st.fixed_dictionaries(
    {},
    optional={
        "type": st.one_of(
            st.sampled_from(_TYPES), st.lists(st.sampled_from(_TYPES), min_size=1, unique=True)
        ),
        "enum": st.lists(_plain, min_size=1, max_size=3),
        "const": _plain,
        "pattern": st.sampled_from(["^a", "b$"]),
        **dict.fromkeys(("minLength", "maxLength", "minimum", "exclusiveMaximum"), _numbers),
    },
)
_schemas = st.one_of(
    _leaves,
    st.booleans(),
    st.builds(lambda branches: {"anyOf": branches}, st.lists(_leaves, min_size=1, max_size=3)),
    st.builds(lambda parts: {"allOf": parts}, st.lists(_leaves, min_size=1, max_size=2)),
)
_objects = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(st.sampled_from(_FIELDS), _schemas)},
    optional={
        "required": st.lists(st.sampled_from(_FIELDS), unique=True),
        "additionalProperties": st.one_of(st.booleans(), _leaves),
    },
)
_values = st.one_of(_plain, st.dictionaries(st.sampled_from(_FIELDS), _plain))


def _nearby(schema: Any) -> st.SearchStrategy[Any]:
    """The same schema with one keyword taken out or another value in it, or any other one."""
    if not isinstance(schema, dict) or not schema:
        return _schemas
    edits = [{key: schema[key] for key in schema if key != gone} for gone in schema]
    return st.one_of(st.sampled_from(edits), _leaves.map(lambda leaf: schema | leaf), _schemas)


@settings(max_examples=500, deadline=None)
@given(
    pair=_schemas.flatmap(lambda old: st.tuples(st.just(old), _nearby(old))),
    values=st.lists(_values, min_size=1, max_size=12),
)
def test_what_was_valid_stays_valid_unless_the_change_is_called_breaking(
    pair: tuple[Any, Any], values: list[Any]
) -> None:
    _check(*pair, values)


@settings(max_examples=500, deadline=None)
@given(old=_objects, new=_objects, values=st.lists(_values, min_size=1, max_size=12))
def test_the_same_holds_for_fields(
    old: dict[str, Any], new: dict[str, Any], values: list[Any]
) -> None:
    """By agreement a new field is no change for the worse, though an object that lets in anything
    had it before, with any value.
    """
    known = old["properties"].keys() & new["properties"].keys()
    values = [value for value in values if not isinstance(value, dict) or value.keys() <= known]
    assume(values)
    _check(old, new, values)


def _check(old: Any, new: Any, values: list[Any]) -> None:
    before, after = Draft202012Validator(old), Draft202012Validator(new)
    for value in values:
        was, is_ = before.is_valid(value), after.is_valid(value)
        if was and not is_:
            assert "breaking" in set(_kinds(old, new, Direction.ACCEPTED)), value
        if is_ and not was:
            assert "breaking" in set(_kinds(old, new, Direction.SENT)), value


def _kinds(old: Any, new: Any, direction: Direction) -> Iterator[str]:
    return (change.kind for change in compare_schemas(old, new, direction))

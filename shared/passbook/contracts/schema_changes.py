"""What a change of a JSON Schema does to those who rely on it.

What we accept may only become wider, what we send only narrower: then whoever kept to the old
schema is still understood, and still understands. Each keyword says in which way it changed; one
that is not known here may have changed in both.

Patterns cannot be compared, so another one has changed in both. One that became wider is said as a
choice (`anyOf`) of the old one and the new one.
"""

from collections.abc import Iterator, Mapping
from enum import Flag, auto
from typing import Any, Final

from passbook.contracts.changes import (
    Change,
    Changes,
    Direction,
    annotations,
    is_annotation,
    resolve,
)

_OPEN_ENDED: Final = float("inf")
_UPPER: Final = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
_LOWER: Final = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
_TYPES: Final = frozenset({"null", "boolean", "object", "array", "number", "integer", "string"})


class _Way(Flag):
    """What became of the set of values that a keyword lets through."""

    WIDER = auto()
    NARROWER = auto()
    OTHER = WIDER | NARROWER


_Found = Iterator[tuple[str, _Way | None, str]]
"""(where, way, what): the way is None where a change breaks or not whatever the direction is."""


def compare_schemas(
    old: Any,
    new: Any,
    direction: Direction,
    old_document: Mapping[str, Any] | None = None,
    new_document: Mapping[str, Any] | None = None,
) -> list[Change]:
    """Return the differences of two schemas; `$ref` points into the documents they are from."""
    pair = _Pair(direction, old_document or {}, new_document or {})
    return list(pair.compare(old, new))


class _Pair:
    """Compares schemas of two documents; remembers what it is inside of, as a schema may contain
    itself.
    """

    def __init__(
        self, direction: Direction, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> None:
        self._direction = direction
        self._documents = old, new
        self._inside: set[tuple[str, str]] = set()

    def compare(self, old: Any, new: Any) -> Changes:
        references = str(_reference(old)), str(_reference(new))
        if references in self._inside:
            return
        if references != ("", ""):
            self._inside.add(references)
        old, new = resolve(self._documents[0], old), resolve(self._documents[1], new)
        try:
            if isinstance(old, bool) or isinstance(new, bool):
                yield from self._compare_boolean(old, new)
            elif old != new or "$ref" in str(old):
                yield from self._compare(*_alike(old, new))
        finally:
            self._inside.discard(references)

    def _compare_boolean(self, old: Any, new: Any) -> Changes:
        """`true` lets everything through, as `{}` does, and `false` nothing."""
        if False not in (old, new):
            yield from self.compare({} if old is True else old, {} if new is True else new)
        elif old is not new:
            yield self._judge("", _Way.WIDER if old is False else _Way.NARROWER, "another schema")

    def _compare(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
        yield from annotations(old, new)
        for where, way, what in (*_values(old, new), *_limits(old, new), *_required(old, new)):
            yield self._judge(where, way, what)
        yield from self._properties(old, new)
        yield from self._nested(old, new)
        yield from self._branches(old, new)
        yield from self._default(old, new)
        for name in sorted((old.keys() | new.keys()) - _KNOWN):
            if not is_annotation(name) and old.get(name) != new.get(name):
                yield self._judge(name, _Way.OTHER, "changed")

    def _properties(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
        before, after = old.get("properties", {}), new.get("properties", {})
        closed = old.get("additionalProperties") is False
        for name in sorted(before.keys() - after.keys()):
            yield Change.breaking(f"properties/{name}", "the field is gone")
        for name in sorted(after.keys() - before.keys()):
            # Whoever reads what we send was told that nothing else would come.
            way = _Way.WIDER if closed else None
            yield self._judge(f"properties/{name}", way, "a new field")
        for name in sorted(before.keys() & after.keys()):
            yield from self._within(f"properties/{name}", before[name], after[name])

    def _nested(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
        for name in ("items", "additionalProperties", "propertyNames"):
            before, after = old.get(name, True), new.get(name, True)
            if before != after:
                yield from self._within(name, before, after)
        before, after = old.get("allOf", []), new.get("allOf", [])
        if len(before) == len(after):
            for number, both in enumerate(zip(before, after, strict=True)):
                yield from self._within(f"allOf/{number}", *both)
        else:
            yield self._judge("allOf", _Way.OTHER, "changed")

    def _branches(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
        for name in ("anyOf", "oneOf"):
            if (name in old) != (name in new):
                way = _Way.WIDER if name in old else _Way.NARROWER
                yield self._judge(name, way, "no choice any more" if name in old else "a choice")
                continue
            before, after = list(old.get(name, ())), list(new.get(name, ()))
            for branch in list(before):
                equal = (one for one in after if not any(self.compare(branch, one)))
                if (found := next(equal, None)) is not None:
                    before.remove(branch)
                    after.remove(found)
            for number, (one, other) in enumerate(zip(before, after, strict=False)):
                yield from self._within(f"{name}/{number}", one, other)
            for _ in after[len(before) :]:
                yield self._judge(name, _Way.WIDER, "one more choice")
            for _ in before[len(after) :]:
                yield self._judge(name, _Way.NARROWER, "one choice less")

    def _default(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
        if old.get("default") == new.get("default"):
            return
        if "default" in old and self._direction is Direction.ACCEPTED:
            yield Change.breaking("default", "another value when it is left out")
        else:
            yield Change.additive("default", "changed")

    def _within(self, name: str, old: Any, new: Any) -> Changes:
        for change in self.compare(old, new):
            yield change.within(name)

    def _judge(self, where: str, way: _Way | None, what: str) -> Change:
        harmful = _Way.NARROWER if self._direction is Direction.ACCEPTED else _Way.WIDER
        if way is not None and harmful in way:
            return Change.breaking(where, what)
        return Change.additive(where, what)


def _alike(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return both; where only one is a choice and nothing else, the other one is made its own only
    choice.
    """
    for name in ("anyOf", "oneOf"):
        if name in old and name not in new and _only(old, name):
            return old, _as_choice(new, name)
        if name in new and name not in old and _only(new, name):
            return _as_choice(old, name), new
    return old, new


def _only(schema: Mapping[str, Any], name: str) -> bool:
    return all(other == name or is_annotation(other) or other == "default" for other in schema)


def _as_choice(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    said = {key: value for key, value in schema.items() if is_annotation(key) or key == "default"}
    return {**said, name: [{key: schema[key] for key in schema if key not in said}]}


def _reference(schema: Any) -> str:
    return str(schema["$ref"]) if isinstance(schema, Mapping) and "$ref" in schema else ""


def _values(old: Mapping[str, Any], new: Mapping[str, Any]) -> _Found:
    for name, values in (("type", _types), ("enum", _constants)):
        before, after = values(old), values(new)
        if before != after:
            yield name, _sets(before, after), f"{_listed(before)} became {_listed(after)}"
    for name in ("pattern", "format", "uniqueItems", "contentMediaType", "contentEncoding"):
        before, after = old.get(name, False), new.get(name, False)
        if before == after:
            continue
        if before is False:
            yield name, _Way.NARROWER, f"must be {after}"
        elif after is False:
            yield name, _Way.WIDER, "anything will do"
        else:
            yield name, _Way.OTHER, f"{before} became {after}"


def _limits(old: Mapping[str, Any], new: Mapping[str, Any]) -> _Found:
    for names, nothing, higher in (
        (_UPPER, _OPEN_ENDED, _Way.WIDER),
        (_LOWER, -_OPEN_ENDED, _Way.NARROWER),
    ):
        for name in names:
            before, after = old.get(name, nothing), new.get(name, nothing)
            if before != after:
                way = higher if after > before else _Way.OTHER & ~higher
                yield name, way, f"{before} became {after}"


def _required(old: Mapping[str, Any], new: Mapping[str, Any]) -> _Found:
    before, after = set(old.get("required", [])), set(new.get("required", []))
    for name in sorted(after - before):
        yield f"required/{name}", _Way.NARROWER, "the field must be there now"
    for name in sorted(before - after):
        yield f"required/{name}", _Way.WIDER, "the field may be missing now"


def _types(schema: Mapping[str, Any]) -> frozenset[str] | None:
    if "type" not in schema:
        return _TYPES
    stated = schema["type"]
    types = {stated} if isinstance(stated, str) else set(stated)
    return frozenset(types | {"integer"} if "number" in types else types)


def _constants(schema: Mapping[str, Any]) -> frozenset[str] | None:
    lists = [[schema["const"]]] if "const" in schema else []
    lists += [schema["enum"]] if "enum" in schema else []
    named = [frozenset(map(ascii, values)) for values in lists]
    return frozenset.intersection(*named) if named else None


def _sets(before: frozenset[str] | None, after: frozenset[str] | None) -> _Way:
    """None stands for everything."""
    if after is None or (before is not None and before < after):
        return _Way.WIDER
    return _Way.NARROWER if before is None or after < before else _Way.OTHER


def _listed(values: frozenset[str] | None) -> str:
    return "anything" if values in (None, _TYPES) else ", ".join(sorted(values or ()))


_KNOWN: Final = frozenset(
    {
        *("type", "enum", "const", "pattern", "format", "uniqueItems"),
        *("contentMediaType", "contentEncoding"),
        *_UPPER,
        *_LOWER,
        *("required", "properties", "items", "additionalProperties", "propertyNames"),
        *("allOf", "anyOf", "oneOf", "default", "$defs", "definitions", "$ref"),
    }
)

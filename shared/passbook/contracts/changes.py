"""What a change of a contract does to those who rely on it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, Literal, NamedTuple, Self


class Direction(Enum):
    """Who writes what a schema describes: others, and we accept it, or we, and others read it."""

    ACCEPTED = "accepted"
    SENT = "sent"


class Change(NamedTuple):
    """One difference. `where` is a path of names in the document; `kind` says whether somebody who
    kept to the old document can go on as he is (additive) or not (breaking).
    """

    where: str
    what: str
    kind: Literal["additive", "breaking"]

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"

    @classmethod
    def additive(cls, where: str, what: str) -> Self:
        """Return a change that harms nobody."""
        return cls(where, what, "additive")

    @classmethod
    def breaking(cls, where: str, what: str) -> Self:
        """Return a change that somebody has to follow."""
        return cls(where, what, "breaking")

    def within(self, name: str) -> Self:
        """Return the change as seen from the document that has the compared part under `name`."""
        return self._replace(where=f"{name}/{self.where}" if self.where else name)


Changes = Iterator[Change]
Compare = Callable[[Any, Any], Iterable[Change]]

ANNOTATIONS: Final = frozenset(
    {
        "title",
        "summary",
        "description",
        "examples",
        "example",
        "externalDocs",
        "tags",
        "deprecated",
        "$comment",
    }
)
"""What is said for people: it may be worded anew."""


def is_annotation(name: str) -> bool:
    """Tell whether a name in a document says something to people only."""
    return name in ANNOTATIONS or name.startswith("x-")


def annotations(old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
    """Yield what was worded anew."""
    for name in sorted(old.keys() | new.keys()):
        if is_annotation(name) and old.get(name) != new.get(name):
            yield Change.additive(name, "worded anew")


def constants(old: Mapping[str, Any], new: Mapping[str, Any], *names: str) -> Changes:
    """Yield which of these parts are not the same any more."""
    for name in names:
        if old.get(name) != new.get(name):
            yield Change.breaking(name, f"{_shown(old.get(name))} became {_shown(new.get(name))}")


def named(
    old: Mapping[str, Any], new: Mapping[str, Any], compare: Compare, what: str = ""
) -> Changes:
    """Yield what happened to parts that have names: one that is gone breaks, a new one does not."""
    for name in sorted(old.keys() - new.keys()):
        yield Change.breaking(name, f"{what or 'it'} is gone")
    for name in sorted(new.keys() - old.keys()):
        yield Change.additive(name, f"a new {what}" if what else "it is new")
    for name in sorted(old.keys() & new.keys()):
        for change in compare(old[name], new[name]):
            yield change.within(name)


def part(old: Mapping[str, Any], new: Mapping[str, Any], name: str, compare: Compare) -> Changes:
    """Yield what happened to the part `name`, which is empty where it is missing."""
    for change in compare(old.get(name, {}), new.get(name, {})):
        yield change.within(name)


def others(old: Mapping[str, Any], new: Mapping[str, Any], known: frozenset[str]) -> Changes:
    """Yield what happened to parts of which nothing is known: any difference may break somebody."""
    rest = {
        name for name in old.keys() | new.keys() if name not in known and not is_annotation(name)
    }
    yield from constants(old, new, *sorted(rest))


def resolve(document: Mapping[str, Any], node: Any) -> Any:
    """Return what a node stands for: itself, or what its `$ref` within the document points to.

    Raises:
        KeyError: it points nowhere.
    """
    while isinstance(node, Mapping) and "$ref" in node:
        target: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        beside = {name: value for name, value in node.items() if name != "$ref"}
        node = {**target, **beside} if beside else target
    return node


def _shown(value: Any) -> str:
    return "nothing" if value is None else ascii(value)[:80]

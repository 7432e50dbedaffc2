"""What a change of an OpenAPI document does to those who speak to the bank over HTTP."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from passbook.contracts.changes import (
    Change,
    Changes,
    Direction,
    annotations,
    constants,
    is_annotation,
    named,
    others,
    part,
    resolve,
)
from passbook.contracts.schema_changes import compare_schemas

Document = Mapping[str, Any]

_TOP: Final = frozenset({"openapi", "info", "paths", "components", "security", "servers"})
_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_OPERATION: Final = frozenset({"operationId", "parameters", "requestBody", "responses", "security"})
_PARAMETER: Final = frozenset({"name", "in", "required", "schema"})
_ANYBODY: Final = "{}"


def compare_openapi(old: Document, new: Document) -> list[Change]:
    """Return the differences of two documents."""
    return list(_Documents(old, new).compare())


class _Documents:
    def __init__(self, old: Document, new: Document) -> None:
        self._old = old
        self._new = new

    def compare(self) -> Changes:
        old, new = self._old, self._new
        yield from constants(old, new, "openapi")
        for name in ("info", "servers"):
            if old.get(name) != new.get(name):
                yield Change.additive(name, "worded anew")
        yield from part(old, new, "paths", partial(named, compare=self._path, what="route"))
        schemes = partial(named, compare=lambda a, b: constants(a, b, *sorted({*a, *b})))
        yield from part(
            old.get("components", {}), new.get("components", {}), "securitySchemes", schemes
        )
        yield from annotations(old, new)
        yield from others(old, new, _TOP)

    def _path(self, old: Document, new: Document) -> Changes:
        before, after = (
            {method: self._operation_of(one, method) for method in _METHODS if method in one}
            for one in (old, new)
        )
        yield from named(before, after, self._operation, "method")

    def _operation_of(self, path: Document, method: str) -> Document:
        """Return an operation together with what its path says for all of them."""
        operation = dict(path[method])
        operation["parameters"] = [*path.get("parameters", ()), *operation.get("parameters", ())]
        return operation

    def _operation(self, old: Document, new: Document) -> Changes:
        yield from annotations(old, new)
        yield from constants(old, new, "operationId")
        yield from self._parameters(old["parameters"], new["parameters"])
        yield from self._body(old, new)
        responses = partial(named, compare=self._response, what="status")
        yield from part(old, new, "responses", responses)
        before, after = self._alternatives(self._old, old), self._alternatives(self._new, new)
        if gone := before - after:
            yield Change.breaking("security", f"{', '.join(sorted(gone))} will not do any more")
        if more := after - before:
            yield Change.additive("security", f"{', '.join(sorted(more))} will do")
        yield from others(old, new, _OPERATION)

    def _alternatives(self, document: Document, operation: Document) -> set[str]:
        stated = operation.get("security", document.get("security", []))
        return {_alternative(one) for one in stated} or {_ANYBODY}

    def _parameters(self, old: list[Any], new: list[Any]) -> Changes:
        before, after = (
            {
                f"{one['in']} {one['name']}": one
                for one in (resolve(document, one) for one in stated)
            }
            for document, stated in ((self._old, old), (self._new, new))
        )
        for name in sorted(after.keys() - before.keys()):
            made = Change.breaking if after[name].get("required") else Change.additive
            yield made(f"parameters/{name}", "a new parameter")
        kept = {name: after[name] for name in after.keys() & before.keys()}
        for change in named(before, kept, self._parameter, "parameter"):
            yield change.within("parameters")

    def _parameter(self, old: Document, new: Document) -> Changes:
        yield from annotations(old, new)
        yield from _obligation(old, new)
        yield from part(old, new, "schema", self._schemas(Direction.ACCEPTED))
        yield from others(old, new, _PARAMETER)

    def _body(self, old: Document, new: Document) -> Changes:
        before, after = (
            resolve(document, one.get("requestBody", {}))
            for document, one in ((self._old, old), (self._new, new))
        )
        for change in (
            *annotations(before, after),
            *_obligation(before, after),
            *self._content(before, after, Direction.ACCEPTED),
        ):
            yield change.within("requestBody")

    def _response(self, old: Document, new: Document) -> Changes:
        old, new = resolve(self._old, old), resolve(self._new, new)
        yield from annotations(old, new)
        yield from self._content(old, new, Direction.SENT)
        yield from part(old, new, "headers", partial(named, compare=self._header, what="header"))
        yield from others(old, new, frozenset({"content", "headers", "links"}))

    def _header(self, old: Document, new: Document) -> Changes:
        old, new = resolve(self._old, old), resolve(self._new, new)
        yield from annotations(old, new)
        if old.get("required") and not new.get("required"):
            yield Change.breaking("required", "it may be missing now")
        yield from part(old, new, "schema", self._schemas(Direction.SENT))
        yield from others(old, new, frozenset({"required", "schema"}))

    def _content(self, old: Document, new: Document, direction: Direction) -> Changes:
        def media(before: Document, after: Document) -> Changes:
            yield from part(before, after, "schema", self._schemas(direction))
            yield from others(before, after, frozenset({"schema"}))

        yield from part(old, new, "content", partial(named, compare=media, what="media type"))

    def _schemas(self, direction: Direction) -> Any:
        return partial(
            compare_schemas, direction=direction, old_document=self._old, new_document=self._new
        )


def _obligation(old: Document, new: Document) -> Changes:
    if new.get("required") and not old.get("required"):
        yield Change.breaking("required", "it must be there now")
    elif old.get("required") and not new.get("required"):
        yield Change.additive("required", "it may be left out now")


def _alternative(security: Document) -> str:
    said = {name: sorted(scopes) for name, scopes in security.items() if not is_annotation(name)}
    return " and ".join(f"{name}{said[name] or ''}" for name in sorted(said)) or _ANYBODY

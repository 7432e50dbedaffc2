"""PromQL taken apart: which series an expression names, how, and under which functions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import promql_parser as promql

_OF_COUNTERS: Final = {"rate", "irate", "increase"}


@dataclass(frozen=True, slots=True)
class Named:
    """A series that an expression names."""

    name: str
    labels: frozenset[str]
    functions: tuple[str, ...]
    """Around it, the innermost last."""
    new_series: bool = False
    """In `x > 0 unless x offset d`: how one finds a counter that has just appeared."""

    @property
    def is_rate(self) -> bool:
        """Whether only its growth is used."""
        return bool(self.functions) and self.functions[-1] in _OF_COUNTERS


def parsed(expression: str) -> promql.Expr:
    """Return the expression; Grafana's own variables stand for what it puts in."""
    return promql.parse(expression.replace("$__rate_interval", "1m"))


def named(node: promql.Expr, around: tuple[str, ...] = (), *, new: bool = False) -> Iterator[Named]:
    """Yield every series that an expression names."""
    match node:
        case promql.VectorSelector():
            labels = frozenset(matcher.name for matcher in node.matchers.matchers)
            yield Named(node.name or "", labels, around, new)
        case promql.MatrixSelector():
            yield from named(node.vector_selector, around, new=new)
        case promql.BinaryExpr():
            new = new or _finds_new_series(node)
            yield from named(node.lhs, around, new=new)
            yield from named(node.rhs, around, new=new)
        case promql.Call():
            for argument in node.args:
                yield from named(argument, (*around, node.func.name), new=new)
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr():
            yield from named(node.expr, around, new=new)
        case promql.SubqueryExpr():
            yield from named(node.expr, around, new=new)


def grouping(node: promql.Expr) -> Iterator[frozenset[str]]:
    """Yield the labels of every `by`, `without` and `on`."""
    match node:
        case promql.AggregateExpr():
            if node.modifier is not None:
                yield frozenset(node.modifier.labels)
            yield from grouping(node.expr)
        case promql.BinaryExpr():
            if node.modifier is not None and node.modifier.matching is not None:
                yield frozenset(node.modifier.matching.labels)
            yield from grouping(node.lhs)
            yield from grouping(node.rhs)
        case promql.Call():
            for argument in node.args:
                yield from grouping(argument)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from grouping(node.expr)


def quantiles(node: promql.Expr) -> Iterator[promql.AggregateExpr | None]:
    """Yield what every `histogram_quantile` is taken of; None if it is not an aggregation."""
    match node:
        case promql.Call():
            if node.func.name == "histogram_quantile":
                of = node.args[1]
                yield of if isinstance(of, promql.AggregateExpr) else None
            for argument in node.args:
                yield from quantiles(argument)
        case promql.BinaryExpr():
            yield from quantiles(node.lhs)
            yield from quantiles(node.rhs)
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr():
            yield from quantiles(node.expr)


def _finds_new_series(node: promql.BinaryExpr) -> bool:
    before = node.rhs
    if str(node.op) != "unless" or not isinstance(before, promql.VectorSelector):
        return False
    return before.offset is not None and {each.name for each in named(node.lhs)} == {before.name}

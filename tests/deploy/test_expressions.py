"""Every expression of alerts and dashboards is right about the metrics that services export."""

from collections import defaultdict
from typing import Final

import pytest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from passbook import telemetry
from tests.support.observability import Expression, expressions
from tests.support.promql import grouping, named, parsed, quantiles
from tests.support.until import until
from tests.support.world import SERVICES, World

QUERY_API: Final = "query-api"
_OF_PROMETHEUS: Final = {"up", "ALERTS"}
_OF_TARGETS: Final = frozenset({"job", "instance"})
_OF_ALERTS: Final = frozenset({"alertname", "alertstate", "severity"})
_DELIBERATELY_NOT: Final[dict[str, str]] = {}
"""Metric → why it is on no dashboard and in no alert."""
_HISTOGRAM: Final = ("_bucket", "_count", "_sum")

_EXPRESSIONS: Final = expressions()
each_expression = pytest.mark.parametrize(
    "expression", _EXPRESSIONS, ids=[each.place for each in _EXPRESSIONS]
)


def _labels() -> dict[str, frozenset[str]]:
    """Return series → labels, as `passbook.telemetry` makes them."""
    found = {"ALERTS": _OF_ALERTS}
    for metric in vars(telemetry).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            labels = frozenset(metric._labelnames)
            for name in _series(family.name, family.type):
                added = {"le"} if name.endswith("_bucket") else set()
                found[name] = labels | added
    return found


def _series(name: str, kind: str) -> list[str]:
    """Return the names of the series of a family."""
    match kind:
        case "counter":
            return [f"{name}_total"]
        case "histogram":
            return [name + ending for ending in _HISTOGRAM]
    return [name]


@each_expression
def test_it_parses_and_uses_counters_only_for_their_growth(expression: Expression) -> None:
    """Shown sharp: `rate(` taken off a counter, or `increase` off one that has just appeared."""
    series = list(named(parsed(expression.text)))
    assert series
    for each in series:
        if each.name.endswith(("_total", *_HISTOGRAM)):
            assert each.is_rate or each.new_series, each


@each_expression
def test_a_quantile_is_taken_over_buckets_with_le(expression: Expression) -> None:
    for of in quantiles(parsed(expression.text)):
        assert of is not None, "of an aggregation"
        assert of.modifier is not None
        assert "le" in of.modifier.labels
        assert all(each.name.endswith("_bucket") and each.is_rate for each in named(of))


@each_expression
def test_its_labels_are_those_of_its_metrics(expression: Expression) -> None:
    """Shown sharp: `by (projektion)`, and `{route=...}` on a metric that has none."""
    metrics = _labels()
    there = _OF_TARGETS
    tree = parsed(expression.text)
    for each in named(tree):
        labels = _OF_TARGETS | metrics.get(each.name, frozenset())
        assert each.labels <= labels, each
        there = there | labels
    for labels in grouping(tree):
        assert labels <= there, labels


async def test_every_metric_it_names_is_exported_by_a_service_that_runs(world: World) -> None:
    """And what services export of their own is on a dashboard or in an alert.

    Shown sharp: an alert on `passbook_relay_backlog`, and a dashboard without `stream_frames`.
    """
    services = await world.run(*SERVICES, QUERY_API)
    used: dict[str, set[str]] = defaultdict(set)
    for expression in _EXPRESSIONS:
        for each in named(parsed(expression.text)):
            used[each.name].add(expression.place)
    exported = set(_OF_PROMETHEUS)

    async def all_are_there() -> bool:
        for service in services:
            page = await service.get("/metrics")
            for family in text_string_to_metric_families(page.body):
                exported.update(_series(family.name, family.type))
        return set(used) <= exported

    try:  # the relay begins to measure the servers a moment after it leads
        await until(all_are_there, 20)
    except AssertionError:
        assert not {name: places for name, places in used.items() if name not in exported}
    own = {_family(name) for name in exported if name.startswith("passbook_")}
    assert own - {_family(name) for name in used} == set(_DELIBERATELY_NOT)


def _family(series: str) -> str:
    for ending in _HISTOGRAM:
        series = series.removesuffix(ending)
    return series

"""What the docstring of `telemetry` promises to operators is what the code says, and no more."""

import ast
import re
from collections import defaultdict
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from passbook import telemetry
from tests.architecture.source import calls, modules

_LEVELS: Final = {"debug", "info", "warning", "error", "exception", "critical"}
_EVENTS_TEXT, _METRICS_TEXT = (telemetry.__doc__ or "").split("Metrics, all with the prefix")


def _logged() -> dict[str, set[str]]:
    """Return log event → the keys that are given with it by name."""
    found: dict[str, set[str]] = defaultdict(set)
    for _, call in calls():
        match call:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log"), attr=level),
                args=[ast.Constant(value=str(event)), *_],
                keywords=keywords,
            ) if level in _LEVELS:
                found[event] |= {keyword.arg for keyword in keywords if keyword.arg}
    return found


def _metrics() -> dict[str, str]:
    """Return variable → metric as the docstring writes it."""
    found = {}
    for variable, metric in vars(telemetry).items():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            assert family.name.startswith("passbook_"), family.name
            name = family.name.removeprefix("passbook_")
            name += "_total" if family.type == "counter" else ""
            labels = ",".join(metric._labelnames)
            found[variable] = f"{name}{{{labels}}}" if labels else name
    return found


def test_every_log_event_is_in_the_docstring_and_the_other_way_round() -> None:
    documented = set(re.findall(r"\b[a-z]+\.[a-z_]+\b", _EVENTS_TEXT))
    assert set(_logged()) == documented


def test_the_keys_of_a_log_event_are_in_its_line() -> None:
    for event, keys in _logged().items():
        line = next(line for line in _EVENTS_TEXT.splitlines() if event in line)
        missing = {key for key in keys if not re.search(rf"\b{key}\b", line)}
        assert not missing, event


def test_every_metric_is_in_the_docstring_and_the_other_way_round() -> None:
    documented = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+(?:\{[a-z_,]+\})?", _METRICS_TEXT))
    assert set(_metrics().values()) == documented


def test_metrics_are_made_in_one_place_and_every_one_is_used() -> None:
    used = {
        node.id
        for path, tree in modules().items()
        if path.name != "telemetry.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
    }
    assert set(_metrics()) <= used

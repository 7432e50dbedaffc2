"""What operators are given: alert rules and dashboards, as the files say them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
ALERTS: Final = ROOT / "deploy/observability/prometheus/alerts.yml"
DASHBOARDS: Final = ROOT / "deploy/observability/grafana/dashboards"
RUNBOOKS: Final = ROOT / "deploy/runbooks"


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression and where it stands."""

    place: str
    text: str
    type: str
    """Of the panel, or `alert`."""


def alerts() -> list[dict[str, Any]]:
    """Return every alert rule."""
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboards() -> dict[str, dict[str, Any]]:
    """Return file → dashboard."""
    return {
        path.name: json.loads(path.read_text("utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))
    }


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the panels of every dashboard, rows left out, with the file's name."""
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            if panel["type"] != "row":
                yield name, panel


def panel_expressions() -> list[Expression]:
    """Return every expression of every panel."""
    return [
        Expression(f"{name}: {panel['title']} {target['refId']}", target["expr"], panel["type"])
        for name, panel in panels()
        for target in panel["targets"]
    ]


def expressions() -> list[Expression]:
    """Return every expression there is."""
    annotations = [
        Expression(f"{name}: annotation {each['name']}", each["expr"], "annotation")
        for name, dashboard in dashboards().items()
        for each in dashboard["annotations"]["list"]
    ]
    rules = [Expression(rule["alert"], rule["expr"], "alert") for rule in alerts()]
    return [*rules, *panel_expressions(), *annotations]

"""Dashboards: what Grafana needs to show them, and a reader to understand them."""

from itertools import combinations, pairwise
from typing import Any, Final

import pytest
import yaml

from tests.support.observability import ROOT, dashboards, panels

_DASHBOARDS: Final = dashboards()
_PANELS: Final = list(panels())
_TYPES: Final = {"stat", "table", "timeseries", "state-timeline"}
"""None of those that Grafana has given up (`graph`, `singlestat`, `table-old`, ...)."""
_COLUMNS: Final = 24

each_panel = pytest.mark.parametrize(
    "panel", [panel for _, panel in _PANELS], ids=[f"{n}-{panel['title']}" for n, panel in _PANELS]
)


@pytest.mark.parametrize("name", _DASHBOARDS)
def test_a_dashboard_has_a_name_that_stays_and_panels_that_do_not_overlap(name: str) -> None:
    dashboard = _DASHBOARDS[name]
    assert dashboard["uid"].startswith("passbook-")
    assert "id" not in dashboard, "is given by the Grafana that loads it"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for one, other in combinations((panel["gridPos"] for panel in dashboard["panels"]), 2):
        assert not _overlap(one, other), (one, other)
    rows = [panel["gridPos"]["y"] for panel in dashboard["panels"]]
    assert all(above <= below for above, below in pairwise(rows)), "in the order in which one reads"
    assert dashboard["panels"][0]["title"] == "Is it well?"


def test_dashboards_have_uids_of_their_own_and_lead_to_each_other() -> None:
    assert len({dashboard["uid"] for dashboard in _DASHBOARDS.values()}) == len(_DASHBOARDS) == 3
    for dashboard in _DASHBOARDS.values():
        assert {"passbook"} == set(dashboard["tags"]) == set(dashboard["links"][0]["tags"])


@each_panel
def test_a_panel_says_what_it_shows_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["type"] in _TYPES
    assert panel["title"]
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= _COLUMNS
    references = [target["refId"] for target in panel["targets"]]
    assert len(set(references)) == len(references)


@each_panel
def test_lines_can_be_told_apart(panel: dict[str, Any]) -> None:
    if panel["type"] in {"timeseries", "state-timeline"}:
        assert all(target["legendFormat"] for target in panel["targets"])


def test_what_is_provisioned_is_where_compose_mounts_it() -> None:
    folder = ROOT / "deploy/observability/grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yml").read_text("utf-8"))[
        "datasources"
    ]
    (provider,) = yaml.safe_load((folder / "dashboards/passbook.yml").read_text("utf-8"))[
        "providers"
    ]
    compose = yaml.safe_load((ROOT / "deploy/compose/observability.yml").read_text("utf-8"))
    mounts = dict(volume.split(":")[:2] for volume in compose["services"]["grafana"]["volumes"])
    assert mounts["./deploy/observability/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./deploy/observability/grafana/provisioning"] == "/etc/grafana/provisioning"
    for dashboard in _DASHBOARDS.values():
        (variable,) = dashboard["templating"]["list"]
        assert variable["current"]["value"] == source["uid"]


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )

"""The overlay with Prometheus and Grafana gives away nothing, and asks what compose has."""

import re
from typing import Any, Final

import pytest
import yaml

from tests.support.observability import ROOT

_OVERLAY: Final = ROOT / "deploy/compose/observability.yml"
_SERVICES: Final[dict[str, Any]] = yaml.safe_load(_OVERLAY.read_text("utf-8"))["services"]


@pytest.mark.parametrize("name", _SERVICES)
def test_a_container_has_no_more_rights_than_it_needs(name: str) -> None:
    service = _SERVICES[name]
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), "pinned"
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not str(service["user"]).startswith(("0", "root"))
    assert {"mem_limit", "pids_limit", "healthcheck", "logging", "restart"} <= set(service)
    for port in service["ports"]:
        assert re.fullmatch(r"127\.0\.0\.1:\$\{PASSBOOK_[A-Z]+_PORT:-\d+\}:\d+", port)
    for volume in service["volumes"]:
        assert not volume.startswith("./") or volume.endswith(":ro")


def test_nobody_can_log_in_to_grafana() -> None:
    settings = _SERVICES["grafana"]["environment"]
    assert settings["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert settings["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert settings["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert settings["GF_AUTH_BASIC_ENABLED"] == "false"
    assert "PASSWORD" not in _OVERLAY.read_text("utf-8")


def test_every_service_of_ours_is_asked_under_its_name() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    ours = {name for name, one in compose.items() if one.get("command", [""])[0] == "run"}
    path = ROOT / "deploy/observability/prometheus/prometheus.yml"
    jobs = {
        job["job_name"]: job for job in yaml.safe_load(path.read_text("utf-8"))["scrape_configs"]
    }
    assert set(jobs) - {"prometheus"} == ours
    for name in ours:
        (found,) = jobs[name]["dns_sd_configs"]
        assert (found["names"], found["type"], found["port"]) == ([name], "A", 9464)

"""The overlay that turns traces on, against the services that there are."""

from typing import Any

import yaml

from tests.architecture.source import ROOT


def _services(path: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / path).read_text("utf-8"))["services"]
    return found


def test_every_service_is_traced_alike() -> None:
    running = {
        name
        for name, service in _services("docker-compose.yml").items()
        if (service.get("command") or [""])[0] == "run"
    }
    overlay = _services("deploy/compose/tracing.yml")
    assert len(running) == 5
    assert overlay.keys() == {*running, "jaeger"}
    told = [overlay[name]["environment"] for name in running]
    assert all(one == told[0] for one in told)
    assert told[0]["PASSBOOK_TRACING"] == "otlp"

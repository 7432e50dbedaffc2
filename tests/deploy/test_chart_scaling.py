"""Scaling by lag, and what is watched: KEDA's objects and the Prometheus operator's."""

import re
from typing import Any, Final

import pytest
import yaml

from passbook.messaging.topics import Topics
from services.command_service.__main__ import GROUP
from tests.support.helm import CHART, Document, Helm
from tests.support.manifests import container, environment, of_kind, pods, selects
from tests.support.observability import ALERTS, alerts
from tests.support.promql import parsed

_MINIMAL: Final = CHART / "ci" / "minimal-values.yaml"
_EVERYTHING: Final = CHART / "ci" / "everything-values.yaml"
_PROJECTORS: Final = {"balance-projector", "audit-projector"}
_SCALED: Final = {*_PROJECTORS, "command-service"}
_ABSENT: Final = re.compile(r'absent\(up\{job="([\w-]+)"\}\)')


@pytest.fixture(scope="module")
def everything(helm: Helm) -> list[Document]:
    return helm.template(_EVERYTHING)


def test_who_consumes_in_a_group_is_scaled_by_its_lag(everything: list[Document]) -> None:
    """Group and topic are those that the code uses: `services/*/__main__.py` and the runtime of
    projectors put the prefix before the name of the service.

    Seen to fail with the group `bank.balance`, and with `bank.event`.
    """
    topics = Topics()
    expected = {"command-service": (topics.prefix + GROUP, topics.commands)}
    expected |= {name: (topics.prefix + name, topics.events) for name in _PROJECTORS}
    found = {
        name: (trigger["consumerGroup"], trigger["topic"])
        for name, trigger in _triggers(everything).items()
    }
    assert found == expected
    for name, scaled in of_kind(everything, "ScaledObject").items():
        deployment = of_kind(everything, "Deployment")[name]
        assert scaled["spec"]["scaleTargetRef"] == {"name": deployment["metadata"]["name"]}


def test_the_prefix_is_before_groups_and_topics(helm: Helm) -> None:
    """Seen to fail with `bank.` in the template."""
    values = {"keda": {"enabled": True}, "kafka": {"topicPrefix": "other."}}
    trigger = _triggers(helm.template(_MINIMAL, values=values))["audit-projector"]
    assert (trigger["consumerGroup"], trigger["topic"]) == (
        "other.audit-projector",
        "other.events",
    )


def test_nobody_else_says_how_many_there_are(helm: Helm, everything: list[Document]) -> None:
    """Where KEDA scales, the Deployment has no `replicas`: every upgrade would set them back.

    Seen to fail with `replicas` rendered always.
    """

    def counted(documents: list[Document]) -> set[str]:
        deployments = of_kind(documents, "Deployment")
        return {name for name, found in deployments.items() if "replicas" in found["spec"]}

    assert counted(everything) == {"outbox-relay", "query-api"}
    assert counted(helm.template(_MINIMAL)) == {*_SCALED, "outbox-relay", "query-api"}
    off = {"services": {"audit-projector": {"autoscaling": {"enabled": False}}}}
    partly = helm.template(_EVERYTHING, values=off)
    assert counted(partly) == {"outbox-relay", "query-api", "audit-projector"}
    assert set(of_kind(partly, "ScaledObject")) == _SCALED - {"audit-projector"}


def test_there_are_never_more_than_have_something_to_do(everything: list[Document]) -> None:
    """And never none: who starts from nothing lets the first command wait for a pod.

    Nobody is taken away because Kafka cannot be asked. Seen to fail with `minReplicaCount: 0`, and
    without `behavior`, where KEDA goes down to `replicas`.
    """
    partitions = int(environment(pods(everything)["command-service"])["PASSBOOK_TOPIC_PARTITIONS"])
    for scaled in of_kind(everything, "ScaledObject").values():
        spec = scaled["spec"]
        assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"] <= partitions
        assert spec["fallback"]["replicas"] >= 1
        assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
    for trigger in _triggers(everything).values():
        assert trigger["limitToPartitionsWithLag"] == trigger["excludePersistentLag"] == "true"
        assert trigger["allowIdleConsumers"] == "false"
        assert trigger["offsetResetPolicy"] == "earliest", "where the code starts"


@pytest.mark.parametrize(
    ("kafka", "sasl", "tls", "parameters"),
    [
        ({}, None, "disable", set[str]()),
        ({"securityProtocol": "SSL"}, None, "enable", set[str]()),
        ({"securityProtocol": "SSL", "tls": {"caSecret": "ca"}}, None, "enable", {"ca"}),
        (
            {"securityProtocol": "SSL", "tls": {"caSecret": "ca", "clientCertificates": True}},
            *(None, "enable", {"ca", "cert", "key"}),
        ),
        (
            {"securityProtocol": "SASL_SSL", "tls": {"caSecret": "ca"}},
            *("scram_sha512", "enable", {"username", "password", "ca"}),
        ),
        (
            {"securityProtocol": "SASL_PLAINTEXT", "sasl": {"mechanism": "SCRAM-SHA-256"}},
            *("scram_sha256", "disable", {"username", "password"}),
        ),
        (
            {"securityProtocol": "SASL_SSL", "sasl": {"mechanism": "PLAIN"}},
            *("plaintext", "enable", {"username", "password"}),
        ),
    ],
)
def test_keda_asks_kafka_as_the_service_does(
    helm: Helm, kafka: dict[str, Any], sasl: str | None, tls: str, parameters: set[str]
) -> None:
    """Its credentials are references, to the variable and the Secret of the pods it scales.

    Seen to fail with the parameter `user`, and with `sasl: SCRAM-SHA-512`.
    """
    values = {"keda": {"enabled": True}, "kafka": kafka}
    documents = helm.template(_MINIMAL, values=values)
    authentications = of_kind(documents, "TriggerAuthentication")
    for name, trigger in _triggers(documents).items():
        assert (trigger.get("sasl"), trigger["tls"]) == (sasl, tls)
        found = authentications.get(name, {"spec": {}})["spec"]
        references = [*found.get("env", []), *found.get("secretTargetRef", [])]
        assert {entry["parameter"] for entry in references} == parameters
        (scaled,) = of_kind(documents, "ScaledObject")[name]["spec"]["triggers"]
        assert ("authenticationRef" in scaled) == bool(parameters)
        for entry in found.get("env", []):
            pod = pods(documents)[name]
            assert entry["name"] in environment(pod)
            assert entry["containerName"] == container(pod)["name"]


def test_prometheus_finds_every_service_under_its_name(everything: list[Document]) -> None:
    """The label `job` is the service, as rules and dashboards take it; jobs have nothing to scrape.

    Seen to fail with the port `http`, and without `jobLabel`.
    """
    (monitor,) = of_kind(everything, "PodMonitor").values()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["path"] == "/metrics"
    scraped = {
        pod["metadata"]["labels"][monitor["spec"]["jobLabel"]]
        for pod in pods(everything).values()
        if selects(monitor["spec"]["selector"], pod["metadata"]["labels"])
        and endpoint["port"] in {port["name"] for port in container(pod).get("ports", [])}
    }
    assert scraped == set(of_kind(everything, "Deployment"))


def test_the_alert_rules_are_those_of_every_installation(everything: list[Document]) -> None:
    """One file, for docker compose and for Kubernetes. Seen to fail with a copy that lacks a rule."""
    (rule,) = of_kind(everything, "PrometheusRule").values()
    assert rule["spec"] == yaml.safe_load(ALERTS.read_text("utf-8"))


@pytest.mark.parametrize("service", [*sorted(_SCALED), "outbox-relay", "query-api"])
def test_nobody_is_woken_for_a_service_that_is_not_enabled(helm: Helm, service: str) -> None:
    """Its target is absent for ever. The other services are missed as before, and all other rules
    are as they were.

    Seen to fail with the file as it is.
    """
    off = {"services": {service: {"enabled": False}}}
    (rule,) = of_kind(helm.template(_EVERYTHING, values=off), "PrometheusRule").values()
    rendered = {one["alert"]: one for group in rule["spec"]["groups"] for one in group["rules"]}
    changed = []
    for before in alerts():
        after = rendered.pop(before["alert"])
        gone = _ABSENT.findall(before["expr"])
        if service in gone:
            gone.remove(service)
            assert _ABSENT.findall(after["expr"]) == gone
            assert parsed(after["expr"])
            changed.append(before["alert"])
            after = {**after, "expr": before["expr"]}
        assert after == before
    assert not rendered
    assert changed == ["PassbookServiceDown"]


def _triggers(documents: list[Document]) -> dict[str, dict[str, str]]:
    """Return component → the metadata of its one trigger."""
    found = {}
    for name, scaled in of_kind(documents, "ScaledObject").items():
        (trigger,) = scaled["spec"]["triggers"]
        assert trigger["type"] == "kafka"
        found[name] = trigger["metadata"]
    return found

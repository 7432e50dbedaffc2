"""What the chart keeps apart and holds back: secrets, privileges, networks, disruptions."""

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.support.helm import CHART, Document, Helm
from tests.support.manifests import COMPONENT, container, of_kind, pods, selects

_VALUES: Final = sorted((CHART / "ci").glob("*.yaml"))
_MINIMAL: Final = CHART / "ci" / "minimal-values.yaml"
_EVERYTHING: Final = CHART / "ci" / "everything-values.yaml"
_PLAIN_JOBS: Final = CHART / "ci" / "plain-jobs-values.yaml"
_JOBS: Final = {"migrate", "topics"}


@pytest.fixture(scope="module", params=_VALUES, ids=lambda path: path.name)
def documents(helm: Helm, request: pytest.FixtureRequest) -> list[Document]:
    return helm.template(request.param)


@pytest.fixture(scope="module")
def minimal(helm: Helm) -> list[Document]:
    return helm.template(_MINIMAL)


def test_no_secret_is_rendered(documents: list[Document]) -> None:
    """Secrets are only ever named, and mounted as files.

    Seen to fail with a Secret among the templates, and with a variable PASSBOOK_EVENT_STORE_DSN.
    """
    assert "Secret" not in {document["kind"] for document in documents}
    for component, pod in pods(documents).items():
        for entry in container(pod)["env"]:
            secret = re.search(r"(DSN|PASSWORD|TOKEN)$", entry["name"])
            assert not (secret and "value" in entry), f"{component}: {entry['name']}"
    assert not re.search(r"postgres(ql)?://", str(documents))


def test_images_are_of_one_version(documents: list[Document]) -> None:
    """By tag or digest. Seen to fail with the tag left away."""
    images = {container(pod)["image"] for pod in pods(documents).values()}
    assert len(images) == 1
    assert re.search(r":[0-9][^:@]*(@sha256:[0-9a-f]{64})?$", images.pop())


def test_containers_have_no_privileges(documents: list[Document]) -> None:
    """Seen to fail with `readOnlyRootFilesystem: false`, and without `drop: [ALL]`."""
    for pod in pods(documents).values():
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod["spec"])
        assert container(pod)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        writable = [
            mount["mountPath"]
            for mount in container(pod)["volumeMounts"]
            if not mount.get("readOnly")
        ]
        assert writable == ["/tmp"]  # noqa: S108 - the only place where a pod may write


def test_pods_pass_the_restricted_standard(minimal: list[Document]) -> None:
    """As the namespace label `pod-security.kubernetes.io/enforce: restricted` asks for.

    Seen to fail without `seccompProfile`.
    """
    for pod in pods(minimal).values():
        context = pod["spec"]["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == context["fsGroup"] == 10001, "the user of deploy/Dockerfile"
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {"emptyDir", "projected"} >= {
            kind for volume in pod["spec"]["volumes"] for kind in volume if kind != "name"
        }


def test_other_services_names_do_not_become_settings(documents: list[Document]) -> None:
    """A Service named `passbook-metrics` would set PASSBOOK_METRICS_PORT to `tcp://…` in every pod.

    Seen to fail without `enableServiceLinks: false`.
    """
    assert all(pod["spec"]["enableServiceLinks"] is False for pod in pods(documents).values())


def test_selectors_take_their_own_pods_and_no_others(documents: list[Document]) -> None:
    """Deployments, budgets and the Service: each takes the pods of one component, of this release.

    Seen to fail with a budget's selector without the component.
    """
    labels = _labels(documents)
    for kind in ("Deployment", "PodDisruptionBudget"):
        for component, document in of_kind(documents, kind).items():
            selector = document["spec"]["selector"]
            assert {name for name in labels if selects(selector, labels[name])} == {component}
    for component, document in of_kind(documents, "Service").items():
        selector = {"matchLabels": document["spec"]["selector"]}
        assert {name for name in labels if selects(selector, labels[name])} == {component}


def test_two_releases_do_not_take_each_others_pods(documents: list[Document]) -> None:
    """Seen to fail without the release's name among the selector's labels."""
    selectors = [
        document["spec"]["selector"].get("matchLabels", document["spec"]["selector"])
        for document in documents
        if document["kind"] in {"Deployment", "PodDisruptionBudget", "Service", "PodMonitor"}
    ]
    assert all(selector["app.kubernetes.io/instance"] == "bank" for selector in selectors)


def test_every_service_has_a_disruption_budget_that_a_drain_can_meet(
    minimal: list[Document],
) -> None:
    """Seen to fail with `minAvailable: 2` and two replicas, and with the relay alone."""
    budgets, deployments = of_kind(minimal, "PodDisruptionBudget"), of_kind(minimal, "Deployment")
    assert set(budgets) == set(deployments)
    for name, budget in budgets.items():
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        assert deployments[name]["spec"]["replicas"] >= 2, "one of them works meanwhile"


def test_every_pod_is_covered_by_a_policy_that_denies(minimal: list[Document]) -> None:
    """Jobs, too. Seen to fail with the component of one service in the selector."""
    (deny,) = (
        policy
        for policy in _policies(minimal)
        if set(policy) == {"podSelector", "policyTypes"}
        and set(policy["policyTypes"]) == {"Ingress", "Egress"}
    )
    labels = _labels(minimal)
    assert all(selects(deny["podSelector"], found) for found in labels.values())


def test_traffic_is_what_each_pod_needs(minimal: list[Document]) -> None:
    """Component → the ports that it may reach, and those it may be reached on.

    Seen to fail with `jwks` for every service, and with Kafka for the migration.
    """
    services = {"command-service", "outbox-relay", "balance-projector", "audit-projector"}
    out, into = _ports(minimal, "Egress"), _ports(minimal, "Ingress")
    assert out == {
        **{name: {53, 5432, 9092} for name in services},
        "query-api": {53, 5432, 9092, 443},
        "migrate": {53, 5432},
        "topics": {53, 9092},
    }
    assert into == {
        **{name: {9464} for name in services},
        "query-api": {9464, 8080},
        **{name: set() for name in _JOBS},
    }


def test_what_is_not_used_is_not_opened(helm: Helm) -> None:
    """A key set from a file needs no way out; nobody may ask for HTTP unless it is said who.

    Seen to fail with `from: []` rendered as an empty list, which lets everybody in.
    """
    values: dict[str, Any] = {"networkPolicy": {"http": {"from": []}, "metrics": {"from": []}}}
    documents = helm.template(_EVERYTHING, values=values)
    assert 443 not in _ports(documents, "Egress")["query-api"]
    assert 4318 in _ports(documents, "Egress")["query-api"], "with tracing only"
    assert _ports(documents, "Ingress")["query-api"] == set()


def test_peers_are_those_of_the_values(helm: Helm) -> None:
    """Seen to fail with `to` left out of the template."""
    policies = {
        document["metadata"]["name"]: document["spec"]
        for document in helm.template(_EVERYTHING)
        if document["kind"] == "NetworkPolicy"
    }
    (rule,) = policies["bank-passbook-to-postgresql"]["egress"]
    assert rule["to"] == [{"ipBlock": {"cidr": "10.0.0.10/32"}}]
    assert {port["port"] for port in rule["ports"]} == {5432, 5433}
    (rule,) = policies["bank-passbook-from-http"]["ingress"]
    assert rule["from"][0]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "ingress-nginx"
    }


def test_a_port_that_is_let_out_may_be_named(helm: Helm) -> None:
    """And without policies any. Seen to fail with ports compared as numbers to words."""
    values: dict[str, Any] = {
        "kafka": {"bootstrapServers": "kafka:9093"},
        "queryApi": {"jwt": {"jwks": "http://keys:8080/jwks.json"}},
        "tracing": {"enabled": True, "endpoint": "https://collector"},
    }
    ports = {"kafka": 9093, "jwks": 8080, "tracing": 443}
    policy = {name: {"ports": [5, port]} for name, port in ports.items()}
    assert helm.template(_MINIMAL, values={**values, "networkPolicy": policy})
    assert helm.template(_MINIMAL, values={**values, "networkPolicy": {"enabled": False}})


@pytest.mark.parametrize(
    ("ingress", "peer", "warned"),
    [
        (True, {"podSelector": {}}, True),
        (True, {"namespaceSelector": {}}, False),
        (True, {"ipBlock": {"cidr": "10.0.0.0/8"}}, False),
        (False, {"podSelector": {}}, False),
    ],
)
def test_an_ingress_controller_that_would_be_shut_out_is_told_of(
    helm: Helm, *, ingress: bool, peer: dict[str, Any], warned: bool
) -> None:
    """It is in a namespace of its own nearly always. Seen to fail with the truth of an empty
    `namespaceSelector`, which is every namespace, taken for its presence.
    """
    values = {
        "queryApi": {"ingress": {"enabled": ingress, "hosts": [{"host": "bank", "path": "/"}]}},
        "networkPolicy": {"http": {"from": [peer]}},
    }
    notes = helm.notes(_MINIMAL, values=values)
    assert ("WARNING: only pods of the namespace ledger reach the query API" in notes) == warned


def test_new_pods_work_before_old_ones_go(minimal: list[Document]) -> None:
    """Seen to fail with `maxUnavailable: 1`."""
    for deployment in of_kind(minimal, "Deployment").values():
        assert deployment["spec"]["strategy"] == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        }
        for constraint in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]:
            labels = deployment["spec"]["template"]["metadata"]["labels"]
            assert selects(constraint["labelSelector"], labels)


def test_whoever_is_told_who_may_ask_is_not_open(helm: Helm) -> None:
    """`allowWithoutTokens` opens the API only where no keys are configured.

    Seen to fail with the variable rendered whenever the value is true.
    """
    values = {"queryApi": {"allowWithoutTokens": True}}
    (with_tokens, without) = (
        str(pods(helm.template(file, values=values))["query-api"])
        for file in (_MINIMAL, _PLAIN_JOBS)
    )
    assert "PASSBOOK_ALLOW_HTTP_WITHOUT_TOKENS" not in with_tokens
    assert "PASSBOOK_ALLOW_HTTP_WITHOUT_TOKENS" in without


def _labels(documents: list[Document]) -> dict[str, Mapping[str, str]]:
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(documents).items()}
    assert all(found[COMPONENT] == name for name, found in labels.items())
    return labels


def _policies(documents: list[Document]) -> list[dict[str, Any]]:
    return [document["spec"] for document in documents if document["kind"] == "NetworkPolicy"]


def _ports(documents: list[Document], direction: str) -> dict[str, set[int]]:
    """Return component → ports that policies open for its pods, in one direction."""
    return {
        component: {
            port["port"]
            for policy in _policies(documents)
            if direction in policy["policyTypes"] and selects(policy["podSelector"], labels)
            for rule in policy.get(direction.lower(), [])
            for port in rule["ports"]
        }
        for component, labels in _labels(documents).items()
    }

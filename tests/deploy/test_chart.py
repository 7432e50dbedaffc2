"""The chart as Kubernetes and Helm judge it: what is rendered is valid and complete, what makes no
sense is refused with the reason.
"""

import json
import re
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.support.helm import CHART, NEWEST, Document, Helm, HelmRefused

_OLDEST: Final = "1.29.0"
_VALUES: Final = sorted((CHART / "ci").glob("*.yaml"))
_MINIMAL: Final = CHART / "ci" / "minimal-values.yaml"
_CRDS: Final = Path(__file__).parent / "crds"
_FILES: Final = [path.name for path in _VALUES]


@pytest.mark.parametrize("version", [_OLDEST, NEWEST])
@pytest.mark.parametrize("values", _VALUES, ids=_FILES)
def test_kubernetes_knows_every_field(helm: Helm, values: Path, version: str) -> None:
    """Against its published schemas, where a field it does not know is an error.

    Seen to fail: `maxUnavailible` in a budget, `path` beside `httpGet` in a probe, `lagThreshold` as a
    number for KEDA, `jobLabels` in the monitor.
    """
    documents = helm.template(values, kube_version=version)
    assert documents
    for document in documents:
        name = f"{document['kind']}/{document['metadata']['name']}"
        problem = _problem(document, version)
        assert not problem, f"{name}: {problem}"


def test_the_oldest_kubernetes_is_the_one_the_chart_names(helm: Helm) -> None:
    """Seen to fail with `>=1.28.0-0` in Chart.yaml."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={_OLDEST}-0"
    with pytest.raises(HelmRefused, match="incompatible with Kubernetes"):
        helm.template(_MINIMAL, kube_version="1.28.0")


def test_helm_has_nothing_to_say(helm: Helm) -> None:
    """Seen to fail with a template that ends an `if` too much."""
    assert not re.search(r"\[(WARNING|ERROR)\]", helm.lint())


@pytest.mark.parametrize("values", _VALUES, ids=_FILES)
def test_names_are_valid_and_unique(helm: Helm, values: Path) -> None:
    """Also when the release has the longest name that Helm takes.

    Seen to fail with `trunc 63` for the full name.
    """
    documents = helm.template(values, values={"fullnameOverride": "x" * 53})
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(set(names)) == len(names)
    assert [name for _, name in names if len(name) > 63] == []


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"kafka": {"bootstrapServers": ""}}, "kafka.bootstrapServers is not set"),
        ({"kafka": {"bootstrapServers": "kafka"}}, "bootstrapServers"),
        ({"kafka": {"partitions": 12}}, "partitions"),
        ({"kafka": {"replicationFactor": 1}}, "minInsyncReplicas is more"),
        ({"kafka": {"password": "x"}}, "password"),
        ({"kafka": {"sasl": {"password": "x"}}}, "password"),
        ({"kafka": {"tls": {"caSecret": "ca"}}}, "without TLS"),
        (
            {"kafka": {"securityProtocol": "SASL_PLAINTEXT", "sasl": {"mechanism": "PLAIN"}}},
            "as it is",
        ),
        ({"image": {"tag": "latest"}}, "tag"),
        ({"image": {"digest": "sha256:1"}}, "digest"),
        ({"services": {"balance-projector": {"replicas": "3"}}}, "replicas"),
        ({"services": {"balance_projector": {"replicas": 3}}}, "balance_projector"),
        ({"services": {"query-api": {"autoscaling": {"enabled": True}}}}, "autoscaling"),
        ({"services": {"outbox-relay": {"groups": 3}}}, "groups"),
        ({"services": {"outbox-relay": {"groups": 32}}}, "groups is more than"),
        ({"queryApi": {"jwt": {"jwks": "", "issuer": "", "audience": ""}}}, "who may use"),
        ({"queryApi": {"jwt": {"audience": ""}}}, "issuer and audience"),
        ({"queryApi": {"jwt": {"jwksConfigMap": "keys"}}}, "only one of them"),
        ({"queryApi": {"jwt": {"jwks": "ftp://keys"}}}, "jwks"),
        (
            {
                "keda": {"enabled": True},
                "services": {"audit-projector": {"autoscaling": {"maxReplicas": 17}}},
            },
            "more than kafka.partitions",
        ),
        (
            {
                "keda": {"enabled": True},
                "services": {"audit-projector": {"autoscaling": {"minReplicas": 9}}},
            },
            "more than maxReplicas",
        ),
        ({"tracing": {"enabled": True}}, "tracing.endpoint is not set"),
        (
            {"kafka": {"bootstrapServers": "kafka-0:9092,kafka-1:9093"}},
            "networkPolicy.kafka.ports has no 9093, so nobody would reach kafka-1:9093",
        ),
        (
            {"tracing": {"enabled": True, "endpoint": "https://collector/v1"}},
            "networkPolicy.tracing.ports has no 443",
        ),
        (
            {"queryApi": {"jwt": {"jwks": "http://[fd00::1]:8080/keys"}}},
            "networkPolicy.jwks.ports has no 8080",
        ),
        ({"queryApi": {"jwt": {"jwks": "http://keys"}}}, "networkPolicy.jwks.ports has no 80,"),
        ({"extraEnv": [{"name": "PASSBOOK_EVENT_STORE_DSN", "value": "x"}]}, "extraEnv"),
        ({"extraEnv": [{"name": "PASSBOOK_KAFKA_SASL_PASSWORD", "value": "x"}]}, "extraEnv"),
        ({"topologySpreadConstraints": [{"maxSkew": 1}]}, "topologySpreadConstraints"),
        ({"replicaCount": 3}, "replicaCount"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_values_are_refused(helm: Helm, values: dict[str, Any], reason: str) -> None:
    """Each names what is wrong. Seen to fail, one by one, without `additionalProperties: false`,
    the patterns, and the lines of `passbook.validate`.
    """
    with pytest.raises(HelmRefused, match=re.escape(reason)):
        helm.template(_MINIMAL, values=values)


def test_every_value_is_in_the_schema_and_has_its_type() -> None:
    """Helm itself lets a value pass that the schema forgot, if `additionalProperties` is not there.

    Seen to fail without it in `queryApi`.
    """
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.validate(values, schema)
    assert _unknown(values, schema, schema) == []


def _unknown(value: Any, schema: Any, root: Any, path: str = "") -> list[str]:
    """Return the paths of the values that the schema says nothing about."""
    if reference := schema.get("$ref"):
        schema = root["definitions"][reference.rpartition("/")[2]]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    missing = [f"{path}.{key}" for key in value if key not in schema["properties"]]
    closed = [] if schema.get("additionalProperties") is False else [f"{path} is open"]
    return [
        *missing,
        *closed,
        *(
            problem
            for key, inner in value.items()
            if key in schema["properties"]
            for problem in _unknown(inner, schema["properties"][key], root, f"{path}.{key}")
        ),
    ]


def _problem(document: Document, version: str) -> str:
    try:
        if custom := _custom_schemas().get((document["apiVersion"], document["kind"])):
            jsonschema.validate(document, custom)
        else:
            kubernetes_validate.validate(document, version.removesuffix(".0"), strict=True)
    except jsonschema.ValidationError as error:
        return f"{error.json_path}: {error.message}"
    return ""


@cache
def _custom_schemas() -> dict[tuple[str, str], Any]:
    """Return the schemas of the custom resources; `source` in each file says where it is from."""
    found = [json.loads(path.read_text()) for path in sorted(_CRDS.glob("*.json"))]
    return {(one["apiVersion"], one["kind"]): _strict(one["schema"]) for one in found}


def _strict(schema: Any) -> Any:
    """Refuse fields that are not listed, as an API server does that is asked to be strict."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return deepcopy(schema)
    strict = {key: _strict(inner) for key, inner in schema.items()}
    listed = isinstance(schema.get("properties"), dict)
    if listed and not schema.get("x-kubernetes-preserve-unknown-fields"):
        strict.setdefault("additionalProperties", False)
    return strict

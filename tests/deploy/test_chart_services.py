"""The chart and the code agree: services, commands, variables, files, ports, probes, jobs."""

import ast
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from passbook.cli.logins import OF_SERVICE
from passbook.cli.run import Service
from passbook.config import Settings
from passbook.service import STOP_TIMEOUT_S
from tests.support.helm import CHART, ROOT, Document, Helm
from tests.support.manifests import container, environment, of_kind, pods, secret_files

_SERVICES: Final = set(get_args(Service))
_MINIMAL: Final = CHART / "ci" / "minimal-values.yaml"
_EVERYTHING: Final = CHART / "ci" / "everything-values.yaml"
_PLAIN_JOBS: Final = CHART / "ci" / "plain-jobs-values.yaml"
_MOUNT: Final = "/run/secrets/passbook"
# What a service is given some seconds for beside its work: closing pools, clients, the probes.
_CLOSING_S: Final = 2


@pytest.fixture(scope="module")
def minimal(helm: Helm) -> list[Document]:
    return helm.template(_MINIMAL)


@pytest.fixture(scope="module")
def everything(helm: Helm) -> list[Document]:
    return helm.template(_EVERYTHING)


def test_every_service_has_its_deployment(minimal: list[Document]) -> None:
    """Seen to fail with a line missing in `passbook.services`."""
    folders = {
        path.parent.name.replace("_", "-") for path in (ROOT / "services").glob("*/__main__.py")
    }
    deployments = of_kind(minimal, "Deployment")
    assert set(deployments) == folders == _SERVICES
    for name, deployment in deployments.items():
        assert container(deployment["spec"]["template"])["args"] == ["run", name]


def test_every_variable_is_a_setting(everything: list[Document], minimal: list[Document]) -> None:
    """Seen to fail with PASSBOOK_KAFKA_BOOTSTRAP_SERVERS."""
    known = {f"PASSBOOK_{name.upper()}" for name in Settings.model_fields}
    for documents in (everything, minimal):
        for component, pod in pods(documents).items():
            used = {name for name in environment(pod) if name.startswith("PASSBOOK_")}
            assert used <= known, component


@pytest.mark.parametrize("values", [_MINIMAL, _EVERYTHING, _PLAIN_JOBS], ids=lambda path: path.name)
def test_the_code_reads_what_it_is_given(
    helm: Helm, values: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pod's variables make valid settings, and every file they name is mounted.

    Seen to fail with `SCRAM-SHA512`, and with `kafka_ca.pem` as the path of the mounted file.
    """
    for component, pod in pods(helm.template(values)).items():
        files = secret_files(pod)
        for path in files:
            file = tmp_path / path.removeprefix("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"postgresql://login:password@server:5432/{file.name}")
        with monkeypatch.context() as patch:
            for name, value in environment(pod).items():
                named = value.startswith(_MOUNT)
                assert not named or value in files, f"{component}: {name}={value} is not mounted"
                patch.setenv(name, f"{tmp_path}{value}" if named else value)
            settings = Settings()
        if component not in {"topics", "acls"}:
            assert settings.event_store.endswith("/event_store_dsn")
        if component != "migrate":
            assert settings.kafka.security.sasl == ("kafka_sasl" in str(files))


def test_each_service_sees_its_own_secret_only(everything: list[Document]) -> None:
    """Seen to fail with the Secret of the owner for the relay."""
    shared = {"kafka-ca", "postgresql-ca"}
    for component, pod in pods(everything).items():
        seen = {secret for secret, _ in secret_files(pod).values()} - shared
        own = {f"passbook-{component}"} if component in _SERVICES else {"passbook-owner"}
        assert seen == own


def test_each_service_is_the_login_that_the_code_makes(everything: list[Document]) -> None:
    """With SASL, Kafka's principal has the name of the PostgreSQL login. Seen to fail with
    `passbook_relay`.
    """
    for component, pod in pods(everything).items():
        if component in _SERVICES:
            assert environment(pod)["PASSBOOK_KAFKA_SASL_USERNAME"] == OF_SERVICE[component]


@pytest.mark.parametrize("job", ["migrate", "acls"])
def test_passwords_are_read_where_they_are_mounted(everything: list[Document], job: str) -> None:
    """A whole Secret: a login that has no key in it is named by the job. No service sees it.

    Seen to fail with `/run/secrets/passbook/logins` as the argument.
    """
    pod = pods(everything)[job]
    arguments = container(pod)["args"]
    folder = arguments[arguments.index("--passwords") + 1]
    (mount,) = (mount for mount in container(pod)["volumeMounts"] if mount["mountPath"] == folder)
    (volume,) = (found for found in pod["spec"]["volumes"] if found["name"] == mount["name"])
    assert volume["secret"]["secretName"] == "passbook-logins"
    assert [name for name, pod in pods(everything).items() if "passbook-logins" in str(pod)] == [
        "acls",
        "migrate",
    ]


def test_read_models_of_their_own_are_for_those_who_use_them(everything: list[Document]) -> None:
    """Seen to fail without `readModel: true` for the query API.

    Who uses them is what the wiring says: its source mentions the setting.
    """
    for component, pod in pods(everything).items():
        if component not in _SERVICES:
            continue
        wiring = (ROOT / "services" / component.replace("-", "_") / "__main__.py").read_text()
        uses = "run_projector(" in wiring or "settings.read_model" in wiring
        assert ("PASSBOOK_READ_MODEL_DSN_FILE" in environment(pod)) == uses, component


def test_probes_ask_what_the_service_answers(minimal: list[Document]) -> None:
    """Liveness never depends on a server that is away: only the event loop is asked about.

    Seen to fail with /readyz for liveness, and with /healthz.
    """
    answered = _probe_paths()
    for name, deployment in of_kind(minimal, "Deployment").items():
        only = container(deployment["spec"]["template"])
        ports = {port["name"]: port["containerPort"] for port in only["ports"]}
        assert ports["metrics"] == int(environment(_pod(deployment))["PASSBOOK_METRICS_PORT"])
        paths = {
            probe: only[f"{probe}Probe"]["httpGet"]["path"]
            for probe in ("startup", "liveness", "readiness")
        }
        assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
        assert set(paths.values()) <= answered
        assert ("http" in ports) == (name == "query-api")
    http = container(_pod(of_kind(minimal, "Deployment")["query-api"]))
    port = int(environment(_pod(of_kind(minimal, "Deployment")["query-api"]))["PASSBOOK_HTTP_PORT"])
    assert {"name": "http", "containerPort": port} in http["ports"]
    (service,) = of_kind(minimal, "Service").values()
    assert service["spec"]["ports"][0]["targetPort"] == "http"


def test_pods_have_the_time_for_an_ordered_stop(minimal: list[Document]) -> None:
    """Kubernetes counts the seconds of the preStop hook, too. Seen to fail with 10 seconds."""
    for deployment in of_kind(minimal, "Deployment").values():
        pod = _pod(deployment)
        stop = container(pod).get("lifecycle", {}).get("preStop")
        waits_s = float(stop["exec"]["command"][1]) if stop else 0.0
        needed = waits_s + STOP_TIMEOUT_S + _CLOSING_S
        assert pod["spec"]["terminationGracePeriodSeconds"] >= needed


def test_migrations_and_topics_come_before_new_code(everything: list[Document]) -> None:
    """As hooks that an upgrade waits for, both before an installation and before an upgrade.

    Seen to fail with `post-upgrade`, and without weights.
    """
    annotations = {
        name: job["metadata"]["annotations"] for name, job in of_kind(everything, "Job").items()
    }
    assert set(annotations) == {"migrate", "topics", "acls"}
    for found in annotations.values():
        assert set(found["helm.sh/hook"].split(",")) == {"pre-install", "pre-upgrade"}
        assert found["helm.sh/hook-delete-policy"] == "before-hook-creation"
    weights = {name: int(found["helm.sh/hook-weight"]) for name, found in annotations.items()}
    assert weights["topics"] < weights["acls"] < weights["migrate"]


def test_nothing_else_is_a_hook(everything: list[Document]) -> None:
    """A hook is no part of the release: it would stay when that is removed."""
    hooks = {
        document["kind"]
        for document in everything
        if "helm.sh/hook" in document["metadata"].get("annotations", {})
    }
    assert hooks == {"Job"}


def test_a_hook_needs_nothing_that_comes_after_it(everything: list[Document]) -> None:
    """Seen to fail with the release's own service account."""
    made = {document["metadata"]["name"] for document in everything}
    for job in of_kind(everything, "Job").values():
        assert _pod(job)["spec"]["serviceAccountName"] not in made


def test_jobs_that_are_no_hooks_get_a_new_name_with_new_content(helm: Helm) -> None:
    """A Job's template cannot be changed. Seen to fail without the hash in the name."""
    names = [
        {
            name: job["metadata"]["name"]
            for name, job in of_kind(helm.template(_PLAIN_JOBS, values=values), "Job").items()
        }
        for values in ({}, {}, {"image": {"tag": "1.2.4"}})
    ]
    assert names[0] == names[1]
    assert all(names[0][job] != names[2][job] for job in ("migrate", "topics"))
    job = of_kind(helm.template(_PLAIN_JOBS), "Job")["migrate"]
    assert "annotations" not in job["metadata"]
    assert "ttlSecondsAfterFinished" not in job["spec"], "a GitOps tool would make it again"


@pytest.mark.parametrize(
    ("values", "components"),
    [
        ({"image": {"tag": "9.9.9"}}, _SERVICES),
        ({"kafka": {"bootstrapServers": "elsewhere:9092"}}, _SERVICES),
        ({"kafka": {"topicPrefix": "other."}}, _SERVICES),
        ({"logLevel": "debug"}, _SERVICES),
        ({"queryApi": {"jwt": {"audience": "other"}}}, {"query-api"}),
        ({"services": {"outbox-relay": {"secret": "renewed"}}}, {"outbox-relay"}),
        ({"services": {"outbox-relay": {"groups": 2}}}, {"outbox-relay"}),
        ({"tracing": {"enabled": True, "endpoint": "http://collector:4318"}}, _SERVICES),
        ({"kafka": {"replicationFactor": 5}}, _SERVICES),
        ({"jobs": {"topics": {"saslUsername": "admin"}}}, set[str]()),
        ({"services": {"outbox-relay": {"replicas": 3}}}, set[str]()),
        ({"monitoring": {"podMonitor": {"enabled": True}}}, set[str]()),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_pods_are_replaced_when_what_they_read_changes_and_only_then(
    helm: Helm, minimal: list[Document], values: dict[str, Any], components: set[str]
) -> None:
    """Seen to fail with the chart's version among a pod's labels, and with
    PASSBOOK_TOPIC_REPLICATION for all.
    """
    before = of_kind(minimal, "Deployment")
    after = of_kind(helm.template(_MINIMAL, values=values), "Deployment")
    assert {name for name in before if _pod(before[name]) != _pod(after[name])} == components


def _pod(owner: Document) -> Document:
    found: Document = owner["spec"]["template"]
    return found


def _probe_paths() -> set[str]:
    """Return the keys of the dictionary `probes` in `run_service`."""
    tree = ast.parse((ROOT / "shared" / "passbook" / "service.py").read_text())
    return {
        str(key.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and str(key.value).startswith("/")
    }

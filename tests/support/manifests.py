"""Rendered documents, and how to ask for parts of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.support.helm import Document

COMPONENT = "app.kubernetes.io/component"


def of_kind(documents: Iterable[Document], kind: str) -> dict[str, Document]:
    """Return the documents of a kind by component; by name where they have none."""
    return {
        document["metadata"]["labels"].get(COMPONENT, document["metadata"]["name"]): document
        for document in documents
        if document["kind"] == kind
    }


def pods(documents: Iterable[Document]) -> dict[str, Document]:
    """Return the pod templates of all Deployments and Jobs, by component."""
    found = list(documents)
    owners = of_kind(found, "Deployment") | of_kind(found, "Job")
    return {component: owner["spec"]["template"] for component, owner in owners.items()}


def container(pod: Document) -> Document:
    """Return the one container of a pod."""
    (only,) = pod["spec"]["containers"]
    found: Document = only
    return found


def environment(pod: Document) -> dict[str, str]:
    """Return the variables of a pod's container that have a value; of repeated ones the last."""
    return {
        entry["name"]: entry["value"] for entry in container(pod).get("env", []) if "value" in entry
    }


def secret_files(pod: Document) -> dict[str, tuple[str, str]]:
    """Return path → (Secret, key) of every file of a Secret that the container sees."""
    mounts = {mount["name"]: mount["mountPath"] for mount in container(pod)["volumeMounts"]}
    return {
        f"{mounts[volume['name']]}/{item['path']}": (source["secret"]["name"], item["key"])
        for volume in pod["spec"]["volumes"]
        if "projected" in volume
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    }


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Say whether a label selector takes these labels, as Kubernetes does."""
    wanted = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In"
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return True

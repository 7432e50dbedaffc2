"""Where a running Passbook is reached: the document `endpoints.json`, a public contract."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class ServiceEndpoint:
    """One process of a service."""

    pid: int
    metrics_url: str


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses and logins; None stands for what this run has not."""

    kafka_bootstrap: str
    event_store_dsn: str
    read_model_dsn: str
    admin_dsn: str | None = None
    http_url: str | None = None
    topic_prefix: str | None = None
    topic_partitions: int | None = None
    services: Mapping[str, Sequence[ServiceEndpoint]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the document."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Endpoints":
        """Return what a document says; fields that a newer version added are passed over."""
        document = json.loads(text)
        services = {
            name: [ServiceEndpoint(one["pid"], one["metrics_url"]) for one in processes]
            for name, processes in document["services"].items()
        }
        return cls(
            document["kafka_bootstrap"],
            document["event_store_dsn"],
            document["read_model_dsn"],
            document["admin_dsn"],
            document["http_url"],
            document.get("topic_prefix"),
            document.get("topic_partitions"),
            services,
        )

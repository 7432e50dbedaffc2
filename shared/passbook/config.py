"""Settings, from the environment and nowhere else. Read once, by the wiring of each process."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from passbook.domain.slots import valid_partition_count
from passbook.messaging.security import (
    KafkaSecurity,
    KafkaServers,
    Mechanism,
    Protocol,
    SecurityRefused,
)
from passbook.messaging.topics import DEFAULT_PARTITIONS, DEFAULT_PREFIX, Topics

_PLACE: Final = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:\d*)?")
"""A host, perhaps an IPv6 address, and perhaps a port."""


class MissingSetting(RuntimeError):
    """A variable that this process cannot do without is not set; the message names it."""


class Settings(BaseSettings):
    """Every `PASSBOOK_…` variable. A secret may also come from the file that `…_FILE` names; where
    both are set, the variable itself counts.

    Raises:
        MissingSetting: a DSN, or its file, cannot be used.
        ValidationError: anything else; see `load_settings`.
    """

    # What is refused is told without its value: it may be a secret, or next to one.
    model_config = SettingsConfigDict(
        env_prefix="PASSBOOK_", extra="ignore", hide_input_in_errors=True
    )

    event_store_dsn: SecretStr | None = None
    event_store_dsn_file: Path | None = None
    read_model_dsn: SecretStr | None = None
    read_model_dsn_file: Path | None = None
    kafka_bootstrap: str | None = None
    kafka_security_protocol: Protocol = "PLAINTEXT"
    """How Kafka is reached. PLAINTEXT, when it is set and not only the default, switches the other
    five off; where it is not set, they are refused."""
    kafka_sasl_mechanism: Mechanism = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_sasl_password_file: Path | None = None
    kafka_ssl_ca: Path | None = None
    """The authorities that may sign the brokers' certificates, PEM; the system's by default."""
    kafka_ssl_certificate: Path | None = None
    kafka_ssl_key: Path | None = None
    topic_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{0,100}$")] = DEFAULT_PREFIX
    topic_partitions: int = DEFAULT_PARTITIONS
    topic_replication: Annotated[int, Field(ge=1, le=7)] = 1
    """On how many brokers each record is kept. Topics that are on fewer are refused."""
    topic_min_insync_replicas: Annotated[int, Field(ge=1, le=7)] = 1
    """On how many of them a record must be stored before it is acknowledged: with 2 of 3, one
    broker may be lost without a record, and without a pause. Topics that ask for less are refused."""
    relay_groups: int = 1
    """Into how many groups the slots are dealt, which relays share out: the most relays that have
    something to do at once. The same for all relays of a ledger."""
    kafka_session_timeout_s: Annotated[float, Field(ge=6, le=300)] = 30.0
    """How long a silent member of a consumer group keeps its partitions. A crashed one's are idle
    for that long; a member that is only slow loses its partitions, which costs repeated work."""
    data_dir: Path = Path(".passbook")
    archive_dir: Path | None = None
    """Where the archived part of the log is; `archive` in the data directory by default."""
    cache_dir: Path | None = None
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    tracing: Literal["off", "otlp"] = "off"
    """Send spans by OTLP over HTTP (extra `otel`); where to and which, say the `OTEL_…` variables."""
    build_commit: str = ""
    """The commit that an image was built from, for the metric `build_info`."""
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, lt=65536)] = 0
    http_host: str = "127.0.0.1"
    """Where the query API listens. Without tokens (`jwt_jwks`), loopback only."""
    http_port: Annotated[int, Field(ge=0, lt=65536)] = 8080
    http_max_requests: Annotated[int, Field(ge=1, le=10_000)] = 256
    """HTTP requests in progress at once; further ones are answered 503, at once."""
    jwt_jwks: str | None = None
    """The keys that sign the callers' tokens, as a JSON Web Key Set: a file, or an http(s) URL."""
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    allow_http_without_tokens: bool = False
    """Let the query API listen on other hosts than loopback although nobody is told apart: everybody
    who reaches it may do everything. For a container whose port is published on loopback."""
    inline_projections: Annotated[str, Field(pattern=r"^([a-z_]+(,[a-z_]+)*)?$")] = ""
    """Which read models appends keep in their own transaction, by name, with commas: `balance`.
    `passbook migrate` installs them; the command service appends with them."""
    commands_set_aside: Annotated[str, Field(pattern=r"^(\d{1,2}:\d+(,\d{1,2}:\d+)*)?$")] = ""
    """Records of the command topic that the command service does not look at, as partition:offset,
    with commas: each becomes a dead letter without an outcome. For one that a bug cannot cope with."""
    allow_unsafe_durability: bool = False
    """Let services run on a PostgreSQL whose settings can lose commits. For tests only."""

    @field_validator("topic_partitions")
    @classmethod
    def _slots_stay_whole(cls, value: int) -> int:
        if not valid_partition_count(value):
            message = "must be a power of two up to 64"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _replicas_can_be_in_sync(self) -> "Settings":
        if self.topic_min_insync_replicas > self.topic_replication:
            message = "TOPIC_MIN_INSYNC_REPLICAS cannot be more than TOPIC_REPLICATION"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _partitions_stay_whole(self) -> "Settings":
        if (
            not valid_partition_count(self.relay_groups)
            or self.relay_groups > self.topic_partitions
        ):
            message = (
                f"relay_groups must be a power of two up to {self.topic_partitions} partitions"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _dsns(self) -> "Settings":
        for name in ("event_store_dsn", "read_model_dsn"):
            path: Path | None = getattr(self, f"{name}_file")
            variable = f"PASSBOOK_{name.upper()}"
            dsn: SecretStr | None = getattr(self, name)
            if dsn is not None and not dsn.get_secret_value():
                dsn = None  # a compose file leaves an empty variable where there is none
            if dsn is None and path is not None:
                variable += "_FILE"
                dsn = _secret(path, variable)
            setattr(self, name, dsn)
            if dsn is not None:
                _check_dsn(dsn.get_secret_value(), variable)
        return self

    @property
    def archive(self) -> Path:
        """The directory of the archive."""
        return self.archive_dir or self.data_dir / "archive"

    @property
    def event_store(self) -> str:
        """The DSN of the event store."""
        return _required(self.event_store_dsn, "PASSBOOK_EVENT_STORE_DSN")

    @property
    def read_model(self) -> str:
        """The DSN of the read models; the event store's when there is no other."""
        return _required(self.read_model_dsn or self.event_store_dsn, "PASSBOOK_READ_MODEL_DSN")

    @property
    def kafka(self) -> KafkaServers:
        """Kafka's bootstrap servers, and how to talk to them. The file of the password is read
        each time: one that was changed is taken by whoever connects anew.

        Raises:
            MissingSetting: something is not set, cannot be read, or contradicts something else.
        """
        if not self.kafka_bootstrap:
            message = "PASSBOOK_KAFKA_BOOTSTRAP is not set"
            raise MissingSetting(message)
        if self.kafka_security_protocol == "PLAINTEXT" and (
            "kafka_security_protocol" in self.model_fields_set
        ):
            return KafkaServers(self.kafka_bootstrap)
        try:
            return KafkaServers(self.kafka_bootstrap, self._kafka_security())
        except SecurityRefused as error:
            message = f"PASSBOOK_KAFKA_SECURITY_PROTOCOL and its like: {error}"
            raise MissingSetting(message) from error

    def _kafka_security(self) -> KafkaSecurity:
        password = self.kafka_sasl_password
        if password is None and self.kafka_sasl_password_file is not None:
            password = _secret(self.kafka_sasl_password_file, "PASSBOOK_KAFKA_SASL_PASSWORD_FILE")
        return KafkaSecurity(
            self.kafka_security_protocol,
            self.kafka_sasl_mechanism,
            self.kafka_sasl_username or None,
            password.get_secret_value() if password is not None else None,
            self.kafka_ssl_ca,
            self.kafka_ssl_certificate,
            self.kafka_ssl_key,
        )

    def with_embedded_kafka(self, bootstrap: str) -> "Settings":
        """Return these settings with the servers of this machine, which know no security."""
        return self.model_copy(
            update={"kafka_bootstrap": bootstrap, "kafka_security_protocol": "PLAINTEXT"}
        )

    @property
    def kafka_environment(self) -> dict[str, str]:
        """What a child process needs in its environment to reach the same Kafka, beside what it
        inherits from this one's.
        """
        return {
            "PASSBOOK_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "PASSBOOK_KAFKA_SECURITY_PROTOCOL": self.kafka.security.protocol,
        }

    @property
    def inline(self) -> list[str]:
        """The names in `inline_projections`."""
        return self.inline_projections.split(",") if self.inline_projections else []

    @property
    def set_aside(self) -> frozenset[tuple[int, int]]:
        """The (partition, offset) of the records in `commands_set_aside`."""
        places = self.commands_set_aside.split(",") if self.commands_set_aside else []
        return frozenset((int(part), int(at)) for part, _, at in (p.partition(":") for p in places))

    @property
    def topics(self) -> Topics:
        """The topics these settings name."""
        return Topics(
            self.topic_prefix,
            self.topic_partitions,
            self.topic_replication,
            self.topic_min_insync_replicas,
        )


def load_settings() -> Settings:
    """Return the settings of this process.

    Raises:
        MissingSetting: a variable, or the file that one names, cannot be used. Its value is not told.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise MissingSetting(told(error)) from None


def told(error: ValidationError) -> str:
    """Return what is wrong with which variables, without their values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        f"PASSBOOK_{'_'.join(map(str, one['loc'])).upper()}: {one['msg']}"
        if one["loc"]
        else one["msg"].removeprefix("Value error, ")
        for one in found
    )


def _secret(path: Path, name: str) -> SecretStr:
    try:
        secret = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        message = f"{name}: {path}: {reason}"
        raise MissingSetting(message) from None  # the decoder's error holds what it could not read
    if not secret:
        message = f"{name}: {path}: empty"
        raise MissingSetting(message)
    return SecretStr(secret)


def _check_dsn(dsn: str, name: str) -> None:
    """Return if the driver can take a DSN apart. What it says of one it cannot may quote a part of
    the password.
    """
    try:
        parts = urlsplit(dsn)
    except ValueError:
        parts = urlsplit("")
    places = parts.netloc.rpartition("@")[2].split(",")  # a cluster has several
    fits = parts.scheme in {"postgresql", "postgres"} and all(map(_PLACE.fullmatch, places))
    if not fits or any(character.isspace() for character in dsn):
        message = (
            f"{name} is no URL like postgresql://login:password@host:5432/database; "
            "what is special in a URL has to be percent-encoded, in the password too"
        )
        raise MissingSetting(message)


def _required(dsn: SecretStr | None, name: str) -> str:
    if dsn is None:
        message = f"{name} is not set"
        raise MissingSetting(message)
    return dsn.get_secret_value()

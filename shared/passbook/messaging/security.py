"""How Kafka is reached: where, over what, and as whom. Every client that is built is given this.

    KafkaServers("kafka:9092", KafkaSecurity(username="payroll", password=…, ca_file="ca.pem"))

A bare string of bootstrap servers means no security: everybody who reaches the port may read it all.
"""

import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]

_CONTEXTS: Final = 16
"""TLS configurations that are kept; a process has one, and one more for each renewed file."""


class SecurityRefused(ValueError):
    """The security settings make no sense, or a file of theirs cannot be used. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """TLS (`ca_file`), and who one is: a `username` with its `password`, or a client certificate.

    The server's certificate must be signed by what is in `ca_file` (the system's authorities when
    there is none) and name the host that is connected to. `certificate_file` and `key_file` are for
    brokers that ask for a client certificate; the certificate's file may hold the key too. All
    files are PEM.

    Raises:
        SecurityRefused: two of the values contradict each other; the message says which.
    """

    protocol: Protocol = "SASL_SSL"
    mechanism: Mechanism = "SCRAM-SHA-512"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | Path | None = None
    certificate_file: str | Path | None = None
    key_file: str | Path | None = None

    def __post_init__(self) -> None:
        """Refuse what would be less secure than it looks."""
        if reason := self._contradiction():
            raise SecurityRefused(reason)

    @property
    def sasl(self) -> bool:
        """Whether a name and a password say who one is."""
        return self.protocol.startswith("SASL_")

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted, and the server has to prove who it is."""
        return self.protocol.endswith("SSL")

    def _contradiction(self) -> str | None:
        if self.sasl and not (self.username and self.password):
            return f"{self.protocol} needs a username and a password"
        if not self.sasl and (self.username or self.password):
            return f"{self.protocol} uses no username and no password: is SASL_SSL meant?"
        if not self.tls and (self.ca_file or self.certificate_file or self.key_file):
            return f"{self.protocol} uses no certificates: is SASL_SSL meant, or SSL?"
        if self.key_file and not self.certificate_file:
            return "a key needs its certificate"
        if self.protocol == "SASL_PLAINTEXT" and self.mechanism == "PLAIN":
            return "PLAIN sends the password as it is: it needs SASL_SSL, or take SCRAM-SHA-512"
        return None

    def options(self) -> dict[str, Any]:
        """Return what aiokafka's clients are told.

        Raises:
            SecurityRefused: a file cannot be read, or holds no certificate or key.
        """
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.tls:
            files = (self.ca_file, self.certificate_file, self.key_file)
            options["ssl_context"] = _context(*map(_version, files))
        if self.sasl:
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return options


NO_SECURITY: Final = KafkaSecurity("PLAINTEXT")


@dataclass(frozen=True, slots=True)
class KafkaServers:
    """Kafka's bootstrap servers (`host:port`, with commas), and how to talk to them."""

    bootstrap: str
    security: KafkaSecurity = NO_SECURITY

    def __str__(self) -> str:
        """Return the servers alone: what may be shown to anybody."""
        return self.bootstrap


def servers_of(kafka: str | KafkaServers) -> KafkaServers:
    """Return the servers that are meant; a bare string means no security."""
    return KafkaServers(kafka) if isinstance(kafka, str) else kafka


def connection_options(kafka: str | KafkaServers) -> dict[str, Any]:
    """Return the arguments by which any aiokafka client reaches these servers.

    Raises:
        SecurityRefused: see `KafkaSecurity.options`.
    """
    servers = servers_of(kafka)
    return {"bootstrap_servers": servers.bootstrap, **servers.security.options()}


_Version = tuple[str, int]


def _version(file: str | Path | None) -> _Version | None:
    """Return a file's name and when it changed: a renewed certificate is another one."""
    if file is None:
        return None
    try:
        return str(file), Path(file).stat().st_mtime_ns
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise SecurityRefused(message) from error


@lru_cache(_CONTEXTS)
def _context(
    authorities: _Version | None, certificate: _Version | None, key: _Version | None
) -> ssl.SSLContext:
    """Return the context, made once: loading the system's authorities takes some 20 ms."""
    context = _trusting(authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        try:
            context.load_cert_chain(certificate[0], key[0] if key is not None else None, _no_prompt)
        except OSError as error:
            where = certificate[0] if key is None else f"{certificate[0]} and {key[0]}"
            message = f"{where}: no certificate with its key can be read there: {error.strerror}"
            raise SecurityRefused(message) from error
    return context


def _trusting(authorities: _Version | None) -> ssl.SSLContext:
    if authorities is None:
        return ssl.create_default_context()  # checks the host's name, and wants a certificate
    try:
        return ssl.create_default_context(cafile=authorities[0])
    except OSError as error:
        message = f"{authorities[0]}: no certificates can be read there: {error.strerror}"
        raise SecurityRefused(message) from error


def _no_prompt() -> str:
    """Stand for the password of a key that has one; OpenSSL would ask the terminal for it."""
    return ""

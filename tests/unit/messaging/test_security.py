import ssl
from pathlib import Path

import pytest

from passbook.client import PassbookClient
from passbook.config import MissingSetting, Settings
from passbook.messaging.security import (
    KafkaSecurity,
    KafkaServers,
    SecurityRefused,
    connection_options,
)
from tests.support.certificates import Authority

SECRET = "very-secret"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Give a certificate authority of its own."""
    return Authority(tmp_path_factory.mktemp("authority"))


def test_a_bare_string_means_no_security() -> None:
    options = {"bootstrap_servers": "here:9092", "security_protocol": "PLAINTEXT"}
    assert connection_options("here:9092") == options
    assert connection_options(KafkaServers("here:9092")) == options


def test_a_user_is_told_to_the_broker_over_tls(authority: Authority) -> None:
    security = KafkaSecurity(username="payroll", password=SECRET, ca_file=authority.file)

    options = connection_options(KafkaServers("here:9092", security))

    context = options.pop("ssl_context")
    assert options == {
        "bootstrap_servers": "here:9092",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "payroll",
        "sasl_plain_password": SECRET,
    }
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_context_is_made_once_and_anew_for_a_renewed_file(authority: Authority) -> None:
    certificate, key = authority.issue("client")
    security = KafkaSecurity(
        "SSL", ca_file=authority.file, certificate_file=certificate, key_file=key
    )

    first, second = (security.options()["ssl_context"] for _ in range(2))
    authority.issue("client")

    assert first is second
    assert security.options()["ssl_context"] is not first


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "needs a username and a password"),
        ({"username": "payroll"}, "needs a username and a password"),
        ({"protocol": "SSL", "username": "payroll"}, "uses no username"),
        ({"protocol": "PLAINTEXT", "password": SECRET}, "uses no username"),
        ({"protocol": "PLAINTEXT", "ca_file": "ca.pem"}, "uses no certificates"),
        ({"protocol": "SSL", "key_file": "key.pem"}, "a key needs its certificate"),
        (
            {
                "protocol": "SASL_PLAINTEXT",
                "mechanism": "PLAIN",
                "username": "payroll",
                "password": SECRET,
            },
            "PLAIN sends the password as it is",
        ),
    ],
)
def test_what_is_less_secure_than_it_looks_is_refused(values: dict[str, str], reason: str) -> None:
    with pytest.raises(SecurityRefused, match=reason) as refused:
        KafkaSecurity(**values)  # type: ignore[arg-type]
    assert SECRET not in str(refused.value)


def test_a_file_that_cannot_be_used_is_named(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("one")
    _, other = authority.issue("other")
    no_certificate = tmp_path / "no.pem"
    no_certificate.write_text("nothing")
    for ca, pair in (
        (tmp_path / "missing.pem", (None, None)),
        (no_certificate, (None, None)),
        (tmp_path, (None, None)),
        (authority.file, (certificate, other)),
        (authority.file, (certificate, None)),
        (authority.file, (tmp_path / "missing.pem", key)),
    ):
        security = KafkaSecurity("SSL", "PLAIN", None, None, ca, *pair)
        with pytest.raises(SecurityRefused, match=r"\.pem|test_a_file"):
            security.options()
        with pytest.raises(SecurityRefused):
            PassbookClient("here:9092", security=security)


def test_the_password_is_in_no_representation() -> None:
    security = KafkaSecurity(username="payroll", password=SECRET)
    servers = KafkaServers("here:9092", security)
    assert SECRET not in f"{security} {security!r} {servers} {servers!r}"
    assert str(servers) == "here:9092"


def test_settings_read_the_password_anew_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    monkeypatch.setenv("PASSBOOK_KAFKA_BOOTSTRAP", "here:9092")
    monkeypatch.setenv("PASSBOOK_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("PASSBOOK_KAFKA_SASL_USERNAME", "payroll")
    monkeypatch.setenv("PASSBOOK_KAFKA_SASL_PASSWORD_FILE", str(file))
    settings = Settings()

    with pytest.raises(MissingSetting, match=r"PASSWORD_FILE.*No such file"):
        assert settings.kafka
    for password in ("first", "second"):
        file.write_text(f"{password}\n")
        expected = KafkaSecurity(username="payroll", password=password)
        assert settings.kafka == KafkaServers("here:9092", expected)


def test_a_user_without_a_protocol_is_refused_and_plaintext_said_aloud_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PASSBOOK_KAFKA_BOOTSTRAP", "here:9092")
    monkeypatch.setenv("PASSBOOK_KAFKA_SASL_USERNAME", "payroll")
    monkeypatch.setenv("PASSBOOK_KAFKA_SASL_PASSWORD", SECRET)

    with pytest.raises(MissingSetting, match="PASSBOOK_KAFKA_SECURITY_PROTOCOL") as refused:
        assert Settings().kafka
    assert SECRET not in str(refused.value)
    monkeypatch.setenv("PASSBOOK_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    assert Settings().kafka == KafkaServers("here:9092")


def test_a_kafka_of_this_machine_has_no_security(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSBOOK_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")

    settings = Settings().with_embedded_kafka("127.0.0.1:1")

    assert settings.kafka == KafkaServers("127.0.0.1:1")
    assert settings.kafka_environment == {
        "PASSBOOK_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "PASSBOOK_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
    }

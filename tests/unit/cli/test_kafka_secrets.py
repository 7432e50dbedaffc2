import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from passbook.cli.app import run
from passbook.cli.logins import OF_SERVICE
from passbook.cli.secrets import passwords_in
from passbook.messaging.acls import PRINCIPALS
from passbook.messaging.security import KafkaSecurity

HOSTS = ("--kafka", "kafka", "--kafka", "127.0.0.1")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Give a directory with everything."""
    assert run(["secrets", "create", str(tmp_path), *HOSTS]) == 0
    return tmp_path


def files(directory: Path) -> dict[str, str]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_text() for path in found}


def test_every_service_gets_its_own_password_and_everybody_the_authority(made: Path) -> None:
    known = passwords_in(made / "owner" / "kafka_passwords", PRINCIPALS)
    assert len(set(known.values())) == len(PRINCIPALS)
    for folder, user in {**OF_SERVICE, "client": "passbook_client"}.items():
        assert (made / folder / "kafka_password").read_text() == known[user]
        security = KafkaSecurity(
            username=user, password="x", ca_file=made / folder / "kafka_ca.pem"
        )
        assert security.options()["ssl_context"].get_ca_certs()


def test_brokers_are_certified_for_their_names_and_the_admin_for_its_own(made: Path) -> None:
    node = x509.load_pem_x509_certificate((made / "kafka" / "node.pem").read_bytes())
    authority = x509.load_pem_x509_certificate((made / "kafka" / "ca.pem").read_bytes())
    names = node.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["kafka"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    node.verify_directly_issued_by(authority)
    admin = made / "owner" / "kafka_admin.pem"
    x509.load_pem_x509_certificate(admin.read_bytes()).verify_directly_issued_by(authority)
    ssl.create_default_context().load_cert_chain(admin)


def test_what_is_there_stays_and_what_is_gone_is_made_by_the_same_authority(made: Path) -> None:
    before = files(made)
    (made / "kafka" / "node.pem").unlink()

    assert run(["secrets", "create", str(made), *HOSTS]) == 0

    after = files(made)
    assert {name for name in before if before[name] != after[name]} == {"kafka/node.pem"}
    node = x509.load_pem_x509_certificate(after["kafka/node.pem"].encode())
    node.verify_directly_issued_by(x509.load_pem_x509_certificate(before["kafka/ca.pem"].encode()))


def test_only_what_a_broker_reads_can_be_read_by_others(made: Path) -> None:
    readable = {
        str(path.relative_to(made))
        for path in made.rglob("*")
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077
    }
    private = {name for name in readable if not name.endswith("ca.pem")}
    assert private == {"postgres/password", "kafka/node.pem"}


def test_nothing_of_it_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["secrets", "create", str(tmp_path), *HOSTS, "--json"]) == 0
    said = "".join(capsys.readouterr())
    secret = [text for name, text in files(tmp_path).items() if "password" in name]
    assert secret
    assert not any(text in said for text in secret)
    assert "PRIVATE" not in said


def test_without_brokers_there_is_nothing_for_kafka(tmp_path: Path) -> None:
    assert run(["secrets", "create", str(tmp_path)]) == 0
    assert not any("kafka" in name for name in files(tmp_path))

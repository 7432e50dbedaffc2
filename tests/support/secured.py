"""A Kafka as it should be outside of tests: TLS, a password for everybody, and nothing for those who
have no ACL. One for the whole run, and only when a test asks for it.

    CLIENT   SASL_SSL: everybody, by SCRAM
    ADMIN    SSL with a client certificate: the broker itself and the principal passbook_admin
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from passbook.embedded.kafka import EmbeddedKafka
from passbook.embedded.ports import LOOPBACK, remembered_port
from passbook.messaging.acls import PRINCIPALS
from passbook.messaging.admin import kafka_admin
from passbook.messaging.authorizer import set_passwords
from passbook.messaging.security import KafkaSecurity, KafkaServers
from tests.support.certificates import Authority

PASSWORD: Final = "correct horse battery {}"
STRANGER: Final = "stranger"
"""Somebody who can log in and has no ACL."""
REAUTHENTICATION_MS: Final = 1500
"""How long a connection that logged in by SCRAM-SHA-256 lasts."""

SETTINGS: Final = """
listeners=CLIENT://{client},ADMIN://{admin},CONTROLLER://{controller}
advertised.listeners=CLIENT://{client},ADMIN://{admin},CONTROLLER://{controller}
listener.security.protocol.map=CLIENT:SASL_SSL,ADMIN:SSL,CONTROLLER:SSL
inter.broker.listener.name=ADMIN
ssl.keystore.type=PEM
ssl.keystore.location={node}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
ssl.principal.mapping.rules=RULE:^CN=(.*?)(,.*)?$/$1/
listener.name.admin.ssl.client.auth=required
listener.name.controller.ssl.client.auth=required
listener.name.client.sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256
listener.name.client.scram-sha-512.sasl.jaas.config={scram}
listener.name.client.scram-sha-256.sasl.jaas.config={scram}
listener.name.client.scram-sha-256.connections.max.reauth.ms={reauthentication}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:kafka;User:passbook_admin
""".replace("{scram}", "org.apache.kafka.common.security.scram.ScramLoginModule required;")
"""As deploy/compose/kafka-security.yml has them, to which a test compares them, and SCRAM-SHA-256."""


class SecuredKafka(EmbeddedKafka):
    """An embedded Kafka with these settings, and how to reach it."""

    def __init__(self, data_dir: Path, authority: Authority) -> None:
        """Take who signs the certificates."""
        super().__init__(data_dir)
        self.authority = authority
        self.admin_port = 0
        data_dir.mkdir(parents=True, exist_ok=True)
        certificate, key = authority.issue("kafka", LOOPBACK)
        self._node = data_dir / "node.pem"
        self._node.write_text(key.read_text() + certificate.read_text())
        self._admin = authority.issue("passbook_admin")

    def as_user(self, name: str, **values: str) -> KafkaServers:
        """Return how a user reaches it; `values` replace those that are right."""
        known = {"password": PASSWORD.format(name), "ca_file": str(self.authority.file)} | values
        return KafkaServers(self.bootstrap, KafkaSecurity(username=name, **known))  # type: ignore[arg-type]

    def environment(self, name: str) -> dict[str, str]:
        """Return the settings by which a service reaches it as a user."""
        return {
            "PASSBOOK_KAFKA_BOOTSTRAP": self.bootstrap,
            "PASSBOOK_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "PASSBOOK_KAFKA_SASL_USERNAME": name,
            "PASSBOOK_KAFKA_SASL_PASSWORD": PASSWORD.format(name),
            "PASSBOOK_KAFKA_SSL_CA": str(self.authority.file),
        }

    @property
    def admin_environment(self) -> dict[str, str]:
        """The settings by which the command line reaches it as a super user."""
        certificate, key = self._admin
        return {
            "PASSBOOK_KAFKA_BOOTSTRAP": f"{LOOPBACK}:{self.admin_port}",
            "PASSBOOK_KAFKA_SECURITY_PROTOCOL": "SSL",
            "PASSBOOK_KAFKA_SSL_CA": str(self.authority.file),
            "PASSBOOK_KAFKA_SSL_CERTIFICATE": str(certificate),
            "PASSBOOK_KAFKA_SSL_KEY": str(key),
        }

    @property
    def as_admin(self) -> KafkaServers:
        """How the super user reaches it."""
        certificate, key = self._admin
        security = KafkaSecurity(
            "SSL", ca_file=self.authority.file, certificate_file=certificate, key_file=key
        )
        return KafkaServers(f"{LOOPBACK}:{self.admin_port}", security)

    def _configure(self) -> int:
        controller = super()._configure()
        self.admin_port = remembered_port(self.data_dir / "admin.port")
        added = SETTINGS.format(
            client=self.bootstrap,
            admin=f"{LOOPBACK}:{self.admin_port}",
            controller=f"{LOOPBACK}:{controller}",
            node=self._node,
            authority=self.authority.file,
            reauthentication=REAUTHENTICATION_MS,
        )
        for file in (self._properties, self._format_properties):
            file.write_text(file.read_text() + added)  # the last one of a name counts
        return controller

    async def _answers(self) -> bool:
        return await self._describes_itself(self.as_admin)


@pytest.fixture(scope="session")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredKafka]:
    """Give a secured Kafka whose users have passwords, and no ACLs."""
    folder = tmp_path_factory.mktemp("secured")
    folder.chmod(0o711)
    kafka = SecuredKafka(folder / "kafka", Authority(folder))
    await kafka.start()
    try:
        async with kafka_admin(kafka.as_admin) as admin:
            users = (*PRINCIPALS, STRANGER)
            await set_passwords(admin, {name: PASSWORD.format(name) for name in users})
        yield kafka
    finally:
        await kafka.stop()

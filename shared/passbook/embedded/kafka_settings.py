"""What the Kafka node is told: properties, log4j, JVM options.

It runs on a developer's machine, so it is small and quick to start.
"""

import base64
import secrets
from typing import Final

from passbook.embedded.ports import LOOPBACK

RECORD_LIMIT_BYTES: Final = 8 * 1024 * 1024
BATCH_LIMIT_BYTES: Final = RECORD_LIMIT_BYTES + 64 * 1024

JVM: Final = (
    "-Xms64m",
    "-Xmx256m",
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:ReservedCodeCacheSize=48m",
    "-XX:MaxMetaspaceSize=128m",
    "-XX:MaxDirectMemorySize=64m",
    "-XX:+UseCompactObjectHeaders",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",  # a file in /tmp for each JVM
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)
QUICK_START: Final = (
    "-XX:TieredStopAtLevel=1"  # half the start, but a third of the throughput under load
)

SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "CLIENT",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # A node that was killed is let in again when its former session has lapsed: a start in 4.5 s,
    # and in 12 s with the default of 9 s.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "num.network.threads": "1",
    "num.io.threads": "2",
    "background.threads": "2",
    "group.coordinator.threads": "1",
    "num.recovery.threads.per.data.dir": "1",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "log.index.size.max.bytes": "1048576",
    "message.max.bytes": str(BATCH_LIMIT_BYTES),
    "replica.fetch.max.bytes": str(BATCH_LIMIT_BYTES),
    "socket.request.max.bytes": str(100 * 1024 * 1024),
}

LOG4J: Final = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = kafka.log
appender.file.filePattern = kafka.log.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{ISO8601} %p %c{1} %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 16MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 1
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
"""


def properties(log_dir: str, client_port: int, controller_port: int) -> str:
    """Return `server.properties` of a node with these ports whose data is in `log_dir`."""
    client, controller = f"{LOOPBACK}:{client_port}", f"{LOOPBACK}:{controller_port}"
    settings = SETTINGS | {
        "listeners": f"CLIENT://{client},CONTROLLER://{controller}",
        "advertised.listeners": f"CLIENT://{client},CONTROLLER://{controller}",
        "controller.quorum.bootstrap.servers": controller,
        "log.dirs": log_dir,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def new_cluster_id() -> str:
    """Return 16 random bytes as 22 characters of base64url.

    Never with a dash in front, which the tool takes for an option. Source: Kafka, Uuid.randomUuid.
    """
    while True:
        name = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not name.startswith("-"):
            return name

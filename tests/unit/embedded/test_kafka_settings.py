"""What the Kafka node is told."""

import re

from passbook.embedded.kafka_settings import new_cluster_id, properties


def test_cluster_id_is_never_taken_for_an_option() -> None:
    """One in 64 ids that are merely random begins with a dash, and the node cannot be formatted."""
    assert all(
        re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", new_cluster_id()) for _ in range(2000)
    )


def test_properties_name_both_ports_on_loopback_only() -> None:
    lines = properties("data", 20001, 20002).splitlines()
    listeners = "CLIENT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002"
    assert f"listeners={listeners}" in lines
    assert f"advertised.listeners={listeners}" in lines
    assert "controller.quorum.bootstrap.servers=127.0.0.1:20002" in lines
    assert "log.dirs=data" in lines

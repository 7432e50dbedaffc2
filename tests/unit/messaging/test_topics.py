"""The topics as code."""

import pytest

from passbook.messaging.topics import Topics

_DAY = 24 * 60 * 60 * 1000


def test_names_and_settings_are_those_of_the_contract() -> None:
    specs = {spec.name: spec for spec in Topics().specs()}
    assert set(specs) == {
        "bank.commands",
        "bank.events",
        "bank.outcomes",
        "bank.commands.dlq",
        "bank.events.balance.dlq",
        "bank.events.audit.dlq",
    }
    assert {spec.partitions for spec in specs.values()} == {16}
    assert {spec.config["cleanup.policy"] for spec in specs.values()} == {"delete"}
    kept = {name: int(spec.config["retention.ms"]) for name, spec in specs.items()}
    assert kept["bank.events"] == -1
    assert kept["bank.commands"] == kept["bank.outcomes"] == 7 * _DAY
    assert kept["bank.commands.dlq"] == kept["bank.events.audit.dlq"] == 90 * _DAY


def test_a_dead_letter_has_room_for_every_command_and_its_reason() -> None:
    specs = {spec.name: spec.config for spec in Topics().specs()}
    command = int(specs["bank.commands"]["max.message.bytes"])
    letter = int(specs["bank.commands.dlq"]["max.message.bytes"])
    assert command > 2 * 1024 * 1024
    assert letter >= command + 64 * 1024


@pytest.mark.parametrize("partitions", [0, 3, 12, 128, -4])
def test_a_number_of_partitions_that_splits_slots_is_refused(partitions: int) -> None:
    with pytest.raises(ValueError, match="power of two up to 64"):
        Topics("x.", partitions)


def test_a_prefix_is_put_before_every_name() -> None:
    assert all(spec.name.startswith("test-1.") for spec in Topics("test-1.", 4).specs())


def test_more_replicas_in_sync_than_there_are_is_refused() -> None:
    Topics(replication=3, min_insync_replicas=3)
    with pytest.raises(ValueError, match="2 in-sync replicas cannot be asked for"):
        Topics(min_insync_replicas=2)

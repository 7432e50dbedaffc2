"""The table of ACLs, and what is told of brokers that know others."""

import pytest

from passbook.messaging.acls import (
    CLIENT,
    PRINCIPALS,
    Acl,
    Kind,
    Operation,
    Pattern,
    Permission,
    Right,
    acls,
)
from passbook.messaging.authorizer import compare
from passbook.messaging.topics import Topics

TABLE = acls(Topics())
READS_EVENTS = Right(Operation.READ, Kind.TOPIC, "bank.events")


def test_nobody_of_the_table_may_change_topics_or_rights() -> None:
    harmless = {
        *(Operation.READ, Operation.WRITE, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS),
    }
    assert {acl.right.operation for acl in TABLE} == harmless
    assert {acl.principal for acl in TABLE} == set(PRINCIPALS)
    assert all(acl.right.name.startswith("bank.") for acl in TABLE if acl.right.kind is Kind.TOPIC)


def test_only_the_relay_and_an_operator_write_events() -> None:
    writes = Right(Operation.WRITE, Kind.TOPIC, "bank.events")
    writers = {acl.principal for acl in TABLE if acl.right == writes}
    assert writers == {"passbook_outbox_relay", "passbook_operator"}


def test_a_further_client_gets_what_the_client_has() -> None:
    more = acls(Topics(), ["payroll"]) - TABLE
    assert {acl.principal for acl in more} == {"payroll"}
    assert {acl.right for acl in more} == {acl.right for acl in TABLE if acl.principal == CLIENT}


def test_without_a_prefix_there_is_no_table() -> None:
    with pytest.raises(ValueError, match="topic prefix"):
        acls(Topics(""))


def test_what_differs_is_told_apart() -> None:
    lost = Acl("passbook_audit_projector", READS_EVENTS)
    widened = Acl("passbook_client", Right(Operation.WRITE, Kind.TOPIC, "bank.events"))
    everybody = Acl("*", Right(Operation.READ, Kind.TOPIC, "*"))
    elsewhere = Acl("passbook_audit_projector", READS_EVENTS, "10.0.0.1")
    other = Acl("payroll", READS_EVENTS)
    by_prefix = Acl("payroll", Right(Operation.ALL, Kind.TOPIC, "ban", Pattern.PREFIXED))
    unrelated = Acl("payroll", Right(Operation.READ, Kind.TOPIC, "invoices"))

    changes = compare(
        TABLE,
        TABLE - {lost} | {widened, everybody, elsewhere, other, by_prefix, unrelated},
    )

    assert lost in TABLE
    assert changes.missing == [lost]
    assert set(changes.surplus) == {widened, everybody, elsewhere}
    assert set(changes.foreign) == {other, by_prefix}


def test_an_acl_is_told_as_a_sentence() -> None:
    denied = Right(Operation.READ, Kind.GROUP, "bank.", Pattern.PREFIXED, Permission.DENY)
    assert str(Acl("passbook_client", denied)) == "passbook_client may not read group bank.*"
    configs = Right(Operation.DESCRIBE_CONFIGS, Kind.TOPIC, "bank.events")
    assert str(Acl("a", configs, "10.0.0.1")) == (
        "a may describe configs topic bank.events, from 10.0.0.1"
    )

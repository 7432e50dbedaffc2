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
    guarded,
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


@pytest.mark.parametrize(
    "right",
    [
        Right(Operation.WRITE, Kind.TOPIC, "bank.events"),
        Right(Operation.WRITE, Kind.TOPIC, "bank.outcomes"),
        Right(Operation.WRITE, Kind.TOPIC, "bank.events.balance.dlq"),
        Right(Operation.ALL, Kind.TOPIC, "*"),
        Right(Operation.WRITE, Kind.TOPIC, "bank.", Pattern.PREFIXED),
        Right(Operation.READ, Kind.GROUP, "bank.command-service"),
        Right(Operation.READ, Kind.GROUP, "*"),
        Right(Operation.ALL, Kind.GROUP, "bank.audit", Pattern.PREFIXED),
        Right(Operation.ALTER, Kind.CLUSTER, "kafka-cluster"),
    ],
    ids=str,
)
def test_what_nobody_outside_of_the_table_should_have_is_told_apart(right: Right) -> None:
    """From one host, too. Seen to fail for each of the topics, the groups, and the cluster without its
    line in `guarded`.
    """
    mallory = Acl("mallory", right, "10.0.0.1")
    changes = compare(TABLE, TABLE | {mallory}, guarded(Topics()))
    assert changes == ([], [], [mallory], [])


@pytest.mark.parametrize(
    "right",
    [
        Right(Operation.WRITE, Kind.TOPIC, "bank.commands"),
        Right(Operation.READ, Kind.TOPIC, "bank.events"),
        Right(Operation.DESCRIBE, Kind.GROUP, "*"),
        Right(Operation.IDEMPOTENT_WRITE, Kind.CLUSTER, "kafka-cluster"),
        Right(Operation.WRITE, Kind.TOPIC, "bank.events", permission=Permission.DENY),
    ],
    ids=str,
)
def test_what_others_may_have_is_nothing_forbidden(right: Right) -> None:
    changes = compare(TABLE, TABLE | {Acl("payroll", right)}, guarded(Topics()))
    assert (changes.forbidden, changes.foreign) == ([], [Acl("payroll", right)])


def test_what_is_denied_is_not_given() -> None:
    """A client of another call has the right to read in any group, and is denied the services'. Seen to
    fail without the look at denials; and, for one host, without that at their host.
    """
    client = acls(Topics(), ["payroll"]) - TABLE
    assert compare(TABLE, TABLE | client, guarded(Topics())).forbidden == []
    somewhere = {
        acl._replace(host="10.0.0.1") if acl.right.permission is Permission.DENY else acl
        for acl in client
    }
    any_group = Acl("payroll", Right(Operation.READ, Kind.GROUP, "*"))
    assert compare(TABLE, TABLE | somewhere, guarded(Topics())).forbidden == [any_group]
    everybodys = {
        acl._replace(principal="*") if acl.right.permission is Permission.DENY else acl
        for acl in client
    }
    assert compare(TABLE, TABLE | everybodys, guarded(Topics())).forbidden == []


def test_an_acl_is_told_as_a_sentence() -> None:
    denied = Right(Operation.READ, Kind.GROUP, "bank.", Pattern.PREFIXED, Permission.DENY)
    assert str(Acl("passbook_client", denied)) == "passbook_client may not read group bank.*"
    configs = Right(Operation.DESCRIBE_CONFIGS, Kind.TOPIC, "bank.events")
    assert str(Acl("a", configs, "10.0.0.1")) == (
        "a may describe configs topic bank.events, from 10.0.0.1"
    )

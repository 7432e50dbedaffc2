"""For other people's code: publish commands, await their outcomes, subscribe to events.

    async with PassbookClient(bootstrap_servers="localhost:9092") as bank:
        opened = await bank.open_account("Alice", "500.00")
        try:
            await bank.withdraw(opened.account_id, "1000.00", "a car")
        except CommandRejected as refused:
            print(refused.code)                            # insufficient_funds
        async for received in bank.subscribe(group="mailings", types={AccountOpened}):
            match received.event:
                case AccountOpened(owner_name=name):
                    await send_welcome(name)
            await received.ack()

Commands
    `open_account`, `deposit`, `withdraw`, `freeze`, `close` return an accepted `Outcome` or raise
    `CommandRejected`; `execute` returns either outcome; `send` waits for Kafka only. Amounts are
    Decimal, str or int. A command id, given or made, has one effect and one outcome for ever:
    `OutcomeUnknown` carries it, and asking again with it is safe, also after a crash.

Subscriptions
    At least once: what was not acknowledged comes again, after a restart or to another member of
    the group, and nothing else does, but for the last half second before a crash. In order: an
    event of an account is handed out when the one before it is acknowledged, however many tasks
    iterate; a single reader gets each slot in its order. Complete: repeated events are passed over,
    and a missing number of a slot raises `EventsMissing`, also across restarts. Never more than
    `max_in_flight` are out, and reading stops with them. Kafka forgets a group that nobody has
    belonged to for seven days (`offsets.retention.minutes`), and it begins anew: keep `slot_seq` or
    `version` with what you write.

Security
    `PassbookClient(servers, security=KafkaSecurity(username="payroll", password=secret,
    ca_file="ca.pem"))` speaks TLS and proves who it is by SCRAM-SHA-512; `KafkaSecurity` says what
    else there is. Without it, nothing is encrypted and nobody is asked for a password.

For tests
    `passbook.client.testing.FakeBank` is a bank in memory; take a `Bank` and you can be given either.

It needs Kafka and nothing else; installed without extras, it brings aiokafka, pydantic and orjson.
One client serves any number of tasks of an event loop.
"""

from passbook.client.bank import Bank
from passbook.client.client import PassbookClient
from passbook.client.errors import (
    BankUnreachable,
    ClientError,
    CommandRejected,
    EventsMissing,
    OutcomeUnknown,
    SubscriptionStopped,
    UnreadableRecord,
)
from passbook.client.outcome import Outcome, Refusal
from passbook.client.received import ReceivedEvent
from passbook.client.subscription import Subscription
from passbook.domain.commands import (
    CloseAccount,
    Command,
    DepositMoney,
    FreezeAccount,
    OpenAccount,
    WithdrawMoney,
)
from passbook.domain.errors import MalformedValue
from passbook.domain.events import (
    AccountClosed,
    AccountEvent,
    AccountFrozen,
    AccountOpened,
    MoneyDeposited,
    MoneyWithdrawn,
)
from passbook.messaging.security import KafkaSecurity, SecurityRefused
from passbook.messaging.topics import TopicMismatch, Topics

__all__ = [
    "AccountClosed",
    "AccountEvent",
    "AccountFrozen",
    "AccountOpened",
    "Bank",
    "BankUnreachable",
    "ClientError",
    "CloseAccount",
    "Command",
    "CommandRejected",
    "DepositMoney",
    "EventsMissing",
    "FreezeAccount",
    "KafkaSecurity",
    "MalformedValue",
    "MoneyDeposited",
    "MoneyWithdrawn",
    "OpenAccount",
    "Outcome",
    "OutcomeUnknown",
    "PassbookClient",
    "ReceivedEvent",
    "Refusal",
    "SecurityRefused",
    "Subscription",
    "SubscriptionStopped",
    "TopicMismatch",
    "Topics",
    "UnreadableRecord",
    "WithdrawMoney",
]

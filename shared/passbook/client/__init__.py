"""For other people's code: publish commands, await their outcomes.

    async with PassbookClient(bootstrap_servers="localhost:9092") as bank:
        opened = await bank.open_account("Alice", "500.00")
        try:
            await bank.withdraw(opened.account_id, "1000.00", "a car")
        except CommandRejected as refused:
            print(refused.code)                     # insufficient_funds

It needs Kafka and nothing else: no database driver is imported, no consumer group is joined.
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
from passbook.messaging.topics import TopicMismatch, Topics

__all__ = [
    "Bank",
    "BankUnreachable",
    "ClientError",
    "CloseAccount",
    "Command",
    "CommandRejected",
    "DepositMoney",
    "EventsMissing",
    "FreezeAccount",
    "MalformedValue",
    "OpenAccount",
    "Outcome",
    "OutcomeUnknown",
    "PassbookClient",
    "ReceivedEvent",
    "Refusal",
    "Subscription",
    "SubscriptionStopped",
    "TopicMismatch",
    "Topics",
    "UnreadableRecord",
    "WithdrawMoney",
]

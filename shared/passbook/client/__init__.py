"""For other people's code: publish commands, await their outcomes.

    async with PassbookClient("localhost:9092") as bank:
        outcome = await bank.execute(DepositMoney(account_id, Decimal("20.00"), "salary"))
        if not outcome.accepted:
            print(outcome.error)

It needs Kafka and nothing else: no database driver is imported, no consumer group is joined.
"""

from passbook.client.client import PassbookClient
from passbook.client.errors import BankUnreachable, ClientError, OutcomeUnknown
from passbook.client.outcome import Outcome, Refusal

__all__ = [
    "BankUnreachable",
    "ClientError",
    "Outcome",
    "OutcomeUnknown",
    "PassbookClient",
    "Refusal",
]

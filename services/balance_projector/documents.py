"""An account as others are told about it: the command line and HTTP say the same."""

from datetime import datetime
from typing import NamedTuple

from passbook.eventstore.past import PastState
from passbook.messaging.cloudevents import format_time
from services.balance_projector.queries import AccountRow


class AccountState(NamedTuple):
    """An account as of its version, which was recorded at `recorded_at`.

    That is None only while a balance view of another ledger is shown.
    """

    account: AccountRow
    recorded_at: datetime | None

    def to_dict(self) -> dict[str, object]:
        """Return the document of `account show --json` and of `GET /v1/accounts/{id}`."""
        account = self.account
        return {
            "account_id": str(account.account_id),
            "owner_name": account.owner_name,
            "balance": str(account.balance),
            "status": account.status,
            "version": account.version,
            "as_of": {
                "version": account.version,
                "recorded_at": self.recorded_at and format_time(self.recorded_at),
            },
        }


def folded_state(state: PastState) -> AccountState:
    """Return what events told of an account."""
    account = state.account
    row = AccountRow(
        account.id, account.owner_name, account.balance, account.status.value, account.version
    )
    return AccountState(row, state.recorded_at)

"""What the domain refuses, and why.

    ValueError
    ├── AccountError                 a rule of the bank said no; `code` names the rule
    │   ├── AccountAlreadyExists     account_already_exists
    │   ├── AccountDoesNotExist      account_not_found
    │   ├── VersionMismatch          version_mismatch
    │   ├── AccountNotActive         account_not_active
    │   ├── AccountIsClosed          account_closed
    │   ├── AmountNotPositive        amount_not_positive
    │   ├── InsufficientFunds        insufficient_funds
    │   ├── MinimumDeposit           minimum_deposit
    │   └── BalanceLimitExceeded     balance_limit
    ├── MalformedValue               a value that has no meaning here, whatever the account's state
    ├── UnknownEventType             a stored event this version of the code cannot read
    └── UnknownSchemaVersion         likewise, for the schema version of a known type

`code` and message are published in outcomes and are never renamed.
"""

from decimal import Decimal
from typing import ClassVar
from uuid import UUID


class AccountError(ValueError):
    """A command was refused by a rule of the bank. `code` is stable; `str(error)` is for people."""

    code: ClassVar[str] = "account_error"


class AccountAlreadyExists(AccountError):
    """Open, on an account id that has events."""

    code = "account_already_exists"

    def __init__(self, account_id: UUID) -> None:
        super().__init__(f"Account {account_id} already exists")


class AccountDoesNotExist(AccountError):
    """Any command but open, on an account id without events."""

    code = "account_not_found"

    def __init__(self, account_id: UUID) -> None:
        super().__init__(f"Account {account_id} not found")


class VersionMismatch(AccountError):
    """The command names the version it was made for, and the account has another one."""

    code = "version_mismatch"

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"Expected version {expected}, found {actual}")


class AccountNotActive(AccountError):
    """The operation needs an active account."""

    code = "account_not_active"


class AccountIsClosed(AccountError):
    """Close, on an account that is closed already."""

    code = "account_closed"

    def __init__(self) -> None:
        super().__init__("Account is already closed")


class AmountNotPositive(AccountError):
    """A deposit or withdrawal of zero or less. `operation` is "Deposit" or "Withdrawal"."""

    code = "amount_not_positive"

    def __init__(self, operation: str) -> None:
        super().__init__(f"{operation} amount must be positive")


class InsufficientFunds(AccountError):
    """A withdrawal over the balance."""

    code = "insufficient_funds"

    def __init__(self, balance: Decimal, requested: Decimal) -> None:
        super().__init__(f"Insufficient funds: balance={balance}, requested={requested}")


class MinimumDeposit(AccountError):
    """An opening deposit below the minimum."""

    code = "minimum_deposit"

    def __init__(self) -> None:
        super().__init__("Minimum opening deposit is $100")


class BalanceLimitExceeded(AccountError):
    """A balance the ledger has no room for."""

    code = "balance_limit"

    def __init__(self) -> None:
        super().__init__("Balance limit exceeded")


class MalformedValue(ValueError):
    """A value that cannot be an amount, a name or a text of this ledger. The message says why."""


class UnknownEventType(ValueError):
    """A stored event has a type this code does not know: upgrade the reader, never skip the event."""

    def __init__(self, event_type: str) -> None:
        super().__init__(f"unknown event type {event_type!r}: upgrade this reader")
        self.event_type = event_type


class UnknownSchemaVersion(ValueError):
    """A stored event has a schema version this code has no step for: upgrade the reader."""

    def __init__(self, event_type: str, schema_version: int) -> None:
        super().__init__(
            f"no way to read {event_type} of schema version {schema_version}: upgrade this reader"
        )
        self.event_type = event_type
        self.schema_version = schema_version

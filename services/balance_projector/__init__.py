"""The balance projector: who has how much, as of which version.

Consumes    `bank.events`, as the group `bank.balance-projector`
Produces    `bank.events.balance.dlq` for records that are no events of this ledger
Owns        `balances.accounts`, in the read-model database
Guarantees  at every commit, the rows equal the fold of the log up to the positions
Scales      start more of them, up to the number of partitions
"""

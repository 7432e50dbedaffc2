"""The command service: decides commands, and is the only service that writes the event store.

Consumes    `bank.commands`, as the group `bank.command-service`
Produces    `bank.outcomes`; `bank.commands.dlq` for what cannot be understood
Owns        schema `eventstore`, through the functions `append` and `save_snapshots`
Guarantees  a command has one effect and one outcome, for ever: both are one transaction, keyed by
            the command's id. Commands of one account are decided in the order of their partition.
            An account that it cannot read is never decided on: its partition waits.
Scales      start more of them, up to the number of partitions
"""

"""The audit projector: evidence of every event, chained so that tampering shows.

Consumes    `bank.events`, as the group `bank.audit-projector`
Produces    `bank.events.audit.dlq` for records that are no events of this ledger
Owns        `audit.entries`, in the read-model database
Guarantees  one entry an event, in the order of its slot, each with the hash of the one before;
            changing, removing, inserting or reordering anything is found by `passbook audit verify`
Scales      start more of them, up to the number of partitions
"""

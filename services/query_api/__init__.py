"""The query API: the bank over HTTP, for those who would rather not speak Kafka.

Consumes    `bank.outcomes`, without a group: answers to the commands it was asked to publish
Produces    `bank.commands`, in the name of the caller (`ce_actor`)
Owns        nothing: it reads the balance and the audit read model and the event store
Guarantees  an answer says which version it shows; a caller sees the own accounts and no others; the
            `Idempotency-Key` is the command's id, so that a repeated request has one effect
Scales      start more of them; they share nothing but the servers
"""

"""The outbox relay: publishes the log of the event store to Kafka, complete and in order.

Consumes    the event store's log
Produces    `bank.events`
Owns        `eventstore.relay_positions`, a hint for a fast start
Guarantees  first occurrences of a slot's events in Kafka are 1, 2, 3 …, byte-identical to the
            store. After a crash some may appear again, with the same id and number.
Scales      by groups of slots, one unless `PASSBOOK_RELAY_GROUPS` says more: relays share the
            groups out evenly, stand by for the rest, and take over when a database session ends
"""

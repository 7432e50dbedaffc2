"""The outbox relay: publishes the log of the event store to Kafka, complete and in order.

Consumes    the event store's log
Produces    `bank.events`
Owns        `eventstore.relay_positions`, a hint for a fast start
Guarantees  first occurrences of a slot's events in Kafka are 1, 2, 3 …, byte-identical to the
            store. After a crash some may appear again, with the same id and number.
Scales      one leads, the others stand by and take over when its database session ends
"""

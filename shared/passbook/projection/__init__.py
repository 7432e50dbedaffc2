"""Read models kept from the log: `Projection` is what to do with events, the runtime does the rest.

The runtime knows where each slot stands, accepts only the next number, fetches what Kafka did not
deliver, and moves position and read model in one transaction.
"""

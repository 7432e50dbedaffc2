"""When the event store and the topics do not agree any more: noticing it, and bringing back what the
store has lost from what Kafka has kept.
"""

"""The services, one folder each: `__init__` is the card, `__main__` the wiring, one module the heart.

Services do not know each other. They meet in Kafka's topics and in PostgreSQL's tables.
"""

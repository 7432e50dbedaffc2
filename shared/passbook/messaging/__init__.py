"""Kafka: the only place that knows aiokafka and how our messages look on the wire.

`topics` is the list of topics as code; `cloudevents` the header conventions; `commands`, `events`
and `outcomes` the three kinds of messages; `producer` and `consumer` the two clients, set up so
that nothing is lost by default.
"""

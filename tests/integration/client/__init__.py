"""The client against Kafka and a command service."""

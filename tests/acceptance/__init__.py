"""The services as processes, seen from outside: Kafka, HTTP, SQL and the command line."""

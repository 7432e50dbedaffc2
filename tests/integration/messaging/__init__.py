"""The clients of Kafka, on a real broker."""

"""Tests of the services' hearts: no server, fakes for Kafka, the event store in memory."""

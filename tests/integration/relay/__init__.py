"""The outbox relay on real servers, in the test's own process."""

"""Tests of what the event store's package does without a server."""

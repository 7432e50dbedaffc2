"""The command service on real servers, in the test's own process."""

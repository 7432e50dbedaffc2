"""The verbs in the test's own process, without servers."""

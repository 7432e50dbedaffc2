"""A projector that is not ours: what was paid in and out a day. The example of the runbook page."""

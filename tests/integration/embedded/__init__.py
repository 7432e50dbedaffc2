"""The embedded servers themselves, started and killed for real."""

"""Tests of how messages look on the wire: no server."""

"""Tests of the documents that others rely on: no server."""

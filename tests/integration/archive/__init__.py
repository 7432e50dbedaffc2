"""Archiving, read-through and restoring, on a real database and real files."""

"""Fixtures of the tests of the client."""

from tests.support.deciding import deciding

__all__ = ["deciding"]

"""Tests of the domain: no server, no clock."""

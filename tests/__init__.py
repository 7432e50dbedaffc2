"""Tests of Passbook."""

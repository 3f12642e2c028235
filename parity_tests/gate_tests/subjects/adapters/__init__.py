"""Tests of what adapters declare, are given and return."""

"""Tests of the adapters that are written for somebody's code."""

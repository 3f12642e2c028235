"""Tests of the gate itself: what it must catch, what it must not accuse, and its doors."""

"""Modules and functions of torch."""

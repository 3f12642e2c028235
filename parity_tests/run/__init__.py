"""A run, from options to exit status."""

"""Is it right? Values against the reference, and what must hold between calls."""

"""Examples of use. Each is a module to read, to run with ``python -m``, and to import from."""

"""Fuzzing: whatever is given, it works rightly, or the stated error says why not and nothing has changed.

``pytest parity_tests/gate_tests/fuzz`` runs some 400 examples of one seed; by command many more::

    PARITY_FUZZ=20000 PARITY_FUZZ_SEED=1 pytest -n0 parity_tests/gate_tests/fuzz

Each test has a share of the examples. A new kind of input is one more test with ``fuzzed``, on the values of
``odd.py`` and the changes of ``changed.py``.
"""

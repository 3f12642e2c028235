"""The gate over its own catalogue of faults: ``rnn-parity faults``."""

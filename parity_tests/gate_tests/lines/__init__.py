"""Which lines of the faulty layers in ``people`` hold their faults, and what is measured against that."""

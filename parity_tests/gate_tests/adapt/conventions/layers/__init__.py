"""Classes that take a whole sequence."""

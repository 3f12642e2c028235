"""Which fault is it? Findings in, named findings out."""

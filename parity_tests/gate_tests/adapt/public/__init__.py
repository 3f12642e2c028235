"""Layers as strangers published them, written anew: the conventions and the faults are theirs."""

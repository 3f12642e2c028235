"""The conventions by the folder that they lie in, each with its single faults."""

"""The child process that runs a target: both ends of its connection."""

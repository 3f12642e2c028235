"""What does code say of itself? Names, layouts of arrays, what objects hold, source, and calls."""

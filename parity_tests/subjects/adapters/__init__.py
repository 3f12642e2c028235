"""What an adapter is given and declares, and what is taken from it."""

"""Which line of the user's code is wrong, and what should stand there."""

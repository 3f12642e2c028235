"""How fast the layers are beside what a user would pick instead: the command ``rnn-parity speed``."""

"""How is somebody's code called? An adapter is found by trial, proven by numbers, and written out."""

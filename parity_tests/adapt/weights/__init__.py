"""Where are the weights, and how do they get there? Slots, and the ways to make an object or call a function."""

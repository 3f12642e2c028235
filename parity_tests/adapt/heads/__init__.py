"""Code with a head and a loss, called with its own head: the weights, targets and loss of a case."""

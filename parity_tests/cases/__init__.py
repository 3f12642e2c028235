"""What is asked: a case, its arrays and tensors, and how cases are drawn."""

"""What is asked: a case, its arrays, and how cases are drawn."""

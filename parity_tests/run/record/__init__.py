"""What is kept of a run? What it rests on, and what was judged before an interruption."""

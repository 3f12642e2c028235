"""What is true, and how closely: torch, recorded answers, the plain float64 loop, the tolerance."""

"""How is it called? The forward, the backward, the gradients, and a loss inside."""

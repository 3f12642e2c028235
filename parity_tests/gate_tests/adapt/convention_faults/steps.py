"""Cells, which are called a step at a time."""

from parity_tests.gate_tests.adapt.convention import Convention

CONVENTIONS = (
    Convention(
        "steps/popping_cell.py",
        "Cell",
        (
            "from sizes",
            "weights in attributes",
            "[in, out]",
            "one bias",
            "a step a call",
            "states returned",
            "states in a cache",
            "backward by step",
            "gradients in attributes",
        ),
        (
            ("slope lost", "dmixed = dnew - dnew * new**2", "dmixed = dnew"),
            ("slope of the state before", "dnew * new**2", "dnew * h**2"),
            ("carry before the slope", "dh = dmixed @ self.Wh.T", "dh = dnew @ self.Wh.T"),
            ("Wh not transposed in the carry", "dmixed @ self.Wh.T", "dmixed @ self.Wh"),
            ("dWh with the state after", "self.dWh += h.T @ dmixed", "self.dWh += new.T @ dmixed"),
            (
                "db from the upstream gradient",
                "dmixed.sum(axis=0, keepdims=True)",
                "dnew.sum(axis=0, keepdims=True)",
            ),
            ("dWx overwritten", "self.dWx += x.T", "self.dWx = x.T"),
            ("dx before the slope", "dx = dmixed", "dx = dnew"),
            ("bias lost", "mixed = mixed + self.b\n", "mixed = mixed + self.b * 0\n"),
            ("Wh transposed in the forward", "mixed + h @ self.Wh", "mixed + h @ self.Wh.T"),
        ),
    ),
    Convention(
        "steps/from_nothing.py",
        "Net",
        (
            "from nothing",
            "weights in attributes",
            "[out, in]",
            "two biases",
            "one sample",
            "a step a call",
            "states returned",
            "states in an attribute",
            "backward by step",
            "gradients in attributes",
        ),
        (
            ("slope lost", " * (1 - new * new)", ""),
            ("slope of the state before", "(1 - new * new)", "(1 - old * old)"),
            ("carry dropped", "(d_state + self.error)", "d_state"),
            (
                "Wh not transposed in the carry",
                "np.dot(self.w_state.T, d_sum)",
                "np.dot(self.w_state, d_sum)",
            ),
            ("dWh with the state after", "np.outer(d_sum, old)", "np.outer(d_sum, new)"),
            ("one db from the upstream gradient", "self.g_b_state += d_sum", "self.g_b_state += d_state"),
            ("one db doubled", "self.g_b_input += d_sum", "self.g_b_input += 2 * d_sum"),
            (
                "dx before the slope",
                "return np.dot(self.w_input.T, d_sum)",
                "return np.dot(self.w_input.T, d_state)",
            ),
            ("state not carried", "        self.state = new\n", ""),
            (
                "one bias lost",
                "np.dot(self.w_state, self.state) + self.b_state",
                "np.dot(self.w_state, self.state)",
            ),
        ),
    ),
)

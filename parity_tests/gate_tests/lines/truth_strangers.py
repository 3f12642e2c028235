"""Where the faults stand in the code of strangers."""

from parity_tests.gate_tests.lines.places import Fault, fault

LINES: dict[str, tuple[Fault, ...]] = {
    "library layer": (
        fault("LibraryLayer.backward_pass", "squared = np.tanh(self.history[:, step]) ** 2"),
        fault("LibraryLayer.backward_pass", 'self.grad["bias"] += np.sum(error[:, step], axis=0)'),
        fault(
            "LibraryLayer.backward_pass",
            "downward[:, step] = np.dot(np.dot(error[:, step], to_state), to_input)",
        ),
    ),
    "line break": (
        fault(
            "Neurons.feed",
            "excitation = self.from_input.dot(vector)",
            "+self.from_state.dot(self.state)",
            "+self.offset  # noqa: B018",
        ),
        fault("Neurons.feed", "self.state = excitation", "return excitation"),
    ),
    "line break, tanh behind": (
        fault(
            "Neurons.feed",
            "excitation = self.from_input.dot(vector)",
            "+self.from_state.dot(self.state)",
            "+self.offset  # noqa: B018",
        ),
    ),
    "truncated, an optimizer inside": (
        fault("TruncatedLayer.backward_pass", "for back in range(t, max(0, t - self.most_steps) - 1, -1):"),
        fault("TruncatedLayer.backward_pass", 'downward[:, t] = delta.dot(self.matrix["in"])'),
    ),
    "truncated, weights only": (
        fault("TruncatedLayer.backward_pass", "for back in range(t, max(0, t - self.most_steps) - 1, -1):"),
    ),
    "loss inside, split off": (
        fault("behind_the_loss", "inside = error * hyperbolic(states[t], derivative=True)"),
        fault("behind_the_loss", "gradients[1] += np.dot(inside, states[t - 1].T)"),
        fault(
            "behind_the_loss", "gradients = [gradient * (limit / (length + 1e-6)) for gradient in gradients]"
        ),
        fault("hyperbolic", "z = z + 1e-12"),
    ),
    "relu cell, many to one": (
        fault("ReluUnit.backward", "error = np.where(state < 0, 0, error)"),
        fault("ReluUnit.backward", "return np.dot(error, self.w_rec)"),
    ),
    "relu, a function of torch": (
        fault(
            "relu_function",
            "db_in += (torch.ones_like(x[:, t]).T @ inside).sum(dim=0)",
            "db_rec += (torch.ones_like(before).T @ inside).sum(dim=0)",
        ),
        # The gradient of h_n: where the carry starts, and where it is added.
        fault(
            "relu_function",
            "dx, later = torch.zeros_like(x), torch.zeros_like(first[0])",
            "inside = torch.where(states[:, t] > 0, errors[:, t] + later, 0.0)",
        ),
    ),
    "last output": (
        fault("LastOutputNet.backward", "gradient = from_output + np.dot(gradient, self.w_h.T)"),
        fault("LastOutputNet.backward", "gradient = from_output + np.dot(gradient, self.w_h.T)"),
        fault("LastOutputNet.backward", "d_h += np.outer(self.states[t - 1], inside)"),
    ),
    "notebook, cell": (fault("NotebookCell.backward", "dz = 1 - h_next * h_next"),),
    "notebook, layer": (
        fault("NotebookCell.backward", "dz = 1 - h_next * h_next"),
        fault("NotebookLayer.forward", 'hs = np.empty((batch, steps, hidden), dtype="f")')
        + fault(
            "NotebookLayer.backward", 'dxs = np.empty((batch, steps, self.params[0].shape[0]), dtype="f")'
        ),
    ),
}

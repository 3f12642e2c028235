"""An adapter of a layer with relu: a class with torch's interface, where relu has a place."""

from parity_tests.adapt.program import Program

RELU_LACKS = (
    "layers",
    "bidirectional",
    "no-bias",
    "batch-first",
    "unbatched",
    "packed",
    "lengths",
    "dropout",
    "layouts",
)
"""What the class has no place for."""


def relu_class(program: Program) -> str:
    """Return the class that calls a program's function."""
    tensors = {*program.results, *program.gradients}
    states = 'found["hs"].swapaxes(0, 1).copy()' if "hs" in tensors else "None"
    gradients = {"dWx": ".T", "dWh": ".T", "db": ""}
    each = [f'found["{name}"]{end}' if name in tensors else "0" for name, end in gradients.items()]
    dx = 'found["dx"].swapaxes(0, 1).copy()' if "dx" in tensors else "None"
    dh_0 = 'found["dh_0"][None]' if "dh_0" in tensors else "None"
    return f"""

class Relu:  # torch.nn.RNN's interface, in which relu has a place
    def __new__(cls, *sizes, nonlinearity="tanh", **options):
        if nonlinearity == "relu":
            return super().__new__(cls)
        return nn.RNN(*sizes, **options)  # your code has no tanh: such a case is answered by rnn_np

    def __init__(self, input_size, hidden_size, nonlinearity="relu", dtype=np.float32):
        self.dtype = dtype

    def load_state_dict(self, state):
        self.__dict__.update({{name: np.array(value, self.dtype) for name, value in state.items()}})
        self.grads = {{name: np.zeros_like(getattr(self, name)) for name in state}}

    def forward(self, x, hx=None):
        h_0 = np.zeros((x.shape[1], len(self.weight_hh_l0)), x.dtype) if hx is None else hx[0].copy()
        weights = {{"Wx": self.weight_ih_l0.T, "Wh": self.weight_hh_l0.T, "b": self.bias_ih_l0 + self.bias_hh_l0}}
        self.given = {{**{{name: value.copy() for name, value in weights.items()}}, "xs": x.swapaxes(0, 1).copy(), "h_0": h_0}}
        found = answer(SimpleNamespace(**self.given, dhs=np.zeros((*h_0.shape[:1], len(x), *h_0.shape[1:]), x.dtype)))
        return {states}, found["h_n"][None].copy()

    __call__ = forward

    def backward(self, d_output, d_h_n=None):
        h_0, T = self.given["h_0"], self.given["xs"].shape[1]
        d = np.zeros((len(h_0), T, h_0.shape[1]), h_0.dtype) if d_output is None else d_output.swapaxes(0, 1).copy()
        d[:, -1] += 0 if d_h_n is None else d_h_n[0]
        found = answer(SimpleNamespace(**self.given, dhs=d))
        for name, grad in zip(self.grads, ({each[0]}, {each[1]}, {each[2]}, {each[2]})):
            self.grads[name][...] = grad
        return {dx}, {dh_0}
"""

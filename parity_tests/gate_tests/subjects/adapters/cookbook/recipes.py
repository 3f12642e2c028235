"""What the cookbook says about each recipe; the recipe itself is the file of that name in this folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
CASES = 10
GRADIENTS = ("dx", "dh_0", "dWx", "dWh", "db")
GRADIENTS_OF_STACK = ("dx", "dh_0", "dweight_ih", "dweight_hh", "dbias_ih", "dbias_hh")


@dataclass(frozen=True, slots=True)
class Shown:
    """A command that the page shows with its output.

    Attributes:
        lead: the sentence before it.
        command: the command.
        name: the name of the recipe's file.
        source: the text of the file.
        needs: the packages that it needs beside those of the gate.
        function: the adapter that is judged.
        is_faulty: whether the file has a fault.
    """

    lead: str
    command: str
    name: str
    source: str
    needs: tuple[str, ...] = ()
    function: str = "answer"
    is_faulty: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """One file of the cookbook.

    Attributes:
        name: the file's, without ``.py``.
        title: the heading of the recipe.
        looks: what one's own code may look like, if this is its recipe.
        text: what is particular, in Markdown.
        without: what the code lacks.
        fault: a piece of the file, and what stands there in a typical wrong version.
        shows_fault: whether the page shows how that is reported.
        needs: the packages that it needs beside those of the gate.
        layer: the packages of an adapter ``layer`` in the same file, if it has one.
    """

    name: str
    title: str
    looks: tuple[str, ...]
    text: str
    fault: tuple[str, str]
    without: tuple[str, ...] = ()
    shows_fault: bool = False
    needs: tuple[str, ...] = ()
    layer: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The text of the file."""
        return (FOLDER / f"{self.name}.py").read_text("utf-8")

    @property
    def faulty(self) -> str:
        """The text of the file with the fault."""
        right, wrong = self.fault
        if self.source.count(right) != 1:
            raise ValueError(f"{self.name}: expected {right!r} once, got {self.source.count(right)} times")
        return self.source.replace(right, wrong)

    def shown(self) -> Iterator[Shown]:
        """The commands of the recipe: for the right code, for the layer beside it, for the faulty code."""
        options = f" --without {','.join(self.without)}" if self.without else ""
        command = f"rnn-parity {self.name}.py:answer{options} --cases {CASES}"
        yield Shown("", command, self.name, self.source, self.needs)
        if self.layer:
            lead = "The layer that the weights come from, in its own float32, is judged in the same way:"
            options = f" --without {','.join(('float64', *self.without))}"
            command = f"KERAS_BACKEND=torch rnn-parity {self.name}.py:layer{options} --cases {CASES}"
            yield Shown(lead, command, self.name, self.source, self.layer, function="layer")
        if self.shows_fault:
            right, wrong = (piece.strip() for piece in self.fault)
            lead = f"With `{wrong}` for `{right}` the same command says (shortened):"
            yield Shown(lead, "", self.name, self.faulty, self.needs, is_faulty=True)


RECIPES = (
    Recipe(
        name="char_rnn",
        title="min-char-rnn with its loss",
        looks=(
            "one function takes characters as numbers, and returns loss and gradients; the weights are global",
        ),
        text="""The loss is a sum over the steps, hence `reduction="sum"`; the inputs are one-hot, hence `indices`.
One sequence a call is `--without batch`. The function returns neither all states nor the outputs, nor the
gradients of input and first state. If yours clips its gradients, that is a fault here: torch's are not clipped.
Clip in the training loop.""",
        without=("batch", "hs", "logits", "probabilities", "dx", "dh_0"),
        fault=("dh_next = Whh.T @ dz", "dh_next = Whh @ dz"),
        shows_fault=True,
    ),
    Recipe(
        name="course",
        title="Course functions with a cache",
        looks=(
            "`rnn_forward(x, a0, parameters)` and `rnn_backward(da, caches)`",
            "x is [n_x, m, T], with the batch in the middle",
        ),
        text="""The functions have a softmax, but their backward begins at the states: `head=True` gives a head
without a loss, and the gradient of its outputs, `dlogits`. The adapter takes it back to the states. The outputs
are `probabilities`, which are taken in place of `logits`.""",
        without=("dWy", "dby"),
        fault=("da[:, :, t] + da_prev", "da[:, :, t]"),
        shows_fault=True,
    ),
    Recipe(
        name="columns",
        title="Column vectors",
        looks=(
            "one sample, a column for every step: X is [D, T], the states are [H, T]",
            "`W @ x` in place of `x @ W`: weights are [H, D], biases [H, 1]",
        ),
        text="""All that is transposed on the way in is transposed on the way out. `[None]` gives a result the
batch of one that torch has.""",
        without=("batch",),
        fault=("np.hstack([self.s0, self.S[:, :-1]])", "self.S"),
    ),
    Recipe(
        name="steps",
        title="A list of steps",
        looks=("the sequence is a list of arrays [B, D], and so are the states and their gradients",),
        text="""A list whose items are [T][B, D] has time first; `swapaxes(0, 1)` and `np.stack(..., axis=1)`
change between that and batch first.""",
        fault=("dh = dz @ Wh.T", "dh = dz @ Wh"),
    ),
    Recipe(
        name="update_inside",
        title="The update inside",
        looks=(
            "`train_step(X, Y)` changes the weights itself, and gradients are local variables",
            "squared errors at every step",
        ),
        text="""The gradients follow from the weights before and after: `gradients_from_update`. The arrays of a
problem must not change, hence `.copy()`. With a learning rate of 2**40 the rounding of the update vanishes.
Half of the sum of the squared errors is `loss="half_mse", reduction="sum"`; torch's `mse_loss` is `loss="mse"`.
If the code has one output alone, declare `outputs=1`.""",
        without=("initial-state", "hs", "h_n", "logits", "probabilities", "dx", "dh_0"),
        fault=("gW_out += H[t + 1].T", "gW_out += H[t].T"),
        shows_fault=True,
    ),
    Recipe(
        name="no_bias",
        title="No bias",
        looks=("two weights and no bias",),
        text="""`--without bias`: the cases have none, and `db` is not asked for. A head without a bias is
`--without head-bias` in the same way: `by` is 0.""",
        without=("bias",),
        fault=("(1 - self.h[t + 1] ** 2)", "(1 - self.h[t] ** 2)"),
    ),
    Recipe(
        name="many_to_one",
        title="Many to one",
        looks=(
            "only the last state is used: scores or probabilities [B, V]",
            "a class with softmax, cross entropy and `backward()` without arguments",
        ),
        text="""`many_to_one=True`: the head reads the last state alone. `targets` are then [B] and `logits`
[B, V]. The loss is a mean unless `reduction` says something else. The state starts from zeros in the code, hence
`--without initial-state`.""",
        without=("initial-state", "hs", "dx", "dh_0"),
        fault=("        d_scores /= n\n", ""),
    ),
    Recipe(
        name="relu",
        title="Relu",
        looks=(
            "`np.maximum(0, ...)` in place of `np.tanh`",
            "functions for the whole sequence, [B, T, D]",
        ),
        text="""A line `nonlinearity = "relu"` in the file declares it, or `--nonlinearity relu` in the command.""",
        fault=("(states[:, t] > 0)", "(states[:, t] >= 0)"),
    ),
    Recipe(
        name="sigmoid",
        title="Sigmoid",
        looks=(
            "`1 / (1 + np.exp(-z))` in place of `np.tanh`",
            "one matrix [D + H, H] for `[x, h]`",
        ),
        text="""torch has no RNN with a sigmoid: the reference is then a loop of torch's operations. The one
matrix for input and state side by side is `Wx` above `Wh`.""",
        fault=("h * (1 - h)", "(1 - h**2)"),
    ),
    Recipe(
        name="bidirectional",
        title="Two directions with a forward alone",
        looks=(
            "a second pass over the reversed sequence, outputs side by side",
            "several layers, or sequences of unequal lengths",
        ),
        text="""`bidirectional=True` asks for the cases of `torch.nn.RNN` that have both directions. `cells` holds the
weights of each, and `weights` has them by torch's names and in torch's shapes. `h_0` and `h_n` have an axis for the
directions. `num_layers=True` and `lengths=True` ask for stacks and for sequences of unequal lengths in the same way.""",
        without=GRADIENTS_OF_STACK,
        fault=("reverse_output[:, ::-1]", "reverse_output"),
    ),
    Recipe(
        name="torch_module",
        title="A torch Module",
        looks=(
            "`class ...(nn.Module)` without a backward of its own",
            "two biases",
        ),
        text="""torch's own autograd differentiates the module, so this judges the forward through its gradients too.
`weights` has torch's names and shapes, which those of two `nn.Linear` are. Each has a bias of its own, so their
gradients are returned as `db_ih` and `db_hh`, in place of `db`. Results may be tensors.""",
        fault=("torch.tanh(self.i2h(x[:, t]) + self.h2h(h))", "self.i2h(x[:, t]) + torch.tanh(self.h2h(h))"),
    ),
    Recipe(
        name="autograd_function",
        title="An autograd Function",
        looks=(
            "`class ...(torch.autograd.Function)` with a hand-written `backward`",
            "time first: [T, B, D]",
        ),
        text="""`torch.autograd.grad` calls the hand-written backward, which is what is judged. What went in
transposed comes back transposed.""",
        fault=("dU += dz.T @ hs[t]", "dU += dz.T @ hs[t + 1]"),
    ),
    Recipe(
        name="onnx_session",
        title="An ONNX Runtime session",
        looks=("a function around `onnxruntime.InferenceSession`",),
        text="""The weights are in the model, so the adapter writes those of the problem into it, with the
`hidden_size`, and opens a session. Take the names of the initializers from your own model. ONNX Runtime has its
RNN in float32 alone.""",
        without=("float64", *GRADIENTS),
        fault=('"h0": h0[None]', '"h0": 0 * h0[None]'),
        needs=("onnx", "onnxruntime"),
    ),
    Recipe(
        name="keras_weights",
        title="Weights of a Keras SimpleRNN",
        looks=(
            "NumPy that takes `layer.get_weights()` of Keras",
            "a forward alone",
        ),
        text="""Keras has the shapes of the gate: kernel [D, H] is `Wx`, recurrent_kernel [H, H] is `Wh`, bias [H]
is `b`, and a batch comes first. The function needs no Keras, and this recipe neither.""",
        without=("initial-state", *GRADIENTS),
        fault=("h @ recurrent_kernel", "h @ recurrent_kernel.T"),
        layer=("keras",),
    ),
)
"""In the order of the page."""

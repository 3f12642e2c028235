import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def exported(W, R, B):
    """A model as an exporter writes it: one node RNN, whose weights are initializers."""
    node = helper.make_node("RNN", ["x", "W", "R", "B", "", "h0"], ["y", "h"], hidden_size=R.shape[-1])
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 3) for name in ("x", "h0")]
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4),
        helper.make_tensor_value_info("h", TensorProto.FLOAT, [None] * 3),
    ]
    weights = [numpy_helper.from_array(value, name) for name, value in (("W", W), ("R", R), ("B", B))]
    graph = helper.make_graph([node], "rnn", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(session, x, h0):
    """x is [B, T, D], h0 [B, H]; ONNX has time first, and an axis for directions."""
    y, h = session.run(None, {"x": np.ascontiguousarray(x.swapaxes(0, 1)), "h0": h0[None]})
    return y[:, 0].swapaxes(0, 1), h[0]


def with_weights(model, weights):
    """Put other weights into a model; yours comes from onnx.load("model.onnx")."""
    for held in model.graph.initializer:
        held.CopyFrom(numpy_helper.from_array(weights[held.name], held.name))
    for attribute in model.graph.node[0].attribute:
        if attribute.name == "hidden_size":
            attribute.i = weights["R"].shape[-1]
    return model.SerializeToString()


MODEL = exported(*(np.zeros(shape, np.float32) for shape in ((1, 2, 3), (1, 2, 2), (1, 4))))


def answer(problem):
    biases = np.concatenate([problem.b_ih, problem.b_hh])
    weights = {"W": problem.Wx.T[None], "R": problem.Wh.T[None], "B": biases[None]}
    session = onnxruntime.InferenceSession(with_weights(MODEL, weights))
    hs, h_n = run(session, problem.xs, problem.h_0)
    return {"hs": hs, "h_n": h_n}

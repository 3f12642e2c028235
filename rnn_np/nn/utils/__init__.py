"""The counterpart of ``torch.nn.utils``: its module ``rnn``."""

from rnn_np.nn.utils import rnn

__all__ = ["rnn"]

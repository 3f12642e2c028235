"""Recurrent layers in NumPy, with hand-written backward passes, equal to ``torch.nn.RNN``.

Public names:

``RNN``
    one time step, the counterpart of ``torch.nn.RNNCell``;
``TimeRNN``
    a whole sequence, the counterpart of ``torch.nn.RNN(batch_first=True)``;
``nn``
    ``torch.nn``'s own interface: layers, directions, dropout, lengths, checkpoints.
"""

from rnn_np import nn
from rnn_np._layers import RNN, TimeRNN

__all__ = ["RNN", "TimeRNN", "nn"]
__version__ = "0.1.0"

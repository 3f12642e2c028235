"""Recurrent layers in NumPy, with hand-written backward passes, equal to ``torch.nn.RNN``.

Public names:

``RNN``
    one time step, the counterpart of ``torch.nn.RNNCell``;
``TimeRNN``
    a whole sequence, the counterpart of ``torch.nn.RNN(batch_first=True)``;
``nn``
    layers with torch's own interface: several layers, directions, dropout, lengths, state dicts. There,
    ``nn.RNN`` is a whole sequence and ``nn.RNNCell`` one time step.

``RNN`` and ``TimeRNN`` have the interface of the notebook that this project started from.
``python -m rnn_np.examples.character_model`` is a training run.
"""

from rnn_np import nn
from rnn_np._layers import RNN, TimeRNN

__all__ = ["RNN", "TimeRNN", "nn"]
__version__ = "0.1.0"

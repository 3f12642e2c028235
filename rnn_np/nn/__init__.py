"""``torch.nn``'s recurrent layers in NumPy, with torch's names, arguments, shapes and state dicts.

Public names:

``RNN``
    layers and directions over a whole sequence, the counterpart of ``torch.nn.RNN``;
``RNNCell``
    one time step, the counterpart of ``torch.nn.RNNCell``;
``utils.rnn``
    packed and padded sequences, the counterpart of ``torch.nn.utils.rnn``.

The backward pass is a method, ``backward``. The layers are no ``torch.nn.Module``: torch is not needed.
"""

from rnn_np.nn import utils
from rnn_np.nn._cell import RNNCell
from rnn_np.nn._rnn import RNN

__all__ = ["RNN", "RNNCell", "utils"]

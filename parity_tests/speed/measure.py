"""One row of the table: a problem, computed by ``rnn_np`` and its peers in turn."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from parity_tests.speed.ours import Contender, of_rnn_np
from parity_tests.speed.peers import Peer, true_answer
from parity_tests.speed.problem import Problem, Shape, check_answer
from parity_tests.speed.timing import Product, Spread, in_turn, peak_memory


@dataclass(frozen=True)
class Row:
    """What was measured of one layer, shape and pass.

    Attributes:
        milliseconds: of a call, by contender; ``rnn_np`` is the first.
        ratios: the time of ``rnn_np`` over that of each peer, from the ratios of the rounds.
        product: GFLOP/s of a large matrix product in the same rounds.
        shares: of that speed, by contender, from the ratios of the rounds.
        peak_memory: bytes that a call of ``rnn_np`` holds at its peak, its results included.
        left_out: the peers that failed, with the reason.
    """

    layer: str
    kind: str
    shape: Shape
    milliseconds: dict[str, Spread]
    ratios: dict[str, Spread]
    shares: dict[str, float]
    product: Spread
    peak_memory: int
    left_out: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The row as plain values."""
        spreads = {
            name: {contender: spread._asdict() for contender, spread in getattr(self, name).items()}
            for name in ("milliseconds", "ratios")
        }
        return asdict(self) | spreads | {"shape": self.shape._asdict(), "product": self.product._asdict()}


def measured(problem: Problem, kind: str, peers: Sequence[Peer], threads: int, rounds: int) -> Row:
    """Check every contender's answer, then time them.

    Args:
        problem: what to compute.
        kind: ``"training"`` or ``"forward"``.
        peers: what to measure beside ``rnn_np``.
        threads: what each may use.
        rounds: how often each has its turn.

    Raises:
        WrongAnswer: a contender's answer is not the true one.
    """
    training = kind == "training"
    truth = true_answer(problem, training)
    ours = of_rnn_np(problem)
    contenders, left_out = [ours], {}
    for peer in peers:
        try:
            contender = peer.make(problem, threads)
            if kind in contender.passes:
                contender.passes[kind]()
                contenders.append(contender)
        except Exception as error:  # of a library, about a dtype or a compiler that it lacks
            left_out[peer.name] = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    for contender in contenders:
        answer = contender.read(contender.passes[kind]())
        check_answer(
            f"{contender.name}, {problem.layer}, {kind}, {problem.shape}", answer, truth, problem.dtype
        )
    return _timed(problem, kind, contenders, rounds, left_out)


def _timed(
    problem: Problem,
    kind: str,
    contenders: Sequence[Contender],
    rounds: int,
    left_out: dict[str, str],
) -> Row:
    functions = [contender.passes[kind] for contender in contenders]
    product = Product(problem.dtype)
    *times, of_product = in_turn([*functions, product.run], rounds)
    names = [contender.name for contender in contenders]
    milliseconds = {
        name: Spread.of([1e3 * seconds for seconds in found])
        for name, found in zip(names, times, strict=True)
    }
    operations = problem.operations(kind == "training")
    return Row(
        layer=problem.layer,
        kind=kind,
        shape=problem.shape,
        milliseconds=milliseconds,
        ratios={
            name: Spread.of([mine / its for mine, its in zip(times[0], found, strict=True)])
            for name, found in zip(names[1:], times[1:], strict=True)
        },
        shares={
            name: Spread.of(
                [
                    operations / seconds * its / product.operations
                    for seconds, its in zip(found, of_product, strict=True)
                ]
            ).median
            for name, found in zip(names, times, strict=True)
        },
        product=Spread.of([product.operations / seconds / 1e9 for seconds in of_product]),
        peak_memory=peak_memory(of_rnn_np(problem).passes[kind]),
        left_out=left_out,
    )

"""pytest as the engine of the command: how it is started, and how its report is collected."""

import os
import re
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import rnn_np
from parity_tests.references.recorded import default_folder
from parity_tests.report import Report
from parity_tests.run.runner import Run
from parity_tests.run.signals import FROM_COMMAND, ended_by_signals, report_at_interrupt
from parity_tests.subjects.user_frames import error_line

PACKAGE = Path(__file__).parents[1]
GATE = PACKAGE / "run" / "test_gate.py"
CATALOGUE = PACKAGE / "selftest" / "test_faults.py"
ENGINE = (
    *("-c", str(PACKAGE / "run" / "gate.ini"), "--rootdir", str(PACKAGE)),
    *("-p", "parity_tests.run.plugin", "-p", "parity_tests.run.screen", "-p", "no:cacheprovider"),
    *("-p", "xdist", "--dist", "worksteal", "--max-worker-restart", "4", "--tb", "no", "-rN"),
)
"""How pytest is started, independent of the project that the command is called in."""

COMMAND = "parity-command"
"""The plugin that tells the run's controller that the command ``rnn-parity`` asks for a verdict."""
GATEWAYS = "--tx"
"""pytest's option that says where workers run; see ``is_here``."""
ROOT = "--rsyncdir"
"""pytest's option for what is copied there."""


class Command:
    """A plugin that looks after the workers, and keeps what became of the run.

    Attributes:
        status: pytest's exit status.
        report: what the run's controller has added up, or None.
        error: why pytest could not start or go on, or ``""``.
    """

    def __init__(self, name: str) -> None:
        self.__name__ = name  # which pluggy takes for the plugin's name
        self.status = int(pytest.ExitCode.INTERNAL_ERROR)
        self.error = ""
        self.full_trace = False
        self.run: Run | None = None
        self.report: Report | None = None
        self.workers: dict[str, int] = {}
        self.ready: set[str] = set()
        self.gateways: list[Any] = []
        """The gateways that are still to be opened."""

    def pytest_configure(self, config: pytest.Config) -> None:
        self.full_trace = config.option.fulltrace
        if config.option.dist == "each":
            raise pytest.UsageError("--dist each would judge every case once a worker; use worksteal")
        wanted = any(str(word).partition("=")[0] == GATEWAYS for word in config.invocation_params.args)
        if wanted and (config.option.dist == "no" or config.option.numprocesses is not None):
            raise pytest.UsageError(f"{GATEWAYS} says where the workers run, and -n or --dist overrides it")

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Say it in a line, in place of a traceback."""
        if self.full_trace:
            return
        if self.gateways:
            raise pytest.UsageError(
                f"parity: no worker can start at {_spec(self.gateways[0])}: {error_line(excinfo.value)}"
            )
        raise pytest.UsageError(f"parity: {unexpected(excinfo.value)}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        controller = session.config.pluginmanager.get_plugin("parity-controller")
        if controller is not None:
            self.run = controller.run
            report_at_interrupt(controller.run, self.workers.values)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[FROM_COMMAND] = True

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: Sequence[Any]) -> None:
        self.gateways = [*specs]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_newgateway(self, gateway: Any) -> None:
        channel = gateway.remote_exec(_ISOLATED)
        process = channel.receive()
        if is_here(gateway.spec):  # the number means another process elsewhere
            self.workers[gateway.id] = process
        channel.waitclose()
        self.gateways = self.gateways[1:]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: Any) -> None:
        self.ready.add(node.gateway.id)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        self.workers.pop(node.gateway.id, None)
        if error is None:
            return
        if self.run is None or self.run.interrupted:
            raise KeyboardInterrupt
        if node.gateway.id not in self.ready:  # xdist would start one after the other
            where = "" if is_alike(node.gateway.spec) else f" at {_spec(node.gateway.spec)}"
            raise pytest.UsageError(
                f"parity: a worker process cannot start{where}: {_reason(error, not where)}"
            )

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Take the report, if there is anything to judge."""
        controller = config.pluginmanager.get_plugin("parity-controller")
        if controller is not None and controller.judges:
            self.report = controller.run.report

    @pytest.hookimpl(wrapper=True)
    def pytest_cmdline_parse(self) -> Generator[None, pytest.Config, pytest.Config]:
        """Keep what is wrong with pytest's options."""
        with self._kept():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_cmdline_main(self) -> Generator[None, object, object]:
        """Keep what is wrong with the gate's options."""
        with self._kept():
            return (yield)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except pytest.UsageError as error:
            # pytest's parser adds its usage, and where its own files are.
            text = "\n".join(map(str, error.args))
            found = re.search(r"^.*: error: (.*)$", text, re.MULTILINE)
            self.error = found[1] if found else text.removeprefix("parity: ")
            raise pytest.UsageError from None


def is_here(spec: Any) -> bool:
    """Whether the worker of a gateway is a process of this machine."""
    return bool(spec.popen) and not spec.via


def is_alike(spec: Any) -> bool:
    """Whether the worker of a gateway has this Python and these files, and needs no checking."""
    return is_here(spec) and not spec.python and not spec.chdir


def unexpected(error: BaseException) -> str:
    """Say that something failed here which is not the target's fault, and where."""
    # An exception of a worker process comes as the text of its traceback.
    what = (
        error_line(error)
        if not isinstance(error, AssertionError)
        else str(error).rstrip().rpartition("\n")[2]
    )
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, OSError | MemoryError):
        return f"the machine refused: {what}{place}"
    return f"the gate itself failed: {what}{place}; for a bug report run it again with -- --full-trace"


def _spec(spec: Any) -> str:
    """A gateway as it was given, without what xdist adds."""
    return str(spec).removeprefix("execmodel=main_thread_only//")


def _reason(error: object, is_here: bool) -> str:
    """Why a worker is down, from what execnet says: the traceback of the worker's exception, if there is one."""
    last = str(error).strip().rpartition("\n")[2]
    _, _, own = last.partition("UsageError: parity: ")
    if own:
        return f"{own}; --workers 0 loads the target once" if is_here else own
    return "it ended at once" if last == "Not properly terminated" else last


def gateways(arguments: Sequence[str]) -> list[str]:
    """The gateways that arguments of pytest name: ``--tx popen``, ``--tx=2*ssh=host``."""
    following = zip(arguments, [*arguments, ""][1:], strict=True)
    both = [(*word.partition("=")[::2], after) for word, after in following]
    return [value or after for name, value, after in both if name == GATEWAYS]


def _joined(arguments: Sequence[str]) -> list[str]:
    """The arguments with each ``--rsyncdir FOLDER`` in one: xdist takes a word that is a path for tests."""
    joined: list[str] = []
    for word in arguments:
        if joined and joined[-1] == ROOT:
            joined[-1] = f"{ROOT}={word}"
        else:
            joined.append(word)
    return joined


def run_pytest(tests: Path, workers: str, arguments: Sequence[str]) -> Command:
    """Run the gate's own tests of a file, and return what became of it.

    Args:
        tests: the file.
        workers: how many, or ``auto``; without effect where the arguments name gateways.
        arguments: of pytest.
    """
    command = Command(COMMAND if tests == GATE else "parity-faults")
    with _isolated(), ended_by_signals(command.workers.values):
        specs = gateways(arguments)
        engine = [*ENGINE, *(("-n", workers) if not specs else ())]
        if any("popen" not in spec or "chdir=" in spec for spec in specs):
            roots = (PACKAGE, Path(rnn_np.__file__).parent, default_folder())
            engine += [f"{ROOT}={root}" for root in roots if root.exists() and root.parent != PACKAGE]
        arguments = [*engine, *_joined(arguments), str(tests)]
        command.status = int(pytest.main(arguments, plugins=[command]))
    return command


_ISOLATED = """
import os
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
os.environ.pop("PYTEST_ADDOPTS", None)
os.environ["PY_IGNORE_IMPORTMISMATCH"] = "1"  # of a local worker in a folder that the gate was copied to
channel.send(os.getpid())
"""
"""Done in a worker process before it starts pytest: its machine may have an environment of its own."""


@contextmanager
def _isolated() -> Iterator[None]:
    """Without plugins and options of the caller's own project, which may reorder or skip."""
    before = dict(os.environ)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

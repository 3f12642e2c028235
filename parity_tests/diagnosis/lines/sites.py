"""A site: an expression of the user's code, whose value is seen while the code runs."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

VALUE, LOOP = "_parity_value_", "_parity_loop_"
"""The functions that instrumented code calls, found among Python's builtins. In a class Python would change
a name that begins with two underscores."""
_PLAIN = ast.Name | ast.Attribute | ast.Subscript


@dataclass(slots=True, eq=False)
class Site:
    """An expression of the user's code, whose value is seen.

    Attributes:
        number: its own.
        file: the file name that the code was compiled with.
        function: the qualified name of the function that it is in.
        node: as parsed.
        source: its text.
        parent: the number of the expression that it is part of, if that is one that is seen.
        is_parameter: whether it is the name of an argument of the function.
        is_loop: whether it is what a ``for`` goes over.
        is_index: whether it says where an assignment writes.
        in_place: whether it is a call that writes its result into an array, ``out=``.
        statement: the statement that it is part of.
        scope: the function that it is in.
        lines: all lines of the file.
        is_popped: whether a call of ``pop`` takes an item out of it.
        is_stored: whether it is put into a list or an attribute.
        is_added: whether it is what ``+=`` adds.
        is_condition: whether it is what an ``if`` asks.
        is_set: whether it is what ``=`` sets one variable, attribute or element to.
        is_body: whether it is all of a ``lambda``.
        children: the numbers of the expressions that are part of it and seen.
    """

    number: int
    file: str
    function: str
    node: ast.expr
    source: str
    statement: ast.stmt
    parent: int | None = None
    is_parameter: bool = False
    is_loop: bool = False
    is_index: bool = False
    in_place: bool = False
    scope: ast.AST | None = None
    lines: Sequence[str] = ()
    is_body: bool = False
    is_popped: bool = False
    is_stored: bool = False
    is_added: bool = False
    is_set: bool = False
    is_condition: bool = False
    children: list[int] = field(default_factory=list)

    @property
    def line(self) -> int:
        """The line that it begins in."""
        return self.node.lineno

    @property
    def is_returned(self) -> bool:
        """Whether it is what the function returns, as it is."""
        return self.parent is None and (self.is_body or isinstance(self.statement, ast.Return))

    @property
    def is_argument(self) -> bool:
        """Whether it is an argument of the function, and not what the function returns as it is."""
        return self.is_parameter and not self.is_returned

    @property
    def makes_a_buffer(self) -> bool:
        """Whether it makes an array that is filled later."""
        if (
            not isinstance(self.node, ast.Call)
            or not isinstance(self.statement, ast.Assign)
            or self.parent is not None
        ):
            return False
        if not self.makes_an_array or self.scope is None:
            return False
        made = {target.id for target in self.statement.targets if isinstance(target, ast.Name)}
        filled = {
            name
            for node in ast.walk(self.scope)
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
            for name in _set_names(node)
        }
        return bool(made & filled)

    @property
    def makes_an_array(self) -> bool:
        """Whether it makes an array of a shape, of zeros for example."""
        return self.called.removesuffix("_like") in ("zeros", "ones", "empty", "full")

    @property
    def called(self) -> str:
        """The name of the function or method that it calls, if it calls one."""
        function = getattr(self.node, "func", None)
        name: str = getattr(function, "attr", getattr(function, "id", ""))
        return name

    @property
    def is_factor(self) -> bool:
        """Whether it is what ``*=`` or ``/=`` multiplies by or divides by."""
        is_scaled = isinstance(self.statement, ast.AugAssign) and isinstance(
            self.statement.op, ast.Mult | ast.Div
        )
        return is_scaled and self.parent is None

    @property
    def asks_for_an_option(self) -> bool:
        """Whether it asks if something is None, or compares it with a text."""
        return any(
            isinstance(node, ast.Is | ast.IsNot)
            or (isinstance(node, ast.Constant) and isinstance(node.value, str))
            for node in ast.walk(self.node)
        )

    @property
    def is_set_in_part(self) -> bool:
        """Whether it is what a part of an array is set to."""
        return (
            self.is_set
            and isinstance(self.statement, ast.Assign)
            and isinstance(self.statement.targets[0], ast.Subscript)
        )

    @property
    def is_call(self) -> bool:
        """Whether it calls something."""
        return isinstance(self.node, ast.Call)

    @property
    def is_read(self) -> bool:
        """Whether it reads a variable, an attribute or an element."""
        return isinstance(self.node, _PLAIN)

    @property
    def is_plain(self) -> bool:
        """Whether it reads a variable, an attribute or an element, and computes nothing."""
        return self.is_read or _is_view(self.node)

    @property
    def is_name(self) -> bool:
        """Whether it reads a variable."""
        return isinstance(self.node, ast.Name)

    @property
    def is_element(self) -> bool:
        """Whether it reads a part of an array or a list."""
        return isinstance(self.node, ast.Subscript)

    @property
    def is_attribute(self) -> bool:
        """Whether it reads an attribute, and not an array with its axes turned."""
        return isinstance(self.node, ast.Attribute) and not self.is_turned

    @property
    def is_turned(self) -> bool:
        """Whether it changes the order of the axes of an array."""
        name = getattr(self.node, "attr", getattr(getattr(self.node, "func", None), "attr", ""))
        return name in ("T", "mT", "transpose", "swapaxes", "t")

    def filled_by(self) -> ast.stmt | None:
        """The last statement before that sets a part of the variable that it reads.

        None if that is in a loop, if the last one sets all of it, or if calls write into it, too.
        """
        last = self.set_by()
        if last is None or self.source in self._written_by_calls():
            return None
        if isinstance(last, ast.Assign) and isinstance(last.targets[0], ast.Name | ast.Tuple):
            return None
        loops = self._nodes(ast.For, ast.While)
        return None if any(node is last for loop in loops for node in ast.walk(loop)) else last

    def set_by(self) -> ast.stmt | None:
        """The last statement before that sets the variable that it reads, or a part of it."""
        if not isinstance(self.node, ast.Name) or self.scope is None:
            return None
        last: ast.stmt | None = None
        for statement in ast.walk(self.scope):
            if isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign):
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                is_before = statement.lineno < self.line and (last is None or statement.lineno > last.lineno)
                if is_before and any(self.node.id in _set_names(target) for target in targets):
                    last = statement
        return last

    @property
    def is_for_want_of(self) -> bool:
        """Whether it is computed where something was not given: is None."""
        asking = [
            node
            for node in self._nodes(ast.If, ast.IfExp)
            if any(isinstance(each, ast.Is | ast.IsNot) for each in ast.walk(node.test))
        ]
        return any(node.lineno <= self.line for node in asking)

    @property
    def has_default(self) -> bool:
        """Whether it is an argument that need not be given."""
        if not isinstance(self.node, ast.Name) or not isinstance(self.scope, ast.FunctionDef):
            return False
        arguments = self.scope.args
        defaults = arguments.args[len(arguments.args) - len(arguments.defaults) :] + arguments.kwonlyargs
        return self.node.id in [each.arg for each in defaults]

    def next_statement(self) -> ast.stmt | None:
        """The statement behind the ``if`` that it decides, where that returns."""
        statement = self.statement
        if self.scope is None or not isinstance(statement, ast.If):
            return None
        if not isinstance(statement.body[-1], ast.Return):
            return None
        bodies = (getattr(node, "body", ()) for node in ast.walk(self.scope))
        for body in bodies:
            if isinstance(body, list) and statement in body[:-1]:
                following: ast.stmt = body[body.index(statement) + 1]
                return following
        return None

    @property
    def has_unused_argument(self) -> bool:
        """Whether its function never reads one of its arguments."""
        if not isinstance(self.scope, ast.FunctionDef):
            return False
        names = [each.arg for each in self.scope.args.args if each.arg != "self"]
        read = {n.id for n in ast.walk(self.scope) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        return not read.issuperset(names)

    @property
    def is_free(self) -> bool:
        """Whether it reads a variable of the function around its own."""
        if not isinstance(self.node, ast.Name) or not isinstance(self.scope, ast.FunctionDef):
            return False
        arguments = self.scope.args
        own = {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        stores = (
            n.id for n in ast.walk(self.scope) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        )
        return self.node.id not in own.union(stores)

    def _written_by_calls(self) -> set[str]:
        """The variables that calls of its function write into, ``out=``."""
        assert self.scope is not None
        return {
            name.id
            for node in ast.walk(self.scope)
            if isinstance(node, ast.keyword) and node.arg == "out"
            for name in ast.walk(node.value)
            if isinstance(name, ast.Name)
        }

    @property
    def is_constant(self) -> bool:
        """Whether it is a number."""
        return isinstance(self.node, ast.Constant)

    @property
    def is_repeated(self) -> bool:
        """Whether its function evaluates it in a loop."""
        loops = self._nodes(ast.For, ast.While, ast.ListComp, ast.GeneratorExp)
        return any(loop.lineno <= self.line <= (loop.end_lineno or 0) for loop in loops)

    @property
    def loop(self) -> int:
        """The line of the innermost loop that it is in, 0 outside of any."""
        loops = self._nodes(ast.For, ast.While)
        inside = [each.lineno for each in loops if each.lineno < self.line <= (each.end_lineno or 0)]
        return max(inside, default=0)

    def _nodes(self, *kinds: type[ast.AST]) -> list[Any]:
        return [] if self.scope is None else [n for n in ast.walk(self.scope) if isinstance(n, kinds)]


def _is_view(node: ast.expr) -> bool:
    """Whether it is the same numbers in another shape or array: ``x.reshape(...)``, ``x.copy()``."""
    if isinstance(node, ast.IfExp):
        return all(isinstance(each, _PLAIN) or _is_view(each) for each in (node.body, node.orelse))
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    if node.func.attr in ("array", "asarray", "ascontiguousarray"):
        return bool(node.args) and (isinstance(node.args[0], _PLAIN) or _is_view(node.args[0]))
    return node.func.attr in (
        "reshape",
        "ravel",
        "flatten",
        "copy",
        "transpose",
        "swapaxes",
        "astype",
        "squeeze",
    )


def _set_names(target: ast.expr) -> set[str]:
    """The variables that an assignment sets, or parts of which it sets."""
    if isinstance(target, ast.Tuple | ast.List):
        return {name for each in target.elts for name in _set_names(each)}
    while isinstance(target, ast.Subscript | ast.Starred):
        target = target.value
    return {target.id} if isinstance(target, ast.Name) else set()

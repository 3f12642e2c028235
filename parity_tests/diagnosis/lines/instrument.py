"""Instrumented code: a user's file, in which every value that is read passes through a function of ours.

Nothing else changes: the order of evaluation, the line numbers and the results stay what they are.
"""

import ast
import copy
from collections.abc import Iterable

from parity_tests.diagnosis.lines.sites import LOOP, VALUE, Site

_SIZES = ("range", "zeros", "empty", "ones", "full", "reshape", "transpose", "swapaxes", "moveaxis", "arange")
"""Functions whose numbers are sizes and axes."""
_WRAPPED = (
    ast.Name,
    ast.Attribute,
    ast.Subscript,
    ast.BinOp,
    ast.UnaryOp,
    ast.Call,
    ast.IfExp,
    ast.Compare,
    ast.NamedExpr,
    ast.ListComp,
)
_LEFT = (ast.Attribute, ast.JoinedStr, ast.Assert, ast.Raise, ast.Delete)
"""What is left as it is; an attribute only where it is written to."""


class Instrumenter(ast.NodeTransformer):
    """Wraps every expression that is read; a file at a time, with numbers that go on.

    Attributes:
        sites: every expression that is seen, by its number.
    """

    def __init__(self) -> None:
        self.sites: list[Site] = []
        self._file = ""
        self._lines: list[str] = []
        self._scope: list[str] = []
        self._parameters: list[frozenset[str]] = []
        self._functions: list[ast.AST] = []
        self._parents: list[int] = []
        self._statements: list[ast.stmt] = []
        self._imported: set[str] = set()
        self._stored: set[ast.expr] = set()

    def transform(self, tree: ast.Module, source: str, file: str) -> ast.Module:
        """Return the code of a file, instrumented."""
        self._file, self._lines = file, source.split("\n")
        self._imported = {
            (alias.asname or alias.name).partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        self.visit(tree)
        return ast.fix_missing_locations(tree)

    def visit(self, node: ast.AST) -> ast.AST:
        """Visit a node, and remember the statement that it is part of."""
        if isinstance(node, ast.stmt) and not isinstance(node, _LEFT):
            self._statements.append(node)
            parents, self._parents = self._parents, []
            try:
                return super().visit(node)
            finally:
                self._statements.pop()
                self._parents = parents
        if isinstance(node, _WRAPPED) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            return self._wrapped(node)
        if isinstance(node, ast.Constant):
            is_number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
            return self._wrapped(node) if is_number and self._scope else node
        return node if isinstance(node, _LEFT) else super().visit(node)

    def _wrapped(self, node: ast.expr, function: str = VALUE) -> ast.expr:
        if isinstance(node, ast.Name) and (node.id in self._imported or node.id == "self"):
            return node
        site = self._site(node, is_loop=function == LOOP)
        self._parents.append(site.number)
        inner = self._inner(node)
        self._parents.pop()
        call = ast.Call(ast.Name(function, ast.Load()), [ast.Constant(site.number), inner], [])
        return ast.copy_location(call, node)

    def _site(self, node: ast.expr, is_loop: bool = False, is_index: bool = False) -> Site:
        parent = self._parents[-1] if self._parents else None
        number = len(self.sites)
        site = Site(
            number,
            self._file,
            ".".join(self._scope) or "<module>",
            copy.deepcopy(node),
            self._text(node),
            self._statements[-1],
            parent,
            isinstance(node, ast.Name) and bool(self._parameters) and node.id in self._parameters[-1],
            is_loop,
            is_index,
            isinstance(node, ast.Call) and any(keyword.arg == "out" for keyword in node.keywords),
            self._functions[-1] if self._functions else None,
            self._lines,
        )
        self.sites.append(site)
        site.is_stored = node in self._stored
        if parent is not None:
            self.sites[parent].children.append(number)
        return site

    def _text(self, node: ast.expr) -> str:
        """The text of an expression; one that goes over several lines is written in one."""
        if node.end_lineno != node.lineno:
            return ast.unparse(node)
        line = self._lines[node.lineno - 1].encode()
        return line[node.col_offset : node.end_col_offset].decode()

    def _inner(self, node: ast.expr) -> ast.expr:
        """The expression with its parts wrapped."""
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.IfExp):
            node.test = self._condition(node.test)
            node.body, node.orelse = self._visited(node.body), self._visited(node.orelse)
            return node
        if isinstance(node, ast.Subscript):
            node.value = self._visited(node.value)
            return node  # an index is seen in what it selects
        if isinstance(node, ast.Name | ast.Constant):
            return node
        return super().generic_visit(node)  # type: ignore[return-value]

    def _visited(self, node: ast.expr) -> ast.expr:
        result = self.visit(node)
        assert isinstance(result, ast.expr)
        return result

    def _call(self, node: ast.Call) -> ast.Call:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if isinstance(node.func, ast.Attribute):
            # The function itself is not seen, and what it belongs to is.
            before = len(self.sites)
            node.func.value = self._visited(node.func.value)
            if name == "pop" and len(self.sites) > before:
                self.sites[before].is_popped = True
        elif not isinstance(node.func, ast.Name):
            node.func = self._visited(node.func)
        if name == "append":
            self._stored.update(node.args, *(getattr(arg, "elts", ()) for arg in node.args))
        if name in _SIZES:
            node.args = [arg if _is_size(arg) else self._visited(arg) for arg in node.args]
        else:
            node.args = [self._visited(arg) for arg in node.args]
        for keyword in node.keywords:
            if keyword.arg not in ("axis", "dim", "axes", "dtype", "shape", "out", "keepdims"):
                keyword.value = self._visited(keyword.value)
        return node

    # What is left as it is, and what needs care.

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if any(isinstance(target, ast.Attribute) for target in node.targets):
            self._stored.update([node.value], getattr(node.value, "elts", ()))
        target = _as_read(node.targets[0])
        node.targets = [self.visit(target) for target in node.targets]  # type: ignore[misc]
        before = len(self.sites)
        node.value = self._visited(node.value)
        is_one = len(node.targets) == 1 and not isinstance(node.targets[0], ast.Tuple | ast.List)
        if is_one and self._functions and len(self.sites) > before:
            self.sites[before].is_set = True
            self._with_target(node.value, target)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        # It is written to: only the index is seen.
        node.slice = self._index(node.slice)
        return node

    def _index(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Tuple):
            node.elts = [self._index(each) for each in node.elts]
        elif isinstance(node, ast.BinOp | ast.Name | ast.UnaryOp) and self._scope:
            site = self._site(node, is_index=True)
            call = ast.Call(ast.Name(VALUE, ast.Load()), [ast.Constant(site.number), node], [])
            return ast.copy_location(call, node)
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        target = _as_read(node.target)
        node.target = self.visit(node.target)  # type: ignore[assignment]
        number = len(self.sites)
        node.value = self._visited(node.value)
        if isinstance(node.op, ast.Add) and len(self.sites) > number:
            self.sites[number].is_added = True
            self._with_target(node.value, target)
        return node

    def _with_target(self, call: ast.expr, target: ast.expr) -> None:
        """Let what sees a value see, too, what is there before it is set or added to."""
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == VALUE:
            nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
            call.args.append(ast.copy_location(ast.Lambda(nothing, target), call))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.target = self.visit(node.target)  # type: ignore[assignment]
        if node.value is not None and self._scope:
            node.value = self._visited(node.value)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self._scope.append(node.name)
        node.body = self._all(node.body)
        self._scope.pop()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self._scope.append(node.name)
        self._parameters.append(_names(node.args) | _unpacked(node))
        self._functions.append(node)
        node.body = self._all(node.body)
        self._functions.pop()
        self._parameters.pop()
        self._scope.pop()
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self._parameters.append(_names(node.args))
        parents, self._parents = self._parents, []
        before = len(self.sites)
        node.body = self._visited(node.body)
        if len(self.sites) > before:
            self.sites[before].is_body = True
        self._parents = parents
        self._parameters.pop()
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        node.test = self._condition(node.test)
        node.body, node.orelse = self._all(node.body), self._all(node.orelse)
        return node

    def _condition(self, node: ast.expr) -> ast.expr:
        number = len(self.sites)
        wrapped = self._wrapped(node) if self._scope else node
        if len(self.sites) > number:
            self.sites[number].is_condition = True
        return wrapped

    def visit_For(self, node: ast.For) -> ast.AST:
        node.iter = self._wrapped(node.iter, LOOP)
        node.target = self.visit(node.target)  # type: ignore[assignment]
        node.body, node.orelse = self._all(node.body), self._all(node.orelse)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.iter = self._wrapped(node.iter, LOOP)
        node.ifs = [self._visited(each) for each in node.ifs]
        return node

    def _all(self, body: Iterable[ast.stmt]) -> list[ast.stmt]:
        result = []
        for statement in body:
            visited = self.visit(statement)
            assert isinstance(visited, ast.stmt)
            result.append(visited)
        return result


def _names(arguments: ast.arguments) -> frozenset[str]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return frozenset(argument.arg for argument in every)


def _unpacked(node: ast.FunctionDef) -> frozenset[str]:
    """The variables that an argument is taken apart into."""
    arguments = _names(node.args)
    return frozenset(
        each.id
        for statement in node.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Name)
        and statement.value.id in arguments
        for target in statement.targets
        if isinstance(target, ast.Tuple)
        for each in target.elts
        if isinstance(each, ast.Name)
    )


def _as_read(target: ast.expr) -> ast.expr:
    """The same expression where it is read and not written to."""
    return ast.parse(ast.unparse(target), mode="eval").body


def _is_size(node: ast.expr) -> bool:
    """Whether it is a number or a tuple of sizes, which nobody replaces."""
    if isinstance(node, ast.Constant | ast.Tuple):
        return True
    return isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant)

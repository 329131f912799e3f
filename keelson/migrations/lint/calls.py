"""Calls of functions and procedures that a statement makes at its top: SELECT f(…), CALL f(…)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from keelson.migrations.grammar import Node
from keelson.migrations.lint.reading import Parsed


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the function's name without its schema, and the trees of its arguments."""

    name: str
    arguments: tuple[Node, ...]

    def text(self, number: int, *names: str) -> str:
        """Return a text that is given under one of these names, or as the argument of this number, from 0; else nothing."""
        for argument in self.arguments:
            if argument.named_arg_expr.name in names:
                return _text(argument.named_arg_expr.arg)
        placed = [argument for argument in self.arguments if argument.WhichOneof("node") != "named_arg_expr"]
        return _text(placed[number]) if number < len(placed) else ""

    def says(self, name: str) -> bool:
        """Say whether the argument of this name is true."""
        given = (argument.named_arg_expr for argument in self.arguments)
        return any(argument.name == name and argument.arg.a_const.boolval.boolval for argument in given)


def calls_in(statement: Parsed) -> Iterator[Call]:
    """Yield the calls of a statement, those too that SELECT … FROM f(…) makes."""
    if statement.kind == "call_stmt":
        yield _call(statement.node.funccall)
    if statement.kind != "select_stmt":
        return
    for target in statement.node.target_list:
        value = target.res_target.val
        if value.WhichOneof("node") == "func_call":
            yield _call(value.func_call)
    for entry in statement.node.from_clause:
        for function in entry.range_function.functions:
            for item in function.list.items:
                if item.WhichOneof("node") == "func_call":
                    yield _call(item.func_call)


def _call(node: Node) -> Call:
    return Call(node.funcname[-1].string.sval, tuple(node.args))


def _text(node: Node) -> str:
    """Return what a literal says; by_range('time') says its column."""
    if node.WhichOneof("node") == "func_call":
        return _text(node.func_call.args[0]) if node.func_call.args else ""
    return str(node.a_const.sval.sval or node.type_cast.arg.a_const.sval.sval)

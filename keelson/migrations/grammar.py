"""PostgreSQL's own grammar (libpg_query), through postgast: its C library where that is enough, since its trees take 0.2 s to load."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

Node = Any  # a protobuf message of libpg_query; its types are known at run time alone


class GrammarError(Exception):
    """A text is no SQL; `position` counts characters from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message, self.position = message, position


def places(text: bytes) -> list[tuple[int, int]]:
    """Return where each statement of a text begins and ends, in bytes; raises GrammarError."""
    library = _library()
    result = library.pg_query_split_with_parser(ctypes.c_char_p(text))
    try:
        if result.error:
            fault = result.error.contents
            raise GrammarError((fault.message or b"no SQL").decode(errors="replace"), max(fault.cursorpos - 1, 0))
        found = (result.stmts[number].contents for number in range(result.n_stmts))
        return [(place.stmt_location, place.stmt_location + place.stmt_len) for place in found]
    finally:
        library.pg_query_free_split_result(result)


def parse(text: str) -> Node:
    """Return the tree of the one statement in a text; raises GrammarError."""
    postgast = _trees()
    try:
        return postgast.parse(text).stmts[0].stmt
    except postgast.PgQueryError as fault:
        raise GrammarError(fault.message, max(fault.cursorpos - 1, 0)) from None


@cache
def _trees() -> Any:  # noqa: ANN401 - a module that is loaded when it is needed
    """Return postgast, with trees of more levels than protobuf's usual 100: a chain of 50 operators has as many."""
    messages = importlib.import_module("google.protobuf.internal.api_implementation")._c_module  # noqa: SLF001 - as Pulumi does
    if messages is not None:
        messages.SetAllowOversizeProtos(True)  # noqa: FBT003 - C has no names for arguments
    return importlib.import_module("postgast")


@cache
def _library() -> Any:  # noqa: ANN401 - a library of ctypes
    """Return the C library with its signatures, which a module of postgast declares that needs nothing else of it."""
    package = importlib.util.find_spec("postgast")
    folder = Path(package.origin if package and package.origin else "").parent
    spec = importlib.util.spec_from_file_location("keelson_libpg_query", folder / "native.py")
    if spec is None or spec.loader is None:
        return importlib.import_module("postgast.native").lib
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.lib

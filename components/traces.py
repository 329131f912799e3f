"""Keeps the state small: the engine stores the stack trace of every resource, down to the threads of the language host."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

FRAMES = 9  # the SDK's own constructors, and the lines of this program that made the resource


@contextmanager
def short_stack_traces() -> Iterator[None]:
    """Let the stack traces that are taken meanwhile end after a few frames; errors keep theirs."""
    sys.tracebacklimit = FRAMES
    try:
        yield
    finally:
        del sys.tracebacklimit

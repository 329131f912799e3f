from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.stack.harness import StackUnderTest


@pytest.fixture
def stack(make_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """A stack with one server and one service of ten rows, not yet brought up."""
    made = make_stack()
    made.write_service("notes")
    return made

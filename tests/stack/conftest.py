from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack.harness import StackUnderTest


@pytest.fixture
def make_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., StackUnderTest]]:
    """Make stacks that are ended, whatever happens, when the test is over."""
    made: list[StackUnderTest] = []

    def make(name: str = "dev", home: Path | None = None, **settings: Any) -> StackUnderTest:
        made.append(StackUnderTest(home or tmp_path_factory.mktemp("home"), name, settings))
        return made[-1]

    yield make
    for stack in made:
        stack.end()


@pytest.fixture
def stack(make_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """A stack with one server and one service of ten rows, not yet brought up."""
    made = make_stack()
    made.write_service("notes")
    return made

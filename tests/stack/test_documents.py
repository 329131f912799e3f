"""Every command of the documents runs, on a stack of its own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import SERVERS
from tests.stack.harness import CHECKOUT, StackUnderTest

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LAST = "take-down.md"


def _documents() -> list[Path]:
    found = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
    found.remove(CHECKOUT / "docs/setup.md")  # make's targets, which need a checkout
    return sorted(found, key=lambda path: path.name == LAST)


@pytest.mark.timeout(600)
def test_every_command_of_the_documents_runs(make_stack: Callable[..., StackUnderTest]) -> None:
    stack = make_stack(servers=SERVERS, agent={}, pgadmin={}, redis={"redis": {}})
    shutil.copytree(CHECKOUT / "sql", stack.root / "sql", dirs_exist_ok=True)
    stack.keelson("up")
    blocks = [(path.name, block) for path in _documents() for block in BLOCK.findall(path.read_text(encoding="utf-8"))]
    for name, block in blocks:
        done = stack.run(["bash", "-euc", block], check=False)
        assert done.returncode == 0, f"{name}:\n{block}\n{done.stdout}\n{done.stderr}"
    assert len(blocks) >= 7

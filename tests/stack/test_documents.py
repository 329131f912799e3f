"""Every command of the documents runs, on a stack of its own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import SERVERS
from tests.stack.docker_stack import DockerStack
from tests.stack.harness import CHECKOUT, StackUnderTest

CONTAINERS = CHECKOUT / "docs/docker.md"
TEXT = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
APPLICATION = """--entrypoint sh {image} -c 'psql "$DATABASE_URL" -Atc "SELECT current_user"'"""
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BACKUP = re.compile(r"\d{8}T\d{6}Z")  # in whose place the newest of portfolio stands
LAST = "take-down.md"


def _documents() -> list[Path]:
    found = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
    found.remove(CHECKOUT / "docs/setup.md")  # make's targets, which need a checkout
    return sorted(found, key=lambda path: path.name == LAST)


@pytest.mark.timeout(1200)
def test_every_command_of_the_documents_runs(make_stack: Callable[..., StackUnderTest]) -> None:
    servers = {**SERVERS, "main": {**SERVERS["main"], "point_in_time": True}}
    stack = make_stack(servers=servers, agent={}, pgadmin={}, redis={"redis": {}})
    shutil.copytree(CHECKOUT / "sql", stack.root / "sql", dirs_exist_ok=True)
    stack.keelson("up")
    blocks = [(path.name, block) for path in _documents() for block in BLOCK.findall(path.read_text(encoding="utf-8"))]
    failed = []
    for name, written in blocks:
        block = BACKUP.sub(lambda _: max(filter(BACKUP.fullmatch, stack.backups_of("portfolio"))), written)
        done = stack.run(["bash", "-euc", block], check=False, env=stack.environment | {"KEELSON_STACK": stack.name})
        if done.returncode:
            failed.append(f"{name}:\n{block}\n{done.stdout}\n{done.stderr}")
    assert not failed, "\n".join(failed)
    assert len(blocks) >= 7


@pytest.mark.docker
def test_every_command_about_containers_runs(make_stack: Callable[..., DockerStack]) -> None:
    """On a stack of another name, what make would run in a checkout, an application that is PostgreSQL's client."""
    stack = make_stack()
    shutil.copytree(CHECKOUT / "sql/auth", stack.root / "sql/auth")
    own = {
        "make up STACK=docker": "keelson up -s docker --yes",
        "make down STACK=docker": "keelson destroy -s docker --yes",
        "-s docker": f"-s {stack.name}",
        "keelson-docker": stack.key,
    }
    said = ""
    last = [line for block in TEXT.findall(CONTAINERS.read_text(encoding="utf-8")) for line in block.splitlines()]
    for line in sorted(last, key=lambda line: line.startswith("make down")):
        for written, meant in own.items():
            line = line.replace(written, meant)  # noqa: PLW2901
        if "my-auth-service" in line:
            image = stack.container("main").attrs["Image"]
            line = line.replace("my-auth-service", APPLICATION.format(image=image))  # noqa: PLW2901
        done = stack.run(["bash", "-euc", line], check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        said += done.stdout
    assert "auth_app_a" in said
    assert not stack.running()

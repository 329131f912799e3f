from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cluster import kubeconfig  # noqa: F401 - offered to all tests
from tests.daemon import docker_host, pytest_unconfigure  # noqa: F401 - offered to all tests
from tests.fixtures import admin, database, scratch_server, server, service  # noqa: F401 - offered to all tests
from tests.stack.docker_stack import DockerStack
from tests.stack.harness import CHECKOUT, StackUnderTest
from tests.stack.kubernetes_stack import KubernetesStack

# A shell that runs the tests in the background makes them ignore Ctrl-C, and so would all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

SERVERS = {"main": {}, "timescale": {"timescaledb": True}}
WHOLE = {"servers": SERVERS, "redis": {"redis": {}}, "pgadmin": {"enabled": True}, "agent": {"enabled": True}}


OTHERS = {  # markers of tests that are about another target
    "local": ("docker",),
    "docker": ("local", "kubernetes"),
    "kubernetes": ("local", "docker"),
}
EVERYWHERE = "local; where CI is set, what is marked `everywhere` on docker too"
COMPLETE = bool(os.environ.get("CI"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--target",
        choices=["local", "docker", "kubernetes"],
        help=f"the target of the stacks that tests bring up; default: {EVERYWHERE}",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that brings up stacks on the chosen target; without a choice, some on both."""
    if "target" not in metafunc.fixturenames:
        return
    chosen = metafunc.config.option.target
    everywhere = not chosen and COMPLETE and metafunc.definition.get_closest_marker("everywhere")
    params = [pytest.param(chosen or "local", id=pytest.HIDDEN_PARAM), *(["docker"] if everywhere else [])]
    metafunc.parametrize("target", params, indirect=True, scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = OTHERS[config.option.target or "local"]
    left_out = [item for item in items if _any(item, others) or _is_for_ci(config, item)]
    kept = [item for item in items if item not in left_out]
    # Whole stacks take longest: they come first, so that no worker begins one when the others have done their part.
    items[:] = sorted(kept, key=lambda item: item.path.parent.name != "stack")
    config.hook.pytest_deselected(items=left_out)


def _any(item: pytest.Item, markers: Collection[str]) -> bool:
    return any(item.get_closest_marker(marker) for marker in markers)


def _is_for_ci(config: pytest.Config, item: pytest.Item) -> bool:
    return not (COMPLETE or config.option.target) and item.get_closest_marker("thorough") is not None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out."""
    if not COMPLETE and not terminalreporter.config.option.target:
        terminalreporter.line(
            "left out: what is marked `thorough`, and whole stacks of `everywhere` on docker; CI=1 runs them"
        )


@pytest.fixture(scope="module")
def target(request: pytest.FixtureRequest) -> str:
    """The target of this test's stacks."""
    return str(request.param)


def _maker(target: str, request: pytest.FixtureRequest) -> Callable[[Path, str, dict[str, Any]], StackUnderTest]:
    if target == "local":
        return StackUnderTest
    host = request.getfixturevalue("docker_host")
    if target == "kubernetes":
        cluster = request.getfixturevalue("kubeconfig")
        return lambda home, _, settings: KubernetesStack(home, cluster, host, **settings)
    return lambda home, _, settings: DockerStack(home, host, **settings)


@contextlib.contextmanager
def _ended(
    target: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Callable[..., StackUnderTest]]:
    """Make stacks that are ended with the block."""
    new, made = _maker(target, request), list[StackUnderTest]()

    def make(name: str = "dev", **settings: Any) -> StackUnderTest:
        made.append(new(tmp_path_factory.mktemp("home"), name, settings))
        return made[-1]

    try:
        yield make
    finally:
        for stack in made:
            stack.end()


@pytest.fixture
def make_stack(
    target: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Callable[..., StackUnderTest]]:
    """Make stacks on the target that are ended, whatever happens, when the test is over."""
    with _ended(target, tmp_path_factory, request) as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_stack(
    target: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Callable[..., StackUnderTest]]:
    """Make stacks on the target that serve the tests of a module."""
    with _ended(target, tmp_path_factory, request) as make:
        yield make


@pytest.fixture(scope="session")
def ten(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[StackUnderTest]:
    """The project's own stack with its ten databases, up."""
    with _ended(request.config.option.target or "local", tmp_path_factory, request) as make:
        made = make(servers=SERVERS)
        shutil.copytree(CHECKOUT / "sql", made.root / "sql", dirs_exist_ok=True)
        made.keelson("up")
        yield made


@pytest.fixture(scope="session")
def stack_databases(ten: StackUnderTest) -> Callable[[str], psycopg.Connection]:
    """Connect to one of the ten databases as the administrator."""

    def connect(name: str) -> psycopg.Connection:
        return ten.connect(name, "admin")

    return connect

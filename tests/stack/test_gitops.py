"""Stacks whose objects another tool applies: rendered, applied by kubectl, and brought to their end by `up`."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack.harness import changed, wait_until
from tests.stack.kubernetes_stack import KubernetesStack
from tools.kubernetes import programs

pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough, pytest.mark.timeout(900)]
Make = Callable[..., KubernetesStack]


@pytest.fixture
def make(tmp_path_factory: pytest.TempPathFactory, kubeconfig: Path, docker_host: str) -> Iterator[Make]:
    """Make stacks of one service of ten rows, which are ended with the test."""
    made: list[KubernetesStack] = []

    def new(**settings: Any) -> KubernetesStack:
        made.append(KubernetesStack(tmp_path_factory.mktemp("gitops"), kubeconfig, docker_host, **settings))
        made[-1].write_service("notes")
        return made[-1]

    try:
        yield new
    finally:
        for each in made:
            each.end()


def render(stack: KubernetesStack) -> dict[str, str]:
    """Render without a cluster, and return the files."""
    folder = stack.home / "deploy"
    stack.keelson("render", str(folder), env={"KUBECONFIG": "", "HOME": str(stack.home)})
    return {path.name: path.read_text() for path in folder.iterdir()}


def apply(stack: KubernetesStack) -> None:
    """Apply what was rendered, as a GitOps tool does."""
    command = [str(programs.path("kubectl")), "--kubeconfig", str(stack.kubeconfig), "apply", "--server-side"]
    stack.run([*command, "--force-conflicts", "-k", str(stack.home / "deploy")])


def hand_over(stack: KubernetesStack, workloads: str) -> None:
    stack.write_settings(kubernetes=stack.settings["kubernetes"] | {"workloads": workloads})


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


def well(stack: KubernetesStack) -> bool:
    return bool(json.loads(stack.keelson("status", "--json", check=False).stdout)["well"])


def test_what_was_rendered_and_applied_is_brought_to_its_end_by_up(make: Make) -> None:
    stack = make(agent={"enabled": True})
    hand_over(stack, "gitops")
    files = render(stack)
    refused = stack.keelson("up", check=False)
    assert refused.returncode == 1
    assert f"have namespace-{stack.key}.yaml of `keelson render` applied, and run `keelson up` again" in said(refused)

    apply(stack)
    done = stack.keelson("up")

    assert "another rendering" not in said(done)
    assert stack.count("notes", "notes") == 10
    wait_until(lambda: well(stack), "the stack is well", seconds=60)
    assert not changed(stack.keelson("up").stdout)
    assert render(stack) == files
    passwords = stack.passwords().values()
    assert len(passwords) > 5
    assert not [name for name, text in files.items() if any(each in text for each in passwords)]

    stack.write_settings(servers={"main": {"memory": "1536mb"}})
    assert re.search(
        r"another rendering of the StatefulSet main; have statefulset-main.yaml of", said(stack.keelson("up"))
    )
    render(stack)
    apply(stack)
    assert "another rendering" not in said(stack.keelson("up"))
    assert stack.count("notes", "notes") == 10


@pytest.mark.long
def test_a_stack_changes_hands_and_nothing_is_made_anew(make: Make) -> None:
    stack = make()
    stack.keelson("up")
    before = stack.things(), stack.uid("main"), stack.uid("toolbox")
    hand_over(stack, "gitops")
    for command in ("preview", "up", "render"):
        refused = stack.keelson(command, *([str(stack.home / "deploy")] if command == "render" else []), check=False)
        assert (refused.returncode, "write 'handover', run `keelson up`" in said(refused)) == (1, True)
    hand_over(stack, "handover")
    stack.keelson("up")
    hand_over(stack, "gitops")
    render(stack)
    assert "statefulset-main.yaml of `keelson render` applied" in said(stack.keelson("up"))
    apply(stack)
    assert "another rendering" not in said(stack.keelson("up"))
    assert (stack.things(), stack.uid("main"), stack.uid("toolbox")) == before

    hand_over(stack, "pulumi")
    stack.keelson("up")
    assert not changed(stack.keelson("up").stdout)
    assert (stack.things(), stack.uid("main"), stack.uid("toolbox")) == before
    assert stack.count("notes", "notes") == 10

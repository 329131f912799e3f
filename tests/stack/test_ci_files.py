"""The files that post a preview on a pull or merge request: valid, careful with rights, and their document is made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.stack.harness import CHECKOUT, StackUnderTest

GITHUB = CHECKOUT / ".github/workflows/preview.yml"
GITLAB = CHECKOUT / ".gitlab-ci.yml"


def read(path: Path) -> dict[Any, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def github_step(job: str, name: str) -> dict[str, Any]:
    return next(step for step in read(GITHUB)["jobs"][job]["steps"] if step.get("name") == name)


def scripts() -> dict[str, str]:
    return {
        "github preview": github_step("preview", "Preview")["run"],
        "github comment": github_step("comment", "Comment")["run"],
        "gitlab preview": read(GITLAB)["preview"]["script"][0],
        "gitlab comment": read(GITLAB)["comment"]["script"][0],
    }


@pytest.mark.parametrize(("schema", "path"), [("github-workflows", GITHUB), ("gitlab-ci", GITLAB)])
def test_a_file_is_valid(schema: str, path: Path) -> None:
    command = [str(Path(sys.prefix) / "bin" / "check-jsonschema"), "--builtin-schema", f"vendor.{schema}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", scripts())
def test_a_script_is_one_that_the_shell_can_read(name: str) -> None:
    shell = "bash" if name.startswith("github") else "sh"  # what the runners use
    done = subprocess.run([shell, "-n"], input=scripts()[name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_runs_the_pull_requests_code_may_write_nothing() -> None:
    workflow = read(GITHUB)
    assert workflow["permissions"] == {}
    assert workflow["jobs"]["preview"]["permissions"] == {"contents": "read"}
    assert workflow["jobs"]["comment"]["permissions"] == {"pull-requests": "write"}
    assert list(workflow[True]) == ["pull_request"]  # YAML reads the key `on` so; never pull_request_target
    assert not any("uses" in step for step in workflow["jobs"]["comment"]["steps"])
    used = {step["uses"].partition("@")[0] for step in workflow["jobs"]["preview"]["steps"] if "uses" in step}
    assert used == {"actions/checkout", "actions/cache"}


def test_no_text_of_others_is_pasted_into_a_script() -> None:
    assert not [name for name, script in scripts().items() if "${{" in script]


@pytest.mark.local  # the stack dev has a published passphrase, a stack of docker's tests another name
@pytest.mark.parametrize("name", ["github preview", "gitlab preview"])
@pytest.mark.parametrize("sound", [True, False])
def test_the_document_is_made_where_no_secret_is_set(stack: StackUnderTest, name: str, sound: bool) -> None:  # noqa: FBT001
    if not sound:
        stack.write_service(
            "notes", {"migrations/002_bad.sql": "CRATE;\n", "migrations/002_bad.down.sql": "SELECT 1;\n"}
        )
    (stack.root / ".keelson").mkdir()
    (stack.root / ".keelson/path").write_text(f"PATH={Path(sys.prefix) / 'bin'}:$PATH\n")
    summary, output = stack.home / "summary", stack.home / "output"
    secrets = dict.fromkeys(("PULUMI_BACKEND_URL", "PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE"), "")
    variables = secrets | {"STACK": stack.name, "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(output)}
    command = (
        ["bash", "-eo", "pipefail", "-c", scripts()[name]] if "github" in name else ["sh", "-e", "-c", scripts()[name]]
    )
    done = stack.run(command, check=False, env=stack.environment | variables)
    assert done.returncode == (0 if sound else 1), done.stderr
    document = (stack.root / "preview.md").read_text()
    assert document.startswith(f"<!-- keelson preview of {stack.name} -->")
    assert ("notes" if sound else "002&#95;bad.sql") in document
    if "github" in name:
        assert summary.read_text() == document
        first, *body, last = output.read_text().splitlines()
        assert first == f"document<<{last}"
        assert "\n".join(body) + "\n" == document


@pytest.mark.parametrize(("known", "method"), [("", "POST"), ("4711", "PATCH")])
def test_github_gets_one_comment_that_is_kept_up_to_date(
    tmp_path: Path, known: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitHub's own program cannot be had here; one that writes down how it is called stands for it."""
    told = tmp_path / "told"
    program = tmp_path / "gh"
    program.write_text(f'#!/bin/sh\necho "$@" >>{told}\ncase "$*" in *--jq*) echo {known} ;; esac\n')
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    variables = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "REPOSITORY": "a/b",
        "NUMBER": "7",
        "DOCUMENT": "<!-- m -->\nx",
    }
    command = ["bash", "-eo", "pipefail", "-c", scripts()["github comment"]]
    subprocess.run(command, env=variables, check=True)
    place = f"issues/comments/{known}" if known else "issues/7/comments"
    assert (
        told.read_text().splitlines()[-1]
        == f"api --silent --method {method} repos/a/b/{place} --field body=@preview.md"
    )
    assert (tmp_path / "preview.md").read_text() == "<!-- m -->\nx\n"


def test_a_preview_needs_no_stack_that_is_up(make_stack: Callable[..., StackUnderTest]) -> None:
    stack = make_stack()
    stack.write_service("notes")
    stack.keelson("preview", "--format", "markdown")
    assert not stack.running()

"""Every command says what it is for, and gives an example that can be typed; the shell completes names."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup

from tests.cli.commands import every, root
from tests.stack.harness import CHECKOUT

EXAMPLE = re.compile(r"^\s*Example: (.+)$", re.MULTILINE)
COMMANDS = {" ".join(path): command for path, command in every()}
KEELSON = str(Path(sys.prefix) / "bin" / "keelson")


def examples(name: str) -> list[str]:
    return EXAMPLE.findall(COMMANDS[name].help or "")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_an_example_of_itself(name: str) -> None:
    assert examples(name), f"keelson {name} has no `Example:`"
    assert all(example.startswith(f"keelson {name}") for example in examples(name))


@pytest.mark.parametrize("example", [example for name in COMMANDS for example in examples(name)])
def test_an_example_parses(example: str) -> None:
    words = shlex.split(example.partition(" > ")[0])[1:]
    command, context = root(), None
    while isinstance(command, TyperGroup):
        context = command.make_context("keelson", words[:1], parent=context, resilient_parsing=True)
        command, words = command.commands[words[0]], words[1:]
    command.make_context("keelson", words, parent=context)  # raises a usage error for what it does not know


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is(name: str) -> None:
    assert COMMANDS[name].help
    for parameter in COMMANDS[name].params:
        assert getattr(parameter, "help", None), f"{name}: {parameter.name}"


def complete(words: str, folder: Path = CHECKOUT) -> list[str]:
    variables = {
        "_KEELSON_COMPLETE": "complete_bash",
        "COMP_WORDS": f"keelson {words}",
        "COMP_CWORD": str(words.count(" ") + 1),
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("KEELSON_", "PULUMI_"))}
    done = subprocess.run([KEELSON], env=kept | variables, cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("psql po", ["portfolio"]),
        ("url sig", ["signals"]),
        ("report slow-", ["slow-queries"]),
        ("report gap", ["gap_detection"]),
        ("report sizes time", ["timeseries"]),
        ("stop mai", ["main"]),
        ("start main ti", ["timescale"]),
        ("logs ag", ["agent"]),
        ("status -s pr", ["prod"]),
        ("status -s de", ["dev"]),
        ("migrate sta", ["status"]),
    ],
)
def test_the_shell_offers_names(words: str, offered: list[str]) -> None:
    assert complete(words) == offered


def test_a_project_that_is_broken_or_missing_offers_nothing(tmp_path: Path) -> None:
    assert complete("psql a", tmp_path) == []
    (tmp_path / "Pulumi.yaml").write_text("name: [")
    assert complete("psql a", tmp_path) == []
    assert complete("stop m", tmp_path) == []
    assert complete("report siz", tmp_path) == []


def test_completion_can_be_installed() -> None:
    # Else Typer asks which shell runs the tests.
    detached = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    command = [KEELSON, "--show-completion", "bash"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=detached)
    assert "_KEELSON_COMPLETE=complete_bash" in done.stdout

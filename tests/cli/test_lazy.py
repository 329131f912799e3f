"""A command imports what it needs: its start is most of what a run with nothing to do takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import deferred
from tests.servers import Server
from tests.stack.harness import CHECKOUT

COMMANDS = {" ".join(path): command for path, command in deferred()}
HEAVY = {
    "annotated_types", "cryptography", "cronsim", "docker", "google", "kubernetes", "postgast", "prometheus_client",
    "pulumi", "pydantic", "pydantic_core", "redis", "requests", "rich", "supervisor", "urllib3", "yaml",
}  # fmt: skip
SCRIPT = """
import json, sys
from keelson.cli import main
sys.argv = ["keelson", *json.loads(sys.stdin.readline())]
try:
    main()
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def imported(*words: str, status: int = 0) -> set[str]:
    """The packages that a command has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(words),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_described_without_its_import_as_it_describes_itself(name: str) -> None:
    assert COMMANDS[name].get_short_help_str(500) == COMMANDS[name].load().get_short_help_str(500)
    assert COMMANDS[name].load().get_short_help_str(500)


@pytest.mark.parametrize("words", [("--help",), ("migrate", "--help"), ("migrate", "up", "--help")])
def test_help_imports_nothing_that_is_large(words: tuple[str, ...]) -> None:
    assert not imported(*words) & HEAVY


@pytest.mark.parametrize("words", [(), ("migrate",)])
def test_help_imports_no_command(words: tuple[str, ...]) -> None:
    assert not imported(*words, "--help") & {"psycopg", "keelson.migrations"}


def test_migrations_of_a_url_import_psycopg_and_nothing_that_is_large(server: Server, tmp_path: Path) -> None:
    parameters = server.parameters()
    url = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**parameters)
    arguments = ("--url", url, "--dir", str(tmp_path))
    assert not imported("migrate", "up", *arguments) & HEAVY
    assert not imported("migrate", "status", *arguments) & HEAVY
    assert not imported("migrate", "status", "--json", *arguments) & HEAVY


def test_a_wrong_flag_in_the_environment_is_no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEELSON_STACK", "nowhere")
    assert "pydantic" in imported("migrate", "status", "auth", status=1)

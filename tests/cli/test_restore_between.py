"""What a restore from another stack refuses before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from keelson.cli.application import application
from keelson.errors import KeelsonError
from tests.stack.harness import StackUnderTest

PRIVACY = "tables:\n  notes: {of: user_id, erase: delete}\n"


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackUnderTest:
    """A stack that is not up, beside the settings of another one."""
    made = StackUnderTest(tmp_path)
    made.write_service("notes")
    (made.root / "Pulumi.prod.yaml").write_text((made.root / "Pulumi.dev.yaml").read_text())
    (made.root / "Pulumi.far.yaml").write_text((made.root / "Pulumi.dev.yaml").read_text().replace("local", "docker"))
    monkeypatch.chdir(made.root)
    for variable in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(variable, made.environment[variable])
    return made


def refusal(*arguments: str) -> str:
    found = CliRunner().invoke(application, ["restore", "notes", *arguments, "--stack", "dev"]).exception
    assert isinstance(found, KeelsonError), found
    assert "\n" not in str(found)
    return str(found)


def test_without_a_script_that_names_each_table_of_persons_nothing_comes_over(dev: StackUnderTest) -> None:
    folder = dev.root / "sql/notes"
    wanted = ("--from-stack", "prod", "--into", "copy")
    assert "there is no sql/notes/anonymise.sql that can be read" in refusal(*wanted)
    (folder / "anonymise.sql").write_text("-- notes are harmless\n")
    (folder / "privacy.yaml").write_text(PRIVACY)
    assert "does not name notes, which privacy.yaml says hold rows of persons" in refusal(*wanted)
    (folder / "anonymise.sql").write_text("UPDATE notes SET body = '';\n")
    assert "there is no good backup of notes" in refusal(*wanted)


def test_rows_of_another_stack_come_into_a_copy_and_from_this_machine_alone(dev: StackUnderTest) -> None:
    (dev.root / "sql/notes/anonymise.sql").write_text("UPDATE notes SET body = '';\n")
    assert "come into a copy: add --into NAME" in refusal("--from-stack", "prod", "--swap")
    assert "names the stack dev itself" in refusal("--from-stack", "dev", "--into", "copy")
    assert "lie where it runs, on docker; copy one to this machine" in refusal("--from-stack", "far", "--into", "copy")
    assert "--anonymise is for Keelson itself" in refusal("--anonymise", ".", "--into", "copy")

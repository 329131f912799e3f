"""What a document says of pending migrations beyond the line that the engine's state has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keelson.preview import Events, document_of
from keelson.preview.document import FilePlan
from keelson.preview.events import Step

URN = "urn:pulumi:dev::keelson::keelson:index:ServiceDatabase$pulumi-python:dynamic/keelson:Schema::auth-schema"
KIND = "pulumi-python:dynamic/keelson:Schema"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "sql/auth/migrations"
    folder.mkdir(parents=True)
    (folder / "001_users.sql").write_text("CREATE TABLE users (id bigint PRIMARY KEY, age int);")
    (folder / "002_age.sql").write_text("ALTER TABLE users ALTER age SET NOT NULL;")
    return tmp_path


def planned(root: Path, outputs: dict[str, Any], **changed: Any) -> FilePlan:
    inputs = {"directory": "sql/auth/migrations", "pending": "002_age.sql", "plan": {"002_age.sql": "x"}} | changed
    step = Step("update", URN, {"type": KIND, "outputs": outputs}, {"type": KIND, "inputs": inputs})
    (part,) = document_of(Events(steps=(step,), finished=True), "dev", root).parts
    return part.migrations[0]


def test_statements_come_with_the_rows_that_the_last_up_counted(root: Path) -> None:
    file = planned(root, {"rows": {"users": 2e6}})
    assert [str(work) for work in file.statements[0].work] == ["scans users (SET NOT NULL of age)"]
    assert file.statements[0].work[0].rows == file.statements[0].locks[0].rows == 2_000_000
    assert [finding.rule for finding in file.findings] == ["adding-not-nullable-field"]
    assert file.reversible is False


def test_without_a_count_there_is_none(root: Path) -> None:
    assert planned(root, {}).statements[0].work[0].rows is None


def test_what_cannot_be_read_has_its_line_alone(root: Path) -> None:
    file = planned(root, {}, directory="sql/nowhere")
    assert (file.plan, file.statements, file.findings) == ("x", (), ())

"""What a preview makes of a database's migrations; no test here opens a connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keelson import migrations
from keelson.errors import MigrationError
from providers.schema import SchemaProvider


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "db"
    made.mkdir()
    for name, text in {
        "V1__a.sql": "CREATE TABLE ${name} (id int)",
        "V1.10__c.sql": "CREATE TABLE c ()",
        "V1.9__b.sql": "CREATE TABLE b ()",
        "R__v.sql": "CREATE OR REPLACE VIEW v AS SELECT id FROM a",
    }.items():
        (made / name).write_text(text)
    return made


def inputs(**changed: Any) -> dict[str, Any]:
    reading = {"placeholders": {"name": "a"}}
    files = migrations.Location(Path("db"), **reading).read()
    hashes = dict(sorted((file.name, file.sha256) for file in files))  # as the engine has them
    return {"service": "auth", "directory": "db", "reading": reading, "files": hashes} | changed


@pytest.mark.usefixtures("folder")
def test_what_is_pending_comes_in_the_order_of_the_directory() -> None:
    seen = SchemaProvider().examine(inputs(), {})
    assert seen["pending"] == "V1__a.sql, V1.9__b.sql, V1.10__c.sql, R__v.sql"
    assert seen["plan"]["V1__a.sql"].startswith("creates table a")


def test_a_repeatable_file_that_changed_is_pending_and_another_is_rewritten_history(folder: Path) -> None:
    old = SchemaProvider().examine(inputs(), {})
    assert SchemaProvider().examine(inputs(), old)["pending"] == old["pending"]  # nothing changed: the old texts stay
    (folder / "R__v.sql").write_text("CREATE OR REPLACE VIEW v AS SELECT id, 1 FROM a")
    assert SchemaProvider().examine(inputs(), old)["pending"] == "R__v.sql"
    (folder / "V1.9__b.sql").write_text("CREATE TABLE other ()")
    with pytest.raises(MigrationError, match=r"V1\.9__b\.sql was changed after it was applied"):
        SchemaProvider().examine(inputs(), old)


@pytest.mark.usefixtures("folder")
def test_a_state_of_before_that_knows_the_hash_of_the_text_is_no_other_history() -> None:
    files = migrations.Location(Path("db"), placeholders={"name": "a"}).read()
    old = inputs(files={file.name: file.text_sha256 for file in files[:2]})
    assert SchemaProvider().examine(inputs(), old)["pending"] == "V1.10__c.sql, R__v.sql"

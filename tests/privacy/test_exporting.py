"""The file holds all rows of the person, as they were at one moment, no row of another, and no hash."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from keelson.errors import PrivacyError
from keelson.privacy import exporting
from keelson.privacy.erasing import opened, plan
from keelson.privacy.exporting import export
from keelson.privacy.receipts import Receipts
from keelson.privacy.subject import Subject
from tests.product import ALICE, BOB, NOBODY
from tests.services import Service


def test_the_file_holds_all_rows_of_the_person_and_none_of_others(
    subjects: list[Subject], receipts: Receipts, tmp_path: Path
) -> None:
    path = tmp_path / "alice.json"
    with opened(subjects) as databases:
        receipt = export(databases, ALICE.upper(), path, receipts)
        planned = {
            (step.database, step.table): step.rows for step in plan(databases, ALICE) if step.action != "anonymise"
        }
    text = path.read_text()
    found = json.loads(text)
    assert found["user"] == ALICE
    assert set(found["databases"]) == {"auth", "notifications", "portfolio"}
    for (name, table), rows in planned.items():
        assert len(found["databases"][name]["tables"][table]["rows"]) == rows
    tables = found["databases"]["portfolio"]["tables"]
    assert {row["name"] for row in tables["public.portfolios"]["rows"]} == {"Growth", "Retirement"}
    assert len(tables["public.transactions"]["rows"]) == 15
    assert BOB not in text
    (user,) = found["databases"]["auth"]["tables"]["public.users"]["rows"]
    assert user["email"] == "alice@example.com"
    assert "password_hash" not in user
    assert found["databases"]["auth"]["tables"]["public.users"]["left_out"] == ["password_hash"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert receipt.values["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert receipt.values["bytes"] == path.stat().st_size
    assert receipt.databases["portfolio"]["tables"]["public.transactions"] == {"rows": 15}
    assert ALICE not in receipt.path.read_text()


def test_each_database_is_read_as_it_was_when_the_export_began(
    services: dict[str, Service],
    subjects: list[Subject],
    receipts: Receipts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows that are written while the first database is read stand in none."""
    read = exporting._write_tables

    def write_first(*given: object) -> dict[str, int]:
        with services["portfolio"].as_admin() as admin:
            admin.execute(
                "INSERT INTO watchlists (user_id, name, symbol) VALUES (%s, 'Late', gen_random_uuid()::varchar(20))",
                [ALICE],
            )
        return read(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(exporting, "_write_tables", write_first)
    with opened(subjects) as databases:
        export(databases, ALICE, tmp_path / "alice.json", receipts)
    rows = json.loads((tmp_path / "alice.json").read_text())["databases"]["portfolio"]["tables"]["public.watchlists"][
        "rows"
    ]
    assert "Late" not in {row["name"] for row in rows}


def test_an_unknown_person_and_a_file_that_is_there_leave_nothing(
    subjects: list[Subject], receipts: Receipts, tmp_path: Path
) -> None:
    path = tmp_path / "nobody.json"
    with opened(subjects) as databases:
        with pytest.raises(PrivacyError, match="no row of"):
            export(databases, NOBODY, path, receipts)
        assert not path.exists()
        path.write_text("kept")
        with pytest.raises(PrivacyError, match="is there already"):
            export(databases, ALICE, path, receipts)
        assert path.read_text() == "kept"
        with pytest.raises(PrivacyError, match="cannot write"):
            export(databases, ALICE, tmp_path / "nowhere" / "a.json", receipts)
    assert list(receipts.all()) == []
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []

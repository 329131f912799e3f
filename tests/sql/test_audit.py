"""The commands on a stack: a head to keep, a trail that is whole, and what a regulator gets."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.product import BOB
from tests.stack.harness import StackUnderTest


@pytest.fixture
def changed(ten: StackUnderTest) -> None:
    """A change by the application, which leaves the row as it was."""
    with ten.connect("portfolio") as connection:
        for name in ("Income for now", "Income"):
            with connection.transaction():
                connection.execute("SELECT set_config('app.current_user_id', %s, true)", [BOB])
                connection.execute("UPDATE portfolios SET name = %s", [name])


@pytest.mark.usefixtures("changed")
def test_the_trail_is_whole_up_to_the_head_that_was_kept(ten: StackUnderTest, tmp_path: Path) -> None:
    kept = tmp_path / "head"
    kept.write_text(ten.keelson("audit", "head", "portfolio").stdout)
    said = ten.keelson("audit", "verify", "portfolio", "--head", str(kept)).stdout
    assert " whole, " in said
    assert "that were given" in said
    assert "no head was given" in ten.keelson("audit", "verify", "auth").stdout
    other = kept.read_text().strip()[:-4] + "0000"
    refused = ten.keelson("audit", "verify", "portfolio", "--head", other, "--json", check=False)
    assert refused.returncode == 1
    assert "is another one than when the head was taken" in json.loads(refused.stdout)["faults"][0]


@pytest.mark.usefixtures("changed")
def test_an_export_is_json_lines_or_a_table(ten: StackUnderTest, tmp_path: Path) -> None:
    out = tmp_path / "trail.csv"
    ten.keelson("audit", "export", "portfolio", "--format", "csv", "--out", str(out))
    assert out.stat().st_mode & 0o777 == 0o600
    with out.open(newline="") as file:
        table = list(csv.DictReader(file))
    lines = [json.loads(line) for line in ten.keelson("audit", "export", "portfolio").stdout.splitlines()]
    assert [row["hash"] for row in table] == [entry["hash"] for entry in lines]
    assert lines[-1]["actor"] == BOB
    assert lines[-1]["new"]["name"] == "Income"
    assert json.loads(table[-1]["old"])["name"] == "Income for now"
    assert ten.keelson("audit", "export", "portfolio", "--to", "2020-01-01").stdout == ""
    assert ten.keelson("audit", "export", "portfolio", "--from", "2020-01-01").stdout.count("\n") == len(lines)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["head", "notifications"], "notifications has no audit trail; make one by a migration"),
        (["verify", "auth", "--head", "7"], "is no head"),
        (["export", "auth", "--from", "soon"], "--from is 'soon'"),
        (["export", "auth", "--format", "xml"], "give jsonl or csv"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(ten: StackUnderTest, arguments: list[str], told: str) -> None:
    refused = ten.keelson("audit", *arguments, check=False)
    assert refused.returncode != 0
    assert told in refused.stderr
    assert refused.stderr.count("\n") == 1

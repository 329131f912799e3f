"""Files of a hundred megabytes: what the process takes for them, and that they arrive whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keelson import migrations
from keelson.migrations import hashes
from keelson.migrations.parts import LARGE
from keelson.migrations.statements import LARGEST_PARSED, statements_of
from tests.services import PASSWORD, Service

SIZE = 100_000_000
MOST = 200_000  # kB
MEASURED = """
import re, sys
from keelson.cli import main
try:
    main()
finally:
    sys.stderr.write(re.search("VmHWM.*", open("/proc/self/status").read())[0])
"""  # what wait4 tells has the test's own memory in it
TEXT = "some text; with ''quotes'', and more of it until the line is long enough to count"


def copied(path: Path, size: int) -> int:
    """Write rows after a COPY; return how many."""
    row = f"1\t{TEXT}\n"
    path.write_text("CREATE TABLE big (id int, t text);\nCOPY big FROM stdin;\n" + row * (size // len(row)) + "\\.\n")
    return size // len(row)


def inserted(path: Path, size: int) -> int:
    """Write a statement for each row; return how many."""
    row = f"INSERT INTO big VALUES (1, '{TEXT}');\n"
    path.write_text("CREATE TABLE big (id int, t text);\n" + row * (size // len(row)))
    return size // len(row)


@pytest.mark.parametrize(
    "writer", [pytest.param(copied, marks=pytest.mark.thorough), pytest.param(inserted, marks=pytest.mark.soak)]
)
def test_a_hundred_megabytes_take_less_than_two_hundred_of_memory(
    writer: Callable[[Path, int], int], tmp_path: Path, database: Service
) -> None:
    rows = writer(tmp_path / "1_big.sql", SIZE)
    with database.as_admin() as admin:
        admin.execute(f"GRANT CREATE ON SCHEMA public TO {database.roles.migrator}")
    login = database.server.parameters(database.name, database.roles.migrator, PASSWORD)
    url = " ".join(f"{key}={value!r}" for key, value in login.items())
    command = [sys.executable, "-c", MEASURED, "migrate", "up", "--url", url, "--dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stderr.split()[-2]) < MOST
    with database.as_admin() as admin:
        assert admin.execute("SELECT count(*) FROM big").fetchone() == (rows,)


def test_a_statement_that_is_too_large_to_be_parsed_is_one_statement_with_its_line(tmp_path: Path) -> None:
    row = f"(1, '{TEXT * 100}'), -- a comment; with a semicolon\n"
    values = row * (LARGEST_PARSED // len(row) + 1)
    (tmp_path / "1.sql").write_text(f"SELECT 1;\n\nINSERT INTO big VALUES\n{values}(2, 'last');\nSELECT 2;\n")
    (file,) = migrations.read_directory(tmp_path)
    first, large, last = statements_of(file.up)
    assert (first.text, first.line, large.line, last.text) == ("SELECT 1", 1, 3, "SELECT 2")
    assert large.text == f"INSERT INTO big VALUES\n{values}(2, 'last')"
    assert last.line == 5 + values.count("\n")


def test_a_large_file_is_not_read_again_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "SETTLED", -(10**12))
    folder = tmp_path / "migrations"
    folder.mkdir()
    copied(folder / "1_big.sql", LARGE)
    assert migrations.digest_of(folder) is None
    migrations.read_directory(folder)
    assert migrations.digest_of(folder)

"""A drill of a backup that the throw-away server cannot hold: on the live database's own server, beside it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keelson.backups.copies import copies
from keelson.backups.drills.drilling import Plan, drill
from keelson.backups.drills.evidence import Drill
from keelson.backups.store import Backup
from keelson.endpoint import resolve
from keelson.errors import BackupError, UnreachableError
from keelson.local import root, throwaway
from keelson.local.sandbox import InPrivateRoot
from tests.backups.conftest import Subject

TICKS = """
    CREATE TABLE ticks (at timestamptz NOT NULL, price float8);
    SELECT public.create_hypertable('ticks', 'at');
    INSERT INTO ticks SELECT '2026-01-01'::timestamptz + g * interval '1 hour', g / 3.0 FROM generate_series(1, 3000) g;
"""


@pytest.fixture(scope="module")
def poorer() -> Iterator[Path]:
    """A root that lacks TimescaleDB's extension: hard links to the private one, but for that."""
    with tempfile.TemporaryDirectory(prefix="kr-", dir=root.find().path.parent) as folder:
        copied = Path(folder) / "root"
        subprocess.run(["cp", "-al", root.find().path, copied], check=True)
        (found,) = copied.glob("usr/share/postgresql/*/extension/timescaledb.control")
        found.unlink()
        yield copied


@pytest.fixture(autouse=True)
def short_home(subject: Subject, poorer: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A data directory whose name leaves room for a socket's; throw-away servers are of the poorer root."""
    subject.end()
    subject.make("timescaledb")
    lacking = replace(root.find(), path=poorer)
    monkeypatch.setattr(throwaway, "in_private_root", lambda: lambda directory: InPrivateRoot(lacking, directory))
    with tempfile.TemporaryDirectory(prefix="kd-") as home:
        monkeypatch.setenv("XDG_DATA_HOME", home)
        yield


def drilled(subject: Subject, backup: Backup, checks: dict[str, str] | None = None) -> Drill:
    return drill(backup, Plan(subject.store, "local", checks or {}, beside=subject.reference))


def kept_copies(subject: Subject) -> list[str]:
    with resolve(subject.administrator).connect() as admin:
        return [copy.name for copy in copies(admin) if copy.service == subject.name]


def test_it_is_proven_beside_the_live_database_which_stays_as_it_is(subject: Subject) -> None:
    with subject.connect() as admin:
        admin.execute(TICKS)
    made = subject.back_up()
    with subject.connect() as admin:
        admin.execute("DELETE FROM ticks WHERE price > 500")
        before = admin.execute("SELECT count(*) FROM ticks").fetchone()
    chunks = "SELECT 1 FROM timescaledb_information.hypertables HAVING count(*) <> 1"
    done = drilled(subject, made, {"chunks.sql": chunks})
    assert done.differences == ()
    assert done.compared["rows"] == 3000
    assert done.checks == {"chunks.sql": 0}
    assert done.recovery_seconds > 0
    (note,) = done.notes
    assert note.startswith("restored beside the live database")
    assert "lacks it" in note
    assert subject.databases() == {subject.name}
    with subject.connect() as admin:
        assert admin.execute("SELECT count(*) FROM ticks").fetchone() == before


def test_rows_that_are_missing_are_found_and_nothing_is_left(subject: Subject) -> None:
    with subject.connect() as admin:
        admin.execute(TICKS)
    done = drilled(subject, subject.back_up(), {"prices.sql": "SELECT * FROM ticks WHERE price > 999"})
    assert done.differences == ("the check prices.sql finds 3 rows in the restored database",)
    assert subject.databases() == {subject.name}


def test_without_a_live_server_it_says_what_is_lacking_or_that_none_answers(subject: Subject) -> None:
    made = subject.back_up()
    alone = drill(made, Plan(subject.store, "local"))
    assert "the server lacks it" in alone.differences[0]
    with pytest.raises(UnreachableError):
        drill(made, Plan(subject.store, "local", beside=replace(subject.reference, server="elsewhere")))


def test_a_database_of_that_name_is_left_alone(subject: Subject) -> None:
    made, name = subject.back_up(), f"{subject.name}_drill"
    subject.restore(made, name)
    with pytest.raises(BackupError, match=f"there is a database {name} already"):
        drilled(subject, made)
    assert kept_copies(subject) == [name]


KILLED = """
import os, signal, sys
from pathlib import Path
from keelson.backups.drills.drilling import Plan, drill
from keelson.backups.store import Backup, Store
from keelson.backups.drills import drilling
from keelson.endpoint import Reference
from keelson.local import root, throwaway
from keelson.local.sandbox import InPrivateRoot
from dataclasses import replace
path, key, directory, server, name, poorer = sys.argv[1:]
lacking = replace(root.find(), path=Path(poorer))
throwaway.in_private_root = lambda: lambda folder: InPrivateRoot(lacking, folder)
beside = Reference(stack=key, target="local", server=server, database=name)
end = lambda phase: os.kill(os.getpid(), signal.SIGKILL) if phase == "compare" else None
drill(Backup(Path(path)), Plan(Store(key, Path(directory)), "local", tell=end, beside=beside))
"""


def test_one_that_is_killed_leaves_no_copy_that_counts_and_the_next_clears_it(subject: Subject, poorer: Path) -> None:
    made, where = subject.back_up(), subject.administrator
    words = [str(made.path), where.stack, str(subject.store.directory.parent), where.server, subject.name, str(poorer)]
    ended = subprocess.run([sys.executable, "-c", KILLED, *words], check=False, capture_output=True)
    assert ended.returncode == -9, ended.stderr
    assert subject.databases() == {subject.name, f"{subject.name}_drill"}
    assert kept_copies(subject) == []
    assert drilled(subject, made).differences == ()
    assert subject.databases() == {subject.name}

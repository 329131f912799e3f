"""Drills of real backups: what is restored into a throw-away server is held against what was backed up."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from keelson import paths
from keelson.agent import kinds
from keelson.agent.jobs import Job
from keelson.backups import manifest as manifests
from keelson.backups.drills import evidence
from keelson.backups.drills.drilling import PHASES, Plan, drill
from keelson.backups.drills.evidence import Drill
from keelson.backups.folder import FileFacts
from keelson.backups.making import MANUAL, back_up
from keelson.backups.manifest import Manifest
from keelson.backups.rows import BY_TEXT, BY_VALUE, digest_all
from keelson.backups.store import Backup, Store
from keelson.errors import BackupError
from keelson.postgres import snapshot
from keelson.postgres.databases import open_access
from tests.backups.conftest import Subject
from tests.backups.test_restoring import RICH
from tests.stack.harness import NOTES, StackUnderTest, wait_until


@pytest.fixture(autouse=True)
def short_home(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: ARG001 - sets the name first
    """A data directory whose name leaves room for a socket's."""
    with tempfile.TemporaryDirectory(prefix="kd-") as home:
        monkeypatch.setenv("XDG_DATA_HOME", home)
        yield


def drilled(subject: Subject, backup: Backup, checks: dict[str, str] | None = None) -> Drill:
    return drill(backup, Plan(subject.store, "local", checks or {}))


def scratch_left() -> list[Path]:
    return list((paths.data() / "scratch").glob("*")) if (paths.data() / "scratch").exists() else []


def changed(backup: Backup, change: Callable[[Manifest], Manifest]) -> Backup:
    """Give a backup another manifest, as one who may write there could; with sums that fit."""
    manifest = change(backup.manifest)
    (backup.path / manifests.NAME).unlink()
    files = {
        name: FileFacts(hashlib.sha256(data).hexdigest(), len(data))
        for name in manifest.files
        if (data := (backup.path / name).read_bytes())
    }
    manifests.write(backup.path, replace(manifest, files=files))
    return Backup(backup.path)


def test_a_good_backup_is_all_there_after_a_drill(subject: Subject) -> None:
    with subject.connect() as admin:
        admin.execute(RICH)
        admin.execute(
            "ALTER TABLE parent ADD COLUMN late text DEFAULT 'x'"
        )  # a child has it last, its restored copy before b
        admin.execute(f"GRANT SELECT (id) ON tenants TO {subject.roles.readonly}")
        admin.execute(f"ALTER DATABASE {subject.name} SET search_path = '$user', public, 'My Schema'")
        open_access(admin, subject.name)
    made = subject.back_up()
    done = drilled(subject, made, {"rows.sql": "-- no row\nSELECT id FROM tenants WHERE owner IS NULL;"})
    assert done.differences == ()
    assert done.notes == ()
    assert tuple(done.seconds) == PHASES
    assert done.checks == {"rows.sql": 0}
    assert done.compared["rows"] == sum(made.manifest.counts.values())
    assert done.compared["sequences"] == 2
    assert done.compared["roles"] >= 3
    assert 0 < done.recovery_seconds < 60
    assert scratch_left() == []
    assert subject.databases() == {subject.name}


EXPRESSIONS = """
CREATE TABLE orders (id int PRIMARY KEY, state varchar(9) NOT NULL CHECK (state IN ('new', 'it''s', 'filled')), kind char(3), price real
    CHECK (price NOT IN (1, 2.5) OR kind NOT IN ('a,b', ']::', E'\\\\')), made date DEFAULT now(),
    known boolean GENERATED ALWAYS AS (state IN ('new', 'old') OR kind = ANY ('{abc,def}')) STORED);
CREATE INDEX open_orders ON orders (id) WHERE state IN ('new', 'held') AND made BETWEEN '2020-01-01' AND '2030-01-01';
CREATE VIEW weights AS SELECT id, CASE WHEN state IN ('new', 'held') THEN 1 ELSE 2.0 END AS weight FROM orders WHERE state LIKE 'n%' OR state NOT IN ('x', 'y');
CREATE MATERIALIZED VIEW kept AS SELECT count(*) FROM orders WHERE state SIMILAR TO 'n(ew|o)' OR (id, state) IN ((1, 'new'), (2, 'old'));
CREATE POLICY new_ones ON orders USING (state IN ('new', 'held') AND kind::text IN ('abc', 'def'));
"""


def test_an_expression_that_postgresql_writes_down_otherwise_after_a_restore_is_no_difference(filled: Subject) -> None:
    with filled.connect() as admin:
        admin.execute(EXPRESSIONS)
        before, known = snapshot.read(admin), snapshot.remember(admin)
    made = filled.back_up()
    assert drilled(filled, made).differences == ()
    filled.restore(made)
    with filled.connect(f"{filled.name}_copy") as restored:
        both = (each.without(kinds=("database",)) for each in (before, snapshot.read(restored)))
        assert snapshot.compare(*both) == ()
        assert {*snapshot.changed(known, snapshot.remember(restored))} <= {"database", "grants"}


def test_evidence_is_kept_for_this_user_alone(filled: Subject) -> None:
    made = filled.back_up()
    first, second = drilled(filled, made), drilled(filled, made)
    kept = sorted((filled.folder / "drills").iterdir())
    assert len(kept) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert evidence.read(kept[0]) == first
    assert evidence.last(filled.store, filled.name) == second
    values = json.loads(kept[0].read_text())
    assert (values["backup"], values["well"], values["differences"]) == (made.id, True, [])
    assert values["recovery_seconds"] > 0
    made.remove()
    assert sorted((filled.folder / "drills").iterdir()) == kept
    assert filled.store.all(filled.name) == []


def test_rows_that_a_dump_lost_are_found(filled: Subject) -> None:
    made, dump = filled.back_up(), "data.dump"
    with filled.connect() as admin:
        admin.execute("DELETE FROM t WHERE a > 19990")
    fewer = filled.back_up()
    (made.path / dump).write_bytes((fewer.path / dump).read_bytes())
    lost = changed(made, lambda manifest: manifest)
    assert lost.fault == ""
    assert drilled(filled, lost).differences == ("public.t has 19990 rows in place of 20000 rows",)


def test_as_many_rows_with_another_content_are_found(filled: Subject) -> None:
    made, dump = filled.back_up(), "data.dump"
    with filled.connect() as admin:
        admin.execute("UPDATE t SET b = 'another' WHERE a = 7")
    (made.path / dump).write_bytes((filled.back_up().path / dump).read_bytes())
    other = changed(made, lambda manifest: manifest)
    assert drilled(filled, other).differences == ("public.t has other rows than were backed up, 20000 rows as many",)


def test_an_index_a_grant_and_a_sequence_that_a_dump_lost_are_found(filled: Subject) -> None:
    with filled.connect() as admin:
        admin.execute(f"CREATE INDEX by_b ON t (b); GRANT SELECT ON t TO {filled.roles.readonly}; CREATE SEQUENCE s")
        admin.execute("SELECT setval('s', 42)")
    made, dump = filled.back_up(), "data.dump"
    with filled.connect() as admin:
        admin.execute(f"DROP INDEX by_b; REVOKE SELECT ON t FROM {filled.roles.readonly}; SELECT setval('s', 41)")
    (made.path / dump).write_bytes((filled.back_up().path / dump).read_bytes())
    found = drilled(filled, changed(made, lambda manifest: manifest)).differences
    assert "the sequence public.s is at 41 in place of 42" in found
    assert "the table public.t (index by_b) is missing" in found
    assert any("grants to" in each and filled.roles.readonly in each for each in found)
    assert len(found) == 3


def test_a_sequence_that_went_on_while_the_backup_was_made_is_no_difference(filled: Subject) -> None:
    with filled.connect() as admin:
        admin.execute("CREATE SEQUENCE s; SELECT setval('s', 42)")
    made = changed(
        filled.back_up(),
        lambda manifest: replace(
            manifest, facts={**manifest.facts, "sequences": {"public.s": {"last": 40, "step": 1, "cycles": False}}}
        ),
    )
    assert drilled(filled, made).well


def test_a_role_that_is_missing_is_named_once(filled: Subject) -> None:
    with filled.connect() as admin:
        admin.execute(f"GRANT SELECT ON t TO {filled.roles.readonly}")
    made = filled.back_up()
    path = made.path / "roles.sql"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if filled.roles.readonly not in line))
    found = drilled(filled, changed(made, lambda manifest: manifest)).differences
    assert found[0] == f"the role {filled.roles.readonly} is named by the database, and roles.sql does not make it"


def test_a_check_that_finds_rows_fails_the_drill_and_shows_none_of_them(filled: Subject) -> None:
    checks = {"small.sql": "SELECT b FROM t WHERE a < 4; SELECT 1 WHERE false", "wrong.sql": "SELECT nothing FROM t"}
    done = drilled(filled, filled.back_up(), checks)
    assert done.differences == (
        "the check small.sql finds 3 rows in the restored database",
        'the check wrong.sql cannot be run on the restored database: column "nothing" does not exist',
    )
    assert done.checks == {"small.sql": 3}


def test_a_check_cannot_change_what_it_looks_at(filled: Subject) -> None:
    done = drilled(filled, filled.back_up(), {"a.sql": "DELETE FROM t RETURNING a"})
    assert "read-only transaction" in done.differences[0]


def test_a_damaged_dump_fails_the_drill_and_no_longer_counts(filled: Subject) -> None:
    made = filled.back_up()
    data = bytearray((made.path / "data.dump").read_bytes())
    data[len(data) // 2] ^= 1
    (made.path / "data.dump").write_bytes(data)
    done = drilled(filled, made)
    assert "its SHA-256 is not the manifest's" in done.differences[0]
    assert made.fault
    assert scratch_left() == []


def test_an_older_backup_is_drilled_by_what_it_says(filled: Subject) -> None:
    def older(manifest: Manifest) -> Manifest:
        facts = {name: fact for name, fact in manifest.facts.items() if name not in {"digests", "sequences"}}
        return replace(manifest, facts=facts, files={n: f for n, f in manifest.files.items() if n != "catalog.json"})

    done = drilled(filled, changed(filled.back_up(), older))
    assert done.well
    assert len(done.notes) == 3
    assert done.compared["rows"] == 20_000


def test_a_backup_with_digests_of_texts_is_compared_by_them(filled: Subject) -> None:
    with filled.connect() as admin:
        hashes = digest_all(admin, BY_TEXT).hashes

    def older(manifest: Manifest, hashes: Mapping[str, str]) -> Manifest:
        facts = {name: fact for name, fact in manifest.facts.items() if name != BY_VALUE}
        return replace(manifest, facts={**facts, BY_TEXT: hashes})

    made = filled.back_up()
    assert drilled(filled, changed(made, lambda manifest: older(manifest, hashes))).compared["tables_by_content"] == 1
    done = drilled(filled, changed(made, lambda manifest: older(manifest, {"public.t": "4711"})))
    assert done.differences == ("public.t has other rows than were backed up, 20000 rows as many",)


def test_a_drill_without_room_says_so_and_keeps_nothing(filled: Subject) -> None:
    huge = changed(filled.back_up(), lambda manifest: replace(manifest, facts={**manifest.facts, "size": 10**17}))
    with pytest.raises(BackupError, match=r"a drill needs about .* GB, and .* are free under"):
        drilled(filled, huge)
    assert evidence.last(filled.store, filled.name) is None


def test_hypertables_come_back_as_hypertables(subject: Subject) -> None:
    subject.end()
    subject.make("timescaledb")
    with subject.connect() as admin:
        admin.execute("CREATE TABLE ticks (at timestamptz NOT NULL, price float8)")
        admin.execute("SELECT public.create_hypertable('ticks', 'at')")
        admin.execute(
            "INSERT INTO ticks SELECT '2026-01-01'::timestamptz + g * interval '1 hour', g / 3.0 FROM generate_series(1, 3000) g"
        )
    done = drilled(
        subject,
        subject.back_up(),
        {"chunks.sql": "SELECT 1 FROM timescaledb_information.hypertables HAVING count(*) <> 1"},
    )
    assert done.differences == ()
    assert done.compared["rows"] == 3000


def test_what_the_agent_runs_tells_how_long_a_recovery_takes_or_why_it_failed(filled: Subject) -> None:
    settings = {
        "directory": str(filled.store.directory.parent),
        "checks": {"few.sql": "SELECT a FROM t WHERE a > 20000"},
    }
    job = Job(f"drill-{filled.name}", "drill", filled.reference, "0 4 * * 0", settings=settings)
    with pytest.raises(BackupError, match="there is no good backup of"):
        kinds.function("drill")(job)
    made = filled.back_up()
    assert kinds.function("drill")(job)["recovery_seconds"] > 0
    failing = replace(job, settings=settings | {"checks": {"few.sql": "SELECT a FROM t WHERE a > 19999"}})
    with pytest.raises(BackupError, match=f"found 1 difference to its backup {made.id}: the check few.sql finds 1 row"):
        kinds.function("drill")(failing)
    assert [each.well for each in map(evidence.read, sorted((filled.folder / "drills").iterdir()))] == [True, False]


KILLED = """
import sys
from keelson.backups.drills.drilling import Plan, drill
from keelson.backups.store import Backup, Store
from pathlib import Path
path = Path(sys.argv[1])
checks = {"slow.sql": "SELECT pg_sleep(600)"}
store = Store(path.parents[1].name, path.parents[2])
drill(Backup(path), Plan(store, "local", checks, tell=lambda phase: print(phase, flush=True)))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_drill_that_is_killed_leaves_no_server_and_the_next_one_clears_up(filled: Subject, number: int) -> None:
    made = filled.back_up()
    command = [sys.executable, "-c", KILLED, str(made.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            assert "checks\n" in iter(process.stdout.readline, "")
            [directory] = scratch_left()
            assert servers_of(directory)
            process.send_signal(number)
            process.wait(30)
        finally:
            process.kill()
    wait_until(lambda: not servers_of(directory), "the throw-away server is gone")
    assert evidence.last(filled.store, filled.name) is None
    assert drilled(filled, made).well
    assert scratch_left() == []


def servers_of(directory: Path) -> list[str]:
    """The processes that were started with this directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        found += [path.parent.name] if os.fsencode(directory) in words else []
    return found


def test_the_command_drills_while_the_stack_is_down(filled: Subject, tmp_path: Path) -> None:
    stack = StackUnderTest(tmp_path / "home", settings={"backup": {"directory": str(tmp_path / "kept")}})
    stack.write_service(filled.name, NOTES | {"checks/few.sql": "SELECT a FROM t WHERE a > 20000;"})
    made = back_up(filled.source, Store(stack.key, tmp_path / "kept"), MANUAL)
    said = stack.keelson("backup", "drill", filled.name).stdout
    assert said.startswith(f"{filled.name}: {made.id} is proven: ")
    assert said.endswith("with 20000 rows as backed up, 1 check passed\n")
    stack.write_service(filled.name, {"checks/few.sql": "SELECT a FROM t WHERE a > 19999;"})
    done = stack.keelson("backup", "drill", "--all", "--json", check=False)
    assert done.returncode == 1
    [found] = json.loads(done.stdout)
    assert found["differences"] == ["the check few.sql finds 1 row in the restored database"]
    wrong = stack.keelson("backup", "drill", check=False)
    assert wrong.returncode == 2

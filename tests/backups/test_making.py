"""A backup of a real database: what it holds, how it is proven, and what a fault leaves."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from keelson.agent.jobs import Job
from keelson.backups import dumping, keys, making, programs, scheduled
from keelson.backups import manifest as manifests
from keelson.backups.making import BEFORE_DROP, back_up, verify
from keelson.backups.store import Backup
from keelson.endpoint import resolve
from keelson.errors import BackupError, KeelsonError
from keelson.local import client
from tests.backups.conftest import KEY, PASSWORD, Subject
from tests.stack.harness import wait_until

Wrap = Callable[[str], list[str]]


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(KeelsonError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def left(subject: Subject) -> list[str]:
    """What stands in the folder of the backups beside the lock."""
    return sorted(path.name for path in subject.folder.iterdir() if path.name != ".lock")


def use(monkeypatch: pytest.MonkeyPatch, wrap: Wrap) -> None:
    """Let the engine run other client programs."""
    monkeypatch.setattr("keelson.local.target.LocalTarget.client", lambda _self, program: wrap(program))


def shell(program: str, script: str) -> list[str]:
    """A shell command in which "$@" is the program with its arguments."""
    return ["/bin/sh", "-c", script, "sh", *client.command(program)]


def test_a_backup_is_private_complete_and_says_what_it_holds(filled: Subject) -> None:
    made = filled.back_up()
    assert left(filled) == [made.id]
    assert sorted(path.name for path in made.path.iterdir()) == [
        "catalog.json",
        "data.dump",
        "manifest.json",
        "roles.sql",
    ]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in made.path.iterdir()}
    assert (modes, stat.S_IMODE(made.path.stat().st_mode)) == ({0o600}, 0o700)
    manifest = Backup(made.path).manifest
    assert manifest.counts == {"public.t": 20_000}
    for name, facts in manifest.files.items():
        data = (made.path / name).read_bytes()
        assert (facts.bytes, facts.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (manifest.database, manifest.engine, manifest.reason) == (filled.name, "postgres", "manual")
    assert manifest.begun <= manifest.ended
    assert manifest.facts["server_version"].startswith("17.")
    assert manifest.facts["pg_dump_version"].startswith("17.")
    assert manifest.facts["extensions"].keys() == {"plpgsql", "pg_stat_statements"}
    assert manifest.facts["database"]["owner"] == filled.roles.owner
    assert {filled.roles.owner, filled.roles.app, filled.roles.readonly} <= set(manifest.facts["roles"])
    assert made.verified == manifest.ended


def test_an_empty_database_is_backed_up_too(subject: Subject) -> None:
    made = subject.back_up()
    assert made.manifest.counts == {}
    assert subject.restore(made)


def test_the_rows_are_those_of_the_dumps_own_moment(filled: Subject) -> None:
    """An application writes all the while; a count of another moment would differ, and the backup be refused."""
    over = threading.Event()

    def write() -> None:
        with filled.connect() as connection:
            while not over.is_set():
                connection.execute("INSERT INTO t VALUES (0, 'x'); DELETE FROM t WHERE a < (random() * 10)::int")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            filled.back_up()
    finally:
        over.set()
        writer.join()
    assert len(filled.store.all(filled.name)) == 5


def dumper(monkeypatch: pytest.MonkeyPatch, made: Callable[[], Backup]) -> str:
    """Return as whom pg_dump connected while a backup was made."""
    logins: list[str] = []
    run = programs.run

    def spied(command: list[str], what: str, **more: dict[str, str]) -> None:
        logins.extend(filter(None, [(more.get("environment") or {}).get("PGUSER")]))
        run(command, what, **more)

    monkeypatch.setattr(programs, "run", spied)
    made()
    return logins[0]


def test_pg_dump_is_run_as_the_login_for_backups_and_sees_rows_that_row_security_hides(
    filled: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled.connect() as admin:
        admin.execute(f"ALTER TABLE t OWNER TO {filled.roles.owner}")
        admin.execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY")
    assert dumper(monkeypatch, filled.back_up) == "backup"
    made = filled.store.last(filled.name)
    assert made is not None
    assert made.manifest.counts == {"public.t": 20_000}
    assert "backup" not in made.manifest.facts["roles"]
    assert "backup" not in (made.path / "roles.sql").read_text()


def test_the_administrator_dumps_what_the_login_for_backups_could_not(
    filled: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled.connect() as admin:
        admin.execute("SELECT lo_from_bytea(0, 'large')")
    assert dumper(monkeypatch, filled.back_up) == "postgres"


def test_the_administrator_dumps_where_no_login_for_backups_is_let_in(
    filled: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled.connect() as admin:
        admin.execute(f"REVOKE CONNECT ON DATABASE {filled.name} FROM backup")
    assert dumper(monkeypatch, filled.back_up) == "postgres"


def test_no_password_stands_in_the_process_list_or_in_a_file(filled: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = resolve(filled.reference).password
    commands: list[str] = []

    def spied(program: str) -> list[str]:
        commands.append(program)
        return shell(program, 'tr "\\0" " " </proc/$$/cmdline >&2; exec "$@"')

    use(monkeypatch, spied)
    starts: list[list[str]] = []
    start = subprocess.Popen
    monkeypatch.setattr(
        programs.subprocess, "Popen", lambda command, **more: starts.append(command) or start(command, **more)
    )
    made = filled.back_up()
    filled.restore(made)
    assert {"pg_dump", "pg_restore"} <= set(commands)
    assert all(secret not in word for command in starts for word in command)
    for path in made.path.iterdir():
        assert secret.encode() not in path.read_bytes()
        assert PASSWORD.encode() not in path.read_bytes()
        assert b"SCRAM-SHA-256" not in path.read_bytes()


@pytest.mark.parametrize("until", ["2030-01-01 12:00:00.5+02", "infinity"])  # the latter of a login that was rotated
def test_the_roles_of_a_database_are_written_so_that_they_can_be_made_again(filled: Subject, until: str) -> None:
    reader = f"{filled.name}_extra"
    with filled.connect() as admin:
        admin.execute(f"CREATE ROLE {reader} LOGIN PASSWORD 'not to be seen' CONNECTION LIMIT 3 VALID UNTIL '{until}'")
        admin.execute(f"GRANT SELECT ON t TO {reader}; GRANT {filled.roles.readonly} TO {reader} WITH INHERIT FALSE")
        admin.execute(
            f"ALTER ROLE {reader} SET search_path = 'My Schema', public; ALTER ROLE {reader} SET work_mem = '8MB'"
        )
        made = filled.back_up()
        text = (made.path / "roles.sql").read_text()
        assert "not to be seen" not in text
        before = _role(admin, reader)
        admin.execute(f"DROP OWNED BY {reader}; DROP ROLE {reader}")
        admin.execute(text)
        assert _role(admin, reader) == before
        admin.execute(text)
        admin.execute(f"DROP OWNED BY {reader}; DROP ROLE {reader}")


def _role(admin: psycopg.Connection, name: str) -> list[object]:
    query = """
        SELECT rolcanlogin, rolinherit, rolsuper, rolconnlimit, rolvaliduntil::text, rolconfig, m.roleid::regrole::text, inherit_option
        FROM pg_roles r JOIN pg_auth_members m ON m.member = r.oid WHERE rolname = %s
    """
    return list(admin.execute(query, [name]).fetchall())


DAMAGES = {
    "half": lambda data: data[: len(data) // 2],
    "last 200 bytes": lambda data: data[:-200],
    "last byte": lambda data: data[:-1],
    "flipped byte": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    ),
    "zeroed block": lambda data: data[:40_000] + bytes(4096) + data[44_096:],
    "appended": lambda data: data + b"more",
    "empty": lambda _data: b"",
    "wrong magic": lambda data: b"PGDUMP"[: len(data)] + data[6:],
    "no dump": lambda data: b"-- SQL\nSELECT 1;\n".ljust(len(data), b"\n"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_dump_is_told_apart_and_counts_no_more(filled: Subject, damage: str) -> None:
    older = filled.back_up()
    made = filled.back_up()
    path = made.path / "data.dump"
    data = path.read_bytes()
    path.write_bytes(DAMAGES[damage](data))
    assert f"{path} is damaged: " in refused(lambda: verify(made, "local"))
    assert filled.store.last(filled.name) == older
    path.write_bytes(data)
    verify(made, "local")
    assert filled.store.last(filled.name) == made


def test_a_missing_or_damaged_file_beside_the_dump_is_told_apart(filled: Subject) -> None:
    made = filled.back_up()
    roles = made.path / "roles.sql"
    roles.write_text(roles.read_text().replace("NOLOGIN", "SUPERUS"))
    assert "roles.sql is damaged" in refused(lambda: verify(made, "local"))
    roles.unlink()
    assert "roles.sql is missing" in refused(lambda: verify(made, "local"))


def test_rows_that_are_missing_in_an_intact_dump_are_told_apart(
    filled: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pg_dump did not write has a right hash; only the count tells."""
    use(
        monkeypatch,
        lambda program: shell(program, '"$@" --exclude-table-data=t' if program == "pg_dump" else 'exec "$@"'),
    )
    told = refused(filled.back_up)
    assert "does not read back and was not kept" in told
    assert "public.t has none in place of 20000" in told
    assert left(filled) == []


def test_a_dump_that_is_cut_on_its_way_never_gets_its_name(filled: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    older = filled.back_up()
    use(monkeypatch, lambda program: shell(program, '"$@" | head -c 5000' if program == "pg_dump" else 'exec "$@"'))
    assert "failed: pg_restore: error:" in refused(filled.back_up)
    assert left(filled) == [older.id]


def test_a_program_that_is_missing_or_older_than_the_server_is_refused_beforehand(
    filled: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, lambda program: [f"/nowhere/{program}"])
    assert "cannot run /nowhere/pg_dump: No such file" in refused(filled.back_up)
    use(monkeypatch, lambda _program: ["/bin/echo", "pg_dump (PostgreSQL) 16.9"])
    told = refused(filled.back_up)
    assert (
        f"pg_dump 16.9 cannot back up {filled.name}: its server is PostgreSQL 17; install the client programs" in told
    )
    assert left(filled) == []


def test_a_program_that_is_missing_is_no_damage(filled: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    made = filled.back_up()
    use(monkeypatch, lambda program: [f"/nowhere/{program}"])
    assert "cannot run /nowhere/pg_restore" in refused(lambda: verify(made, "local"))
    assert not made.fault


def test_a_disk_that_plainly_is_too_small_is_refused_before_anything_is_written(
    filled: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = making.shutil.disk_usage(filled.store.directory.parent.parent)
    monkeypatch.setattr(making.shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    told = refused(filled.back_up)
    assert f"the backup of {filled.name} needs about 0." in told
    assert " MB, and 0.0 MB are free under" in told
    assert "set keelson:backup.directory to another disk" in told
    assert left(filled) == []


@pytest.fixture
def small_files() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.usefixtures("small_files")
def test_a_file_that_cannot_be_written_to_its_end_leaves_nothing(filled: Subject) -> None:
    told = refused(filled.back_up)
    assert "cannot write data.dump of the backup" in told
    assert "File too large; make room" in told
    assert left(filled) == []


def test_dumping_waits_for_no_lock_for_ever(filled: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dumping, "LOCK_WAIT", "300ms")
    with filled.connect() as admin:
        admin.execute("BEGIN; LOCK TABLE t")
        assert "canceling statement due to" in refused(filled.back_up)
    assert left(filled) == []


def test_a_database_or_server_that_is_gone_is_one_sentence(filled: Subject) -> None:
    missing = making.Source("postgres", filled.administrator.to(database="nowhere"))
    assert "does not exist; check the name" in refused(lambda: back_up(missing, filled.store, BEFORE_DROP))


PROGRAM = """
import os, sys
from pathlib import Path
from keelson.backups.making import Source, back_up
from keelson.backups.store import Store
from keelson.endpoint import Reference
reference = Reference(stack="backups-dev", target="local", server="main", database=sys.argv[1])
back_up(Source("postgres", reference), Store("backups-dev", Path(sys.argv[2])), "manual")
"""


@contextmanager
def begun(subject: Subject) -> Iterator[subprocess.Popen[str]]:
    """A backup in a process of its own, once it has begun to write; it goes on when nobody locks `t` any more."""
    command = [sys.executable, "-c", PROGRAM, subject.name, str(subject.store.directory.parent)]
    with subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: list(subject.folder.glob(".*.partial/data.dump")), "the dump is begun", 30)
            wait_until(lambda: _waiting(subject), "pg_dump waits for the table", 30)
            yield process
        finally:
            process.kill()


def _waiting(subject: Subject) -> int:
    with subject.connect("postgres") as admin:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND query LIKE 'LOCK TABLE %%' AND wait_event_type = 'Lock'"
        row = admin.execute(query, [subject.name]).fetchone()
        assert row
        return int(row[0])


def test_a_backup_that_is_killed_half_way_leaves_no_name_and_the_next_one_works(filled: Subject) -> None:
    with filled.connect() as admin:
        admin.execute("BEGIN; LOCK TABLE t")
        with begun(filled) as process:
            assert f"process {process.pid} since" in refused(filled.back_up)
            process.kill()
    assert filled.store.all(filled.name) == []
    assert left(filled) != []
    made = filled.back_up()
    assert left(filled) == [made.id]


def test_an_interrupted_backup_leaves_nothing(filled: Subject) -> None:
    with filled.connect() as admin:
        admin.execute("BEGIN; LOCK TABLE t")
        with begun(filled) as process:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
        assert "KeyboardInterrupt" in said
        assert left(filled) == []
        wait_until(lambda: not _waiting(filled), "the server has ended what nobody waits for", 10)


def test_a_scheduled_run_backs_up_and_then_prunes(filled: Subject, tmp_path: Path) -> None:
    settings = {"keep_days": 1, "keep_at_least": 2, "directory": str(tmp_path / "backups")}
    job = Job(f"backup-{filled.name}", "backup", filled.reference, "0 2 * * *", settings=settings)
    for _ in range(3):
        assert scheduled.run(job)["bytes"] > 10_000
    made = filled.store.all(filled.name)
    assert [backup.manifest.reason for backup in made] == ["scheduled"] * 3
    manifest, path = made[-1].manifest, Path(made[-1].path)
    (path / "manifest.json").unlink()
    manifests.write(path, replace(manifest, begun=datetime(2020, 1, 1, tzinfo=UTC)), keys.read(KEY))
    scheduled.run(job)
    assert made[-1] not in filled.store.all(filled.name)
    assert len(filled.store.all(filled.name)) == 3


def test_a_backup_needs_no_more_than_three_programs(filled: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """pg_dump tells its version, pg_dump dumps, pg_restore reads back: ten databases are done in two seconds."""
    run: list[str] = []
    use(monkeypatch, lambda program: run.append(program) or client.command(program))
    filled.back_up()
    assert set(run) == {"pg_dump", "pg_restore"}
    assert len(run) <= 4
    with pytest.raises(BackupError):
        filled.store.find(filled.name, "none")

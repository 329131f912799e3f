"""Backups of whole stacks: the ten databases there and back, interruptions, a full disk, destroy and up again."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from copy import copy as twin
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from pyrage import x25519

from tests.backups.test_restoring import digests
from tests.stack.harness import NOTES, StackUnderTest, notes_up, wait_until
from tests.stack.test_ten_databases import DATABASES

INTERRUPTED, TERMINATED = 130, 143


def listed(stack: StackUnderTest, *services: str) -> list[dict[str, Any]]:
    return list(json.loads(stack.keelson("backup", "list", *services, "--json").stdout))


def copy_of(stack: StackUnderTest, service: str, name: str) -> psycopg.Connection:
    return psycopg.connect(stack.keelson("url", service, "--database", name).stdout.strip(), autocommit=True)


@pytest.fixture(scope="module")
def notes(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """A stack with one server and one service of ten rows, up; its tests leave it as it was."""
    return notes_up(make_shared_stack)


def test_ten_databases_are_backed_up_and_each_comes_back(ten: StackUnderTest) -> None:
    began = time.monotonic()
    said = ten.keelson("backup", "run", "--all").stdout
    assert time.monotonic() - began < 30
    assert [line.partition(":")[0] for line in said.splitlines()] == DATABASES
    assert len(ten.keelson("backup", "verify", "--all").stdout.splitlines()) == len(DATABASES)
    urls = {server: ten.url(name, "admin") for server, name in (("main", "auth"), ("timescale", "market"))}
    for name in DATABASES:
        said = ten.keelson("restore", name, "--into", f"{name}_copy").stderr
        again = f"`keelson privacy again {name} --database {name}_copy`"
        assert (again in said) == (ten.root / "sql" / name / "privacy.yaml").exists()
        server = yaml.safe_load((ten.root / "sql" / name / "database.yaml").read_text())["server"]
        with _other(urls[server], name) as before, _other(urls[server], f"{name}_copy") as after:
            found = digests(after)
            assert found == digests(before)
            assert found["schema_versions"]
        ten.keelson("restore", name, "--discard", f"{name}_copy")
    assert json.loads(ten.keelson("restore", "auth", "--list", "--json").stdout) == []


def _other(url: str, database: str) -> psycopg.Connection:
    """Connect to another database of the server of `url`."""
    return psycopg.connect(url, dbname=database, autocommit=True)


def test_a_backup_shows_no_bar_in_a_pipe_and_no_password(ten: StackUnderTest) -> None:
    done = ten.keelson("backup", "run", "auth")
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    secrets = {ten.url("auth", role).partition("@")[0].rpartition(":")[2] for role in ("app", "admin", "migrator")}
    for name in ten.sh('cd "$BACKUPS" && find auth -type f').split():
        content = ten.fetch(name).read_bytes()
        assert not any(secret.encode() in content for secret in secrets)


@pytest.mark.everywhere
def test_yesterdays_rows_are_put_back_from_a_copy(notes: StackUnderTest) -> None:
    notes.keelson("backup", "run", "notes")
    with notes.connect("notes", "admin") as live:
        live.execute("DELETE FROM notes WHERE id <= 5")
        said = notes.keelson("restore", "notes", "--into", "notes_yesterday").stdout
        assert "10 rows" not in said.splitlines()[0].replace("as backed up", "")
        assert "keelson psql notes --database notes_yesterday" in said
        lost = notes.keelson(
            "psql",
            "notes",
            "--database",
            "notes_yesterday",
            "--",
            "-c",
            "\\copy (SELECT * FROM notes WHERE id <= 5) TO STDOUT",
        ).stdout
        notes.keelson("psql", "notes", "--role", "admin", "--", "-c", "\\copy notes FROM STDIN", input=lost, stdin=None)
        assert live.execute("SELECT count(*) FROM notes").fetchone() == (10,)
    refused = notes.keelson("psql", "notes", "--role", "migrator", "--database", "notes_yesterday", check=False)
    assert "pg_hba.conf rejects connection" in refused.stderr
    notes.keelson("restore", "notes", "--discard", "notes_yesterday")


@pytest.mark.everywhere
def test_a_backup_takes_the_place_of_the_live_database_and_the_next_up_changes_nothing(notes: StackUnderTest) -> None:
    notes.keelson("backup", "run", "notes")
    made = listed(notes, "notes")[0]["id"]
    with notes.connect("notes", "admin") as live:
        live.execute("DELETE FROM notes WHERE id <= 5")
    asked = notes.keelson("restore", "notes", check=False)
    assert (asked.returncode, made in asked.stdout) == (2, True)
    assert "give --backup ID" in asked.stderr
    shown = notes.keelson("restore", "notes", "--backup", made).stdout
    assert re.search(r"public.notes +5 +10\n", shown), shown
    assert "nothing is changed" in shown
    refused = notes.keelson("restore", "notes", "--backup", made, "--swap", check=False)
    assert (refused.returncode, notes.count("notes", "notes")) == (1, 5)
    assert "add --confirm notes" in refused.stderr
    said = notes.keelson("restore", "notes", "--backup", made, "--swap", "--confirm", "notes").stdout
    with notes.connect("notes") as application:
        assert application.execute("SELECT count(*) FROM notes").fetchone() == (10,)
    [kept] = re.findall(r"kept as (\w+)", said)
    assert _verdict(notes) == "unchanged"
    refreshed = notes.keelson("up", "--yes", "--", "--refresh")
    assert "not as the last update left them" not in refreshed.stdout
    assert "altered" not in refreshed.stdout + refreshed.stderr
    assert _verdict(notes) == "unchanged"
    notes.keelson("restore", "notes", "--swap", "--copy", kept, "--confirm", "notes")
    assert notes.count("notes", "notes") == 5
    notes.keelson("restore", "notes", "--backup", made, "--swap", "--confirm", "notes")
    assert notes.count("notes", "notes") == 10
    for copy in json.loads(notes.keelson("restore", "notes", "--list", "--json").stdout):
        notes.keelson("restore", "notes", "--discard", copy["name"])


def _verdict(stack: StackUnderTest) -> str:
    return str(json.loads(stack.keelson("preview", "--format", "json").stdout)["verdict"])


@pytest.mark.everywhere
def test_backups_are_listed_and_read_back_and_a_new_one_is_not_pruned(notes: StackUnderTest) -> None:
    said = notes.keelson("backup", "run", "notes").stdout
    before = listed(notes, "notes")
    assert before[0]["id"] in said
    assert not before[0]["fault"]
    assert "reads back" in notes.keelson("backup", "verify", "notes").stdout
    notes.keelson("backup", "prune")
    assert [entry["id"] for entry in listed(notes, "notes")] == [entry["id"] for entry in before]


@pytest.mark.parametrize(("kind", "status"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)])
def test_an_interrupted_backup_leaves_nothing_half_done(notes: StackUnderTest, kind: int, status: int) -> None:
    before = listed(notes)
    with notes.connect("notes", "admin") as holder, holder.transaction():
        holder.execute("LOCK TABLE notes")
        with notes.start("backup", "run", "notes") as process:
            wait_until(lambda: _partial(notes, "data.dump"), "the dump is begun")
            process.send_signal(kind)
            said, _ = process.communicate(timeout=30)
    assert process.returncode in {status, -kind}  # which a shell calls the same
    assert "Traceback" not in said
    assert not _partial(notes)
    assert listed(notes) == before
    notes.keelson("backup", "run", "notes")


def _partial(stack: StackUnderTest, file: str = "") -> list[str]:
    return stack.sh(f'ls -d "$BACKUPS"/notes/.*.partial/{file} 2>/dev/null || true').split()


@pytest.fixture
def slow(notes: StackUnderTest) -> Iterator[StackUnderTest]:
    """The stack with a backup whose restore takes two minutes."""
    with notes.connect("notes", "admin") as admin:
        admin.execute("""
            CREATE FUNCTION patience() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
                IF current_database() <> 'notes' THEN PERFORM pg_sleep(120); END IF; RETURN 1; END $$
        """)
        admin.execute("CREATE MATERIALIZED VIEW waiting AS SELECT public.patience() AS a")
        notes.keelson("backup", "run", "notes")
        yield notes
        admin.execute("DROP MATERIALIZED VIEW waiting; DROP FUNCTION patience")
    notes.keelson("backup", "run", "notes")


def databases(stack: StackUnderTest) -> list[str]:
    with stack.connect("notes", "admin") as admin:
        query = "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1"
        return [row[0] for row in admin.execute(query).fetchall()]


@pytest.mark.parametrize(
    ("kind", "status"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED), (signal.SIGKILL, -9)]
)
def test_an_interrupted_restore_leaves_no_half_restored_copy(slow: StackUnderTest, kind: int, status: int) -> None:
    with slow.connect("notes", "admin") as admin, slow.start("restore", "notes", "--into", "half") as process:
        asked = "SELECT FROM pg_stat_activity WHERE datname = 'half' AND wait_event = 'PgSleep'"
        wait_until(lambda: admin.execute(asked).fetchone() is not None, "the restore is half done")
        process.send_signal(kind)
        said, _ = process.communicate(timeout=30)
        assert process.returncode in {status, -kind}  # which a shell calls the same
        assert "Traceback" not in said
        wait_until(lambda: admin.execute(asked).fetchone() is None, "the server has ended the restore")
    assert json.loads(slow.keelson("restore", "notes", "--list", "--json").stdout) == []
    if kind is signal.SIGKILL:  # the next restore takes what is left
        older = listed(slow, "notes")[-1]["id"]
        slow.keelson("restore", "notes", "--into", "whole", "--backup", older)
        slow.keelson("restore", "notes", "--discard", "whole")
    assert databases(slow) == ["notes", "postgres"]


@pytest.mark.local
def test_a_full_disk_leaves_older_backups_and_no_partial_file(notes: StackUnderTest) -> None:
    place = notes.home / "small"
    place.mkdir()
    notes.write_settings(backup={"directory": str(place)})
    grow = "CREATE TABLE noise AS SELECT gen_random_uuid() AS a, gen_random_uuid() AS b FROM generate_series(1, 20000)"
    script = f"""
        mount -t tmpfs -o size=400k tmpfs {place} && keelson backup run notes && keelson psql notes --role admin -- -qc "{grow}" &&
        keelson backup run notes; echo status $?; find {place} -mindepth 3 -maxdepth 3 -not -name .lock; keelson backup verify notes
    """
    try:
        done = notes.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script], check=False)
    finally:
        notes.write_settings(backup={})
        with notes.connect("notes", "admin") as admin:
            admin.execute("DROP TABLE IF EXISTS noise")
    lines = done.stdout.splitlines()
    assert "cannot write data.dump of the backup" in done.stderr, done
    assert "No space left on device; make room" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (lines[1], len(lines)) == ("status 1", 4)
    assert "reads back" in lines[3]


def test_a_backup_of_another_machine_is_restored_once_its_roles_are_there(notes: StackUnderTest) -> None:
    with notes.connect("notes", "admin") as admin:
        admin.execute("CREATE ROLE auditor; GRANT SELECT ON notes TO auditor")
        notes.keelson("backup", "run", "notes")
        newest = listed(notes, "notes")[0]["id"]
        elsewhere = _moved_away(notes, f"notes/{newest}")
        admin.execute("DROP OWNED BY auditor; DROP ROLE auditor")
        refused = notes.keelson("restore", "notes", str(elsewhere), "--into", "imported", check=False)
        assert refused.returncode == 1
        assert "roles that the server lacks: auditor; restore with --with-roles" in refused.stderr
        notes.keelson("restore", "notes", str(elsewhere), "--into", "imported", "--with-roles")
        with copy_of(notes, "notes", "imported") as copy:
            assert copy.execute("SELECT has_table_privilege('auditor', 'notes', 'SELECT')").fetchone() == (True,)
        notes.keelson("restore", "notes", "--discard", "imported")
        admin.execute("DROP OWNED BY auditor; DROP ROLE auditor")


def _moved_away(stack: StackUnderTest, backup: str) -> Path:
    """Move a backup to another directory of this machine, and return that."""
    elsewhere = stack.home / "elsewhere" / Path(backup).name
    elsewhere.mkdir(parents=True)
    for name in stack.sh('cd "$BACKUPS" && find "$1" -type f', backup).split():
        shutil.copy(stack.fetch(name), elsewhere / Path(name).name)
    stack.sh('rm -r "$BACKUPS/$1"', backup)
    return elsewhere


@pytest.mark.local
def test_rows_of_production_come_into_a_copy_by_way_of_the_script_alone(notes: StackUnderTest) -> None:
    prod = twin(notes)
    prod.name = "prod"
    prod.write_settings(environment="prod")
    prod.keelson("up")
    with prod.connect("notes") as app:
        app.execute("INSERT INTO notes (body) VALUES ('of Ada Lovelace')")
    prod.keelson("backup", "run", "notes")
    wanted = ("restore", "notes", "--from-stack", "prod", "--into", "notes_of_prod")
    refused = notes.keelson(*wanted, check=False)
    assert (refused.returncode, "there is no sql/notes/anonymise.sql" in refused.stderr) == (1, True)
    script = notes.root / "sql/notes/anonymise.sql"
    script.write_text("UPDATE notes SET body = 'of somebody';\n")
    try:
        notes.keelson(*wanted)
    finally:
        script.unlink()
    with copy_of(notes, "notes", "notes_of_prod") as brought, prod.connect("notes") as theirs:
        assert brought.execute("SELECT body FROM notes").fetchall() == [("of somebody",)]
        assert theirs.execute("SELECT body FROM notes").fetchall() == [("of Ada Lovelace",)]
    notes.keelson("restore", "notes", "--discard", "notes_of_prod")
    assert notes.count("notes", "notes") == 10
    prod.keelson("stop")


def test_doctor_fails_when_a_backup_that_was_due_is_missing(notes: StackUnderTest) -> None:
    notes.keelson("backup", "run", "notes")
    notes.sh('mv "$BACKUPS/notes" "$BACKUPS/.away"')
    try:
        assert "younger than its schedule" in notes.keelson("doctor").stdout
        written = notes.read("jobs/backup-notes.json")
        notes.write("jobs/backup-notes.json", json.dumps(json.loads(written) | {"registered": 0}))
        done = notes.keelson("doctor", check=False)
        assert done.returncode == 1
        assert "there is no good backup, and one was due at " in done.stdout
        notes.write("jobs/backup-notes.json", written)
    finally:
        notes.sh('mv "$BACKUPS/.away" "$BACKUPS/notes"')


def test_backups_outlive_the_stack_and_restore_into_the_one_that_is_made_again(
    stack: StackUnderTest, tmp_path: Path
) -> None:
    """Encrypted ones too: the stack's own key goes with it, and a person's does not."""
    person = x25519.Identity.generate()
    stack.write_settings(backup={"recipients": [str(person.to_public())]})
    stack.keelson("up")
    with stack.connect("notes", "app") as connection:
        connection.execute("INSERT INTO notes (body) VALUES ('mine')")
    stack.keelson("backup", "run", "notes")
    before = listed(stack)
    assert (before[0]["recipients"][1:], before[0]["remark"]) == ([str(person.to_public())], "")
    assert stack.keelson("backup", "drill", "notes").returncode == 0
    before = listed(stack)
    stack.keelson("restore", "notes", "--into", "aside")
    stack.keelson("destroy", "--yes")
    assert not stack.running()
    stack.keelson("up")
    assert [{**entry, "remark": ""} for entry in listed(stack)] == before
    assert "signed by another stack's key" in listed(stack)[0]["remark"]
    assert stack.count("notes", "notes") == 10
    refused = stack.keelson("restore", "notes", "--into", "aside", check=False)
    assert (refused.returncode, "give the key of one of its recipients with --identity FILE" in refused.stderr) == (
        1,
        True,
    )
    (tmp_path / "key").write_text(f"{person}\n")
    stack.keelson("restore", "notes", "--into", "aside", "--identity", str(tmp_path / "key"))
    with copy_of(stack, "notes", "aside") as copy:
        assert copy.execute("SELECT count(*) FROM notes WHERE body = 'mine'").fetchone() == (1,)
    assert "to update" not in stack.keelson("up").stdout


def test_what_is_taken_out_is_backed_up_and_its_copies_go_with_it(stack: StackUnderTest) -> None:
    stack.write_service("other", NOTES)
    stack.keelson("up")
    with stack.connect("notes", "app") as connection:
        connection.execute("INSERT INTO notes (body) VALUES ('mine')")
    stack.keelson("backup", "run", "notes")
    stack.keelson("restore", "notes", "--into", "aside")
    shutil.move(stack.root / "sql/notes", stack.home / "kept")
    stack.keelson("up")
    with stack.connect("other", "admin") as admin:
        query = "SELECT count(*) FROM pg_database WHERE datname IN ('notes', 'aside')"
        assert admin.execute(query).fetchone() == (0,)
        assert admin.execute("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'notes%'").fetchone() == (0,)
    assert [entry["reason"] for entry in listed(stack, "notes")] == ["before-drop", "manual"]
    stack.keelson("backup", "verify", "--all")
    shutil.move(stack.home / "kept", stack.root / "sql/notes")
    stack.keelson("up")
    stack.keelson("restore", "notes", "--into", "aside")
    with copy_of(stack, "notes", "aside") as copy:
        assert copy.execute("SELECT count(*) FROM notes WHERE body = 'mine'").fetchone() == (1,)

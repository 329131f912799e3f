"""Many databases are brought up at once, each by itself."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keelson.errors import SettingsError
from keelson.migrations import fleet
from tests.cli.test_help import KEELSON
from tests.migrations.project import until
from tests.servers import Server

TENANTS = [f"tenant_{number}" for number in range(1, 7)]


@pytest.fixture
def tenants(server: Server) -> Iterator[list[str]]:
    with server.connect() as admin:
        for name in TENANTS:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    yield TENANTS
    with server.connect() as admin:
        for name in TENANTS:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "migrations"
    made.mkdir()
    for number in range(1, 4):
        (made / f"{number}.sql").write_text(f"CREATE TABLE t{number} (a int); INSERT INTO t{number} VALUES (1);")
    return made


def url(server: Server, database: str = "postgres") -> str:
    return "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**server.parameters(database))


def keelson(*words: str, stdin: str = "", status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([KEELSON, "migrate", *words], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def tables(server: Server, database: str) -> int:
    with server.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename ~ '^t[0-9]'")
        return int(row.fetchone()[0])  # type: ignore[index]


def test_databases_whose_names_match_are_brought_up_once(server: Server, tenants: list[str], folder: Path) -> None:
    chosen = ("--url", url(server), "--databases", "tenant_*", "--dir", str(folder))
    assert "pending" in keelson("status", *chosen, status=1).stdout
    first = keelson("up", *chosen, "--jobs", "3")
    assert "6 databases: 6 brought up (18 migrations), 0 had nothing to do" in first.stdout
    assert [tables(server, name) for name in tenants] == [3] * 6
    assert "6 databases: 0 brought up (0 migrations), 6 had nothing to do" in keelson("up", *chosen).stdout
    assert "6 databases: 6 as the files say, 0 not" in keelson("status", *chosen).stdout
    with server.connect() as admin:
        row = admin.execute("SELECT to_regclass('schema_versions')").fetchone()
    assert row == (None,), "the database that was asked is none of them"


def test_a_failure_stops_no_other_and_is_told_at_the_end(server: Server, tenants: list[str], folder: Path) -> None:
    with server.connect("tenant_2") as connection:
        connection.execute("CREATE TABLE t2 ()")
    lines = "\n".join(["# all of them", *(url(server, name) for name in tenants), "", url(server, "nowhere")])
    chosen = ("--urls-from", "-", "--dir", str(folder))
    done = keelson("up", *chosen, stdin=lines, status=1)
    where = f"on 127.0.0.1:{server.port}"
    assert (
        f"7 databases: 5 brought up (15 migrations), 0 had nothing to do, 2 failed: tenant_2 {where}, nowhere"
        in done.stdout
    )
    assert f'error: tenant_2 {where}: {folder}/2.sql:1: relation "t2" already exists (SQLSTATE 42P07)' in done.stderr
    assert f"error: nowhere {where}: cannot connect" in done.stderr
    assert server.password not in done.stdout + done.stderr
    assert tables(server, "tenant_2") == 2, "what came before the failure stays"
    status = keelson("status", *chosen, "--json", stdin=lines, status=1)
    found = {each["database"].split()[0]: each for each in json.loads(status.stdout)}
    assert found["tenant_1"]["files"] == {}
    assert found["tenant_2"]["files"] == {"2.sql": "pending", "3.sql": "pending"}
    assert found["nowhere"]["state"] == "failed"
    assert server.password not in status.stdout + status.stderr


def test_json_says_what_was_applied(server: Server, tenants: list[str], folder: Path) -> None:
    lines = f"{url(server, tenants[0])}\n{url(server, tenants[0])}\n{url(server, tenants[1])}"
    done = keelson("up", "--urls-from", "-", "--dir", str(folder), "--json", stdin=lines)
    found = json.loads(done.stdout)
    assert [each["applied"] for each in found] == [["1.sql", "2.sql", "3.sql"]] * 2
    assert all(each["state"] == "done" and each["fault"] is None for each in found)


def test_an_interrupt_leaves_nothing_half_done(server: Server, tenants: list[str], folder: Path) -> None:
    (folder / "2.sql").write_text("CREATE TABLE t2 (); SELECT pg_sleep(60)")
    command = [KEELSON, "migrate", "up", "--urls-from", "-", "--dir", str(folder), "--jobs", "2"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin
    process.stdin.write("\n".join(url(server, name) for name in tenants))
    process.stdin.close()
    process.stdin = None
    sleeping = "SELECT FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(60)%%' AND state = 'active' AND pid <> pg_backend_pid()"
    try:
        with server.connect() as admin:
            until(lambda: len(admin.execute(sleeping).fetchall()) == 2)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
            until(lambda: not admin.execute(sleeping).fetchall())
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "error: interrupted; run the command again to finish"
    assert sorted(tables(server, name) for name in tenants) == [0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--urls-from", "-"), "give --dir"),
        (("--databases", "x"), "give --dir"),
        (("--databases", "x", "--dir", "."), "--url and --databases"),
        (("--urls-from", "-", "--databases", "x", "--url", "postgresql:///", "--dir", "."), "--url and --databases"),
        (("--urls-from", "missing.txt", "--dir", "."), "missing.txt cannot be read: No such file"),
        (("--urls-from", "-", "--dir", "."), "standard input names no database"),
    ],
)
def test_wrong_use_is_told(words: tuple[str, ...], why: str) -> None:
    assert why in keelson("up", *words, status=1).stderr


def test_a_pattern_that_matches_nothing_is_told(server: Server) -> None:
    done = keelson("up", "--url", url(server), "--databases", "nobody_*", "--dir", ".", status=1)
    assert f"no database of 127.0.0.1:{server.port} matches 'nobody_*'" in done.stderr


def test_a_line_that_is_no_url_is_told_without_what_it_says() -> None:
    with pytest.raises(SettingsError, match=r"list.txt:2: this is no connection string") as caught:
        fleet.targets_of(["postgresql://a@b/c", "geheim"], "list.txt")
    assert "geheim" not in str(caught.value)


def test_no_more_than_the_bound_run_at_once(server: Server, tenants: list[str]) -> None:
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(2, timeout=20)

    def work(_connection: object, _go_on: object) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1
        return 1

    outcomes = fleet.each([fleet.Target(name, url(server, name)) for name in tenants], work, jobs=2)
    assert [each.target.name for each in outcomes] == tenants
    assert most == 2


def test_a_server_that_does_not_answer_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "CONNECTING", 0.5)
    targets = [fleet.Target(f"t{number}", f"postgresql://a@127.0.0.1:1/t{number}") for number in range(20)]
    began = time.monotonic()
    outcomes = fleet.each(targets, lambda connection, _: connection.info.dbname, jobs=2)
    assert time.monotonic() - began < 5
    assert all("cannot connect to 127.0.0.1:1" in each.fault for each in outcomes)

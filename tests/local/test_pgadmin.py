"""pgAdmin on a real server, spoken to as its own pages do. One stack for the module: a test leaves it running as it was."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from keelson import paths
from keelson.errors import PlatformError, SettingsError
from keelson.local import daemon, processes, server, stack, supervisor, volume
from keelson.local.daemon import DaemonSpec
from keelson.local.registry import Registry
from tests.local.conftest import LocalStack, free_port, wait_until
from tests.local.pgadmin_client import PgAdminSession, get

EMAIL = "admin@keelson.local"
ADMINISTRATOR = {"group": "main", "name": "main (administrator)", "server": "main", "role": "postgres"}
NOTES = {"group": "main", "name": "notes", "server": "main", "database": "notes", "role": "notes_reader"}
PATIENCE = 30.0


@dataclass
class PgAdmin:
    """pgAdmin of one stack."""

    local: LocalStack
    port: int

    def spec(self, *entries: dict[str, str], **settings: object) -> DaemonSpec:
        listed = {"email": EMAIL, "protected": False, "entries": list(entries or (ADMINISTRATOR, NOTES))}
        return DaemonSpec(
            self.local.key, self.local.stack_id, "pgadmin", "pgadmin", port=self.port, settings=listed | settings
        )

    def up(self, *entries: dict[str, str], chosen: dict[str, str] | None = None, **settings: object) -> None:
        daemon.start(self.spec(*entries, **settings), chosen)
        self.await_answer()

    def await_answer(self) -> None:
        wait_until(lambda: daemon.look(self.local.key, "pgadmin").answering, PATIENCE)

    def restart(self) -> None:
        daemon.stop(self.local.key, "pgadmin")
        self.up()

    @property
    def password(self) -> str:
        return Registry(self.local.key).password("pgadmin", "admin")

    @property
    def directory(self) -> Path:
        return volume.directory(self.local.key, "pgadmin")

    @property
    def log(self) -> str:
        return self.local.log("pgadmin")

    def processes(self) -> list[int]:
        """The master, then its worker."""
        master = self.local.pid("pgadmin")
        return [master, *(process.pid for process in processes.running() if process.parent == master)]

    def session(self, email: str = EMAIL, password: str = "") -> PgAdminSession:
        made = PgAdminSession(self.port)
        assert made.log_in(email, password or self.password)
        return made


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's directories for all tests of this module, in place of one for each."""
    folder = tmp_path_factory.mktemp("pgadmin")
    with pytest.MonkeyPatch.context() as patch:
        for variable, name in (("STATE_HOME", "state"), ("DATA_HOME", "data"), ("RUNTIME_DIR", "run")):
            patch.setenv(f"XDG_{variable}", str(folder / name))
        yield folder


@pytest.fixture(scope="module")
def started(home: Path) -> Iterator[PgAdmin]:  # noqa: ARG001 - where its directories lie
    """A stack whose server has a database of a reader's, and pgAdmin beside it."""
    local = LocalStack("pgadmin-dev", stack.register("pgadmin-dev", "dev"))
    try:
        local.up()
        password = Registry(local.key).ensure_password("main", "notes_reader")
        local.execute(f"CREATE ROLE notes_reader LOGIN PASSWORD '{password}'")
        local.execute("CREATE DATABASE notes")
        volume.make(local.key, local.stack_id, "pgadmin")
        yield PgAdmin(local, free_port())
    finally:
        local.end()
    assert not processes.of_stack(local.key)


@pytest.fixture
def pgadmin(started: PgAdmin) -> PgAdmin:
    started.up()
    return started


def test_its_start_makes_the_login_and_the_list_without_a_question(pgadmin: PgAdmin) -> None:
    session = pgadmin.session()
    wait_until(lambda: set(session.tree()) == {"main"})
    assert set(session.tree()["main"]) == {"main (administrator)", "notes"}


def test_every_entry_connects_encrypted_and_without_a_password_prompt(pgadmin: PgAdmin) -> None:
    session = pgadmin.session()
    assert all(session.connect("main", name) for name in session.tree()["main"])
    rows = pgadmin.local.execute(
        "SELECT usename, datname, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)"
        " WHERE application_name LIKE 'pgAdmin%' GROUP BY 1, 2, 3 ORDER BY 1"
    )
    assert rows == [("notes_reader", "notes", True), ("postgres", "postgres", True)]
    _, details = session.call("GET", f"/browser/server/obj/{session.tree()['main']['notes']}")
    assert (details["db"], details["db_res"]) == ("notes", ["notes"])
    assert "sslmode=verify-full" in details["connection_string"]


def test_the_list_follows_an_up_without_a_restart_or_a_new_login(pgadmin: PgAdmin) -> None:
    session, before = pgadmin.session(), pgadmin.processes()
    renamed, other = NOTES | {"name": "the notes"}, ADMINISTRATOR | {"group": "others", "name": "another"}
    pgadmin.up(renamed, other)
    wait_until(lambda: set(session.tree()) == {"main", "others"} and "the notes" in session.tree()["main"], PATIENCE)
    pgadmin.up()
    wait_until(lambda: session.tree().keys() == {"main"} and "notes" in session.tree()["main"], PATIENCE)
    assert pgadmin.processes() == before


def test_a_server_that_was_added_by_hand_survives_an_up_and_a_restart(pgadmin: PgAdmin) -> None:
    session = pgadmin.session()
    group = int(session.tree()["main"]["notes"].partition("/")[0])
    session.add_server("by hand", group, 5432)
    pgadmin.up(ADMINISTRATOR)
    wait_until(lambda: "notes" not in session.tree()["main"], PATIENCE)
    assert "by hand" in session.tree()["main"]
    pgadmin.up(NOTES | {"group": "elsewhere"})
    wait_until(lambda: session.tree().get("elsewhere", {}).keys() == {"notes"}, PATIENCE)
    assert session.tree()["main"].keys() == {"by hand"}
    pgadmin.restart()
    assert set(pgadmin.session().tree()["main"]) == {"main (administrator)", "notes", "by hand"}


def test_a_server_that_moves_to_another_port_connects_there(pgadmin: PgAdmin) -> None:
    session = pgadmin.session()
    assert session.connect("main", "notes")
    server.stop(pgadmin.local.key, "main")
    port = pgadmin.local.up(port=free_port()).port
    place = f"/browser/server/obj/{session.tree()['main']['notes']}"
    wait_until(lambda: session.call("GET", place)[1]["port"] == port, PATIENCE)
    wait_until(lambda: session.connect("main", "notes"), PATIENCE)


def test_a_new_password_of_a_service_connects(pgadmin: PgAdmin) -> None:
    Registry(pgadmin.local.key).set_password("main", "notes_reader", r"with:colon\and 'quote'")
    pgadmin.local.execute(r"ALTER ROLE notes_reader PASSWORD 'with:colon\and ''quote'''")
    session = pgadmin.session()
    wait_until(lambda: session.connect("main", "notes"), PATIENCE)


def test_a_new_password_takes_effect_at_the_next_up_and_ends_older_sessions(pgadmin: PgAdmin) -> None:
    session, old = pgadmin.session(), pgadmin.password
    pgadmin.up(chosen={"admin": "another password of mine"})
    wait_until(lambda: not session.inside(), PATIENCE)
    assert not PgAdminSession(pgadmin.port).log_in(EMAIL, old)
    assert pgadmin.session(password="another password of mine").inside()


@pytest.mark.parametrize("email", ["someone@example.com", "me@localhost", "x.y+z@host.test"])
def test_a_new_address_takes_effect_at_the_next_up_and_keeps_the_list(pgadmin: PgAdmin, email: str) -> None:
    pgadmin.up(email=email)
    wait_until(lambda: PgAdminSession(pgadmin.port).log_in(email, pgadmin.password), PATIENCE)
    session = pgadmin.session(email)
    assert session.connect("main", "notes")
    assert [folder.name for folder in (pgadmin.directory / "storage").iterdir()] == [email.replace("@", "_")]
    pgadmin.up()
    wait_until(lambda: PgAdminSession(pgadmin.port).log_in(EMAIL, pgadmin.password), PATIENCE)


def test_three_wrong_passwords_lock_the_login_until_a_restart(pgadmin: PgAdmin) -> None:
    try:
        for _ in range(3):
            assert not PgAdminSession(pgadmin.port).log_in(EMAIL, "a wrong password")
        assert not PgAdminSession(pgadmin.port).log_in(EMAIL, pgadmin.password)
    finally:
        pgadmin.restart()
    assert pgadmin.session().inside()


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", 200), ("localhost", 200), ("evil.example", 403)])
def test_a_request_for_another_host_is_refused(pgadmin: PgAdmin, host: str, status: int) -> None:
    assert get(pgadmin.port, "/login", f"{host}:{pgadmin.port}") == status


def test_without_a_login_or_a_token_nothing_is_told(pgadmin: PgAdmin) -> None:
    assert not PgAdminSession(pgadmin.port).inside()
    session = pgadmin.session()
    place = session.tree()["main"]["notes"]
    session._token = "x"
    assert session.call("POST", f"/browser/server/connect/{place}")[0] == 401


def test_no_secret_is_in_process_lists_or_logs_and_no_file_is_open_to_others(pgadmin: PgAdmin) -> None:
    pgadmin.session()
    shown = "".join(
        Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
        for pid in [process.pid for process in processes.of_stack(pgadmin.local.key)]
        for name in ("cmdline", "environ")
    )
    programs = supervisor.directory(pgadmin.local.key) / "programs"
    written = pgadmin.log + (programs / "pgadmin.conf").read_text()
    for server_name, role in (("pgadmin", "admin"), ("main", "postgres"), ("main", "notes_reader")):
        password = Registry(pgadmin.local.key).password(server_name, role)
        assert password not in shown
        assert password not in written
    files = [pgadmin.directory, *pgadmin.directory.rglob("*")]
    assert not [file for file in files if stat.S_IMODE(file.stat().st_mode) & 0o077]


@pytest.mark.parametrize("which", ["master", "worker"])
def test_what_is_killed_is_back_and_leaves_nothing_of_before(pgadmin: PgAdmin, which: str) -> None:
    old = pgadmin.processes()
    killed = old if which == "master" else old[1:]
    os.kill(killed[0], signal.SIGKILL)
    assert processes.wait_until_gone(killed, seconds=5)
    wait_until(lambda: len(pgadmin.processes()) == 2, PATIENCE)
    pgadmin.await_answer()
    assert pgadmin.session().connect("main", "notes")


def test_one_that_hangs_is_told_within_seconds(pgadmin: PgAdmin) -> None:
    for pid in pgadmin.processes():
        os.kill(pid, signal.SIGSTOP)
    try:
        part = daemon.look(pgadmin.local.key, "pgadmin")
        assert not part.answering
    finally:
        for pid in pgadmin.processes():
            os.kill(pid, signal.SIGCONT)
    pgadmin.await_answer()


@pytest.mark.parametrize("damage", ["overwritten", "cut off"])
def test_a_damaged_store_is_moved_aside_and_made_anew(pgadmin: PgAdmin, damage: str) -> None:
    daemon.stop(pgadmin.local.key, "pgadmin")
    store = pgadmin.directory / "pgadmin4.db"
    whole = store.read_bytes()
    kept = whole[:4096] + os.urandom(len(whole) - 4096) if damage == "overwritten" else whole[:20_000]
    store.write_bytes(kept)
    pgadmin.up()
    assert pgadmin.session().connect("main", "notes")
    copies = [path for path in pgadmin.directory.glob("pgadmin4.db.damaged-*") if path.read_bytes() == kept]
    assert len(copies) == 1
    assert str(copies[0]) in pgadmin.log


def test_a_directory_that_cannot_be_used_is_told_in_one_sentence(pgadmin: PgAdmin) -> None:
    daemon.stop(pgadmin.local.key, "pgadmin")
    sessions = pgadmin.directory / "sessions"
    moved = sessions.rename(sessions.with_name("moved"))
    sessions.write_text("in the way")
    try:
        daemon.start(pgadmin.spec())
        wait_until(lambda: f"keelson: error: pgAdmin cannot use {sessions}" in pgadmin.log, PATIENCE)
    finally:
        sessions.unlink()
        moved.rename(sessions)
        pgadmin.restart()


def test_a_protected_stack_demands_a_second_factor(pgadmin: PgAdmin) -> None:
    before = pgadmin.processes()
    pgadmin.up(protected=True)
    wait_until(lambda: pgadmin.processes() != before and len(pgadmin.processes()) == 2, PATIENCE)
    pgadmin.await_answer()
    session = PgAdminSession(pgadmin.port)
    session.log_in(EMAIL, pgadmin.password)
    assert "/mfa/register" in session.landed
    pgadmin.restart()


def test_a_missing_environment_is_named_before_anything_changes(
    pgadmin: PgAdmin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(PlatformError, match=r"pgAdmin is not installed.*run `make setup`"):
        daemon.check(pgadmin.spec())


def test_a_damaged_environment_is_named(pgadmin: PgAdmin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (paths.cache() / "pgadmin" / "current" / "keelson.json").read_text()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "keelson/pgadmin/current").mkdir(parents=True)
    (tmp_path / "keelson/pgadmin/current/keelson.json").write_text(whole)
    with pytest.raises(PlatformError, match="not completely"):
        daemon.check(pgadmin.spec())


@pytest.mark.parametrize("email", ["", "no address", "two@at@signs", "me@"])
def test_an_address_that_could_not_log_in_is_refused(started: PgAdmin, email: str) -> None:
    with pytest.raises(SettingsError, match=r"keelson:pgadmin\.email"):
        daemon.check(started.spec(email=email))


def test_a_stop_is_quick_and_leaves_no_process(pgadmin: PgAdmin) -> None:
    old = pgadmin.processes()
    daemon.stop(pgadmin.local.key, "pgadmin")
    assert processes.wait_until_gone(old, seconds=5)
    assert not daemon.look(pgadmin.local.key, "pgadmin").running


def test_a_volume_takes_all_of_it_away(pgadmin: PgAdmin) -> None:
    volume.remove(pgadmin.local.key, pgadmin.local.stack_id, "pgadmin")
    assert not pgadmin.directory.exists()
    assert not Registry(pgadmin.local.key).has_password("pgadmin", "admin")
    volume.make(pgadmin.local.key, pgadmin.local.stack_id, "pgadmin")
    replace(pgadmin).up()
    assert pgadmin.session().connect("main", "notes")

"""PostgreSQL in a container: what an edit does to it, what it refuses, and that nothing is lost."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from keelson.agent import jobs
from keelson.containers.model import CONFIG, DATA_PATH, STATE_PATH
from keelson.containers.server import HEALTH
from keelson.docker import images, names, part, toolbox
from keelson.docker.part import DockerSpec
from keelson.endpoint import Reference, resolve
from keelson.errors import BackupError, KeelsonError, ServerError, SettingsError, UnreachableError
from keelson.local import root
from keelson.postgres.admission import LOOPBACK, rules
from keelson.settings.networks import PRIVATE
from tests.docker.ground import Ground, ground
from tests.local.conftest import wait_until

RULES = rules("hostssl", (*LOOPBACK, *PRIVATE), [])


@dataclass
class Server:
    """A server of a stack under test."""

    on: Ground
    name: str
    image: str = "postgres"
    timescaledb: bool = False

    def spec(self, **parameters: str) -> DockerSpec:
        settings = {"version": "17", "timescaledb": self.timescaledb, "parameters": parameters, "hba": [*RULES]}
        return self.on.spec(self.name, "server", self.image, **settings)

    def up(self, **parameters: str) -> None:
        self.on.up(self.spec(**parameters))

    def connect(self, role: str = "postgres", patience: float = 20) -> psycopg.Connection:
        reference = Reference(stack=self.on.key, target=self.on.place, server=self.name, role=role)
        return resolve(reference).connect(patience=patience)

    def ask(self, query: str) -> Any:
        with self.connect() as connection:
            cursor = connection.execute(query)
            return cursor.fetchone()[0] if cursor.description else None  # type: ignore[index]

    @property
    def state(self) -> dict[str, Any]:
        attributes = self.on.container(self.name).attrs
        return {"id": attributes["Id"], **attributes["State"]}

    def log(self) -> str:
        return self.on.container(self.name).logs().decode()

    def run(self, *command: str) -> tuple[int, str]:
        done = self.on.container(self.name).exec_run(list(command))
        return done.exit_code, done.output.decode(errors="replace")

    def remove_container(self) -> None:
        self.on.container(self.name).stop(timeout=60)
        self.on.container(self.name).remove(v=True)


@pytest.fixture(scope="module")
def on(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with ground(docker_host) as made:
            images.build(made.client, ["postgres", "timescaledb"], lambda *_: None)
            yield made


@pytest.fixture(scope="module")
def main(on: Ground) -> Server:
    made = Server(on, "main")
    made.up(work_mem="7MB")
    return made


@pytest.fixture
def other_version(on: Ground) -> Iterator[Any]:
    """Make an image that says that it has another version of PostgreSQL."""
    made = []

    def make(version: str) -> str:
        reference = f"{on.key}/postgres:{version}"
        base = on.client.containers.create(images.reference_of("postgres"), ["true"])
        made.append(reference)
        try:
            base.commit(*reference.split(":"), changes=[f"ENV PG_VERSION={version}"])
        finally:
            base.remove(v=True)
        return reference

    yield make
    for reference in made:
        on.client.images.remove(reference, force=True)


def test_it_answers_only_encrypted_and_its_data_have_checksums(main: Server) -> None:
    assert main.ask("show data_checksums") == "on"
    assert main.ask("select ssl from pg_stat_ssl where pid = pg_backend_pid()") is True
    assert main.ask("show work_mem") == "7MB"
    assert main.ask("select count(*) from pg_hba_file_rules where error is not null") == 0
    assert main.ask("select auth_method from pg_hba_file_rules order by rule_number desc limit 1") == "reject"
    assert (
        main.ask("select datlocprovider::text || datlocale from pg_database where datname = 'template0'") == "bC.UTF-8"
    )
    parameters = resolve(Reference(stack=main.on.key, target=main.on.place, server="main")).connection_parameters()
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects connection .* no encryption"):
        psycopg.connect(**parameters | {"sslmode": "disable"})  # type: ignore[arg-type]
    wait_until(lambda: main.state["Health"]["Status"] == "healthy")


def test_a_look_at_its_health_proves_its_certificate_and_leaves_one_line_in_its_log(main: Server) -> None:
    before = len(main.log())
    for _ in range(3):
        assert main.run(*HEALTH) == (0, "")
    said = main.log()[before:].splitlines()
    assert 3 <= len(said) <= 4, said  # the daemon itself may have looked meanwhile
    assert all(
        "connection received: host=127.0.0.1" in line or "connection received: host=::1" in line for line in said
    )
    others = [word.replace(f"{CONFIG}/ca.crt", "/etc/ssl/certs/ca-certificates.crt") for word in HEALTH]
    assert main.run(*others)[0] != 0


@pytest.mark.skipif(not root.find().has_pgaudit, reason="a private root of an older release lacks pgAudit")
def test_pgaudit_added_later_is_loaded_by_a_restart_of_the_same_container(main: Server) -> None:
    before, spec = main.state, main.spec()
    main.on.up(replace(spec, settings={**spec.settings, "pgaudit": True}))
    assert main.ask("show pgaudit.log") == "ddl, role"
    after = main.state
    assert (after["id"], after["StartedAt"] != before["StartedAt"]) == (before["id"], True)
    main.up()


def test_pgaudit_that_an_image_of_the_users_own_lacks_is_refused_and_nothing_changes(main: Server) -> None:
    made = main.on.client.containers.create(
        main.spec().image, entrypoint=["rm", "-f", "/usr/lib/postgresql/17/lib/pgaudit.so"], user="root"
    )
    made.start()
    made.wait()
    image = made.commit(f"{main.on.key}/postgres", "lacking")
    made.remove()
    before, files = main.state["StartedAt"], main.run("cat", "/etc/keelson/postgresql.conf")
    spec = replace(main.spec(), image=image.tags[0])
    try:
        with pytest.raises(SettingsError, match='could not access file "pgaudit"'):
            part.write_files(replace(spec, settings={**spec.settings, "pgaudit": True}), str(image.id), {})
    finally:
        main.on.client.images.remove(image.tags[0], force=True)
    assert (main.state["StartedAt"], main.run("cat", "/etc/keelson/postgresql.conf")) == (before, files)


def test_it_is_verified_by_the_address_of_the_machine_that_it_is_published_on(on: Ground) -> None:
    far = Server(on, "far")
    on.up(replace(far.spec(), address="192.0.2.1"))
    parameters = resolve(Reference(stack=on.key, target=on.place, server="far")).connection_parameters()
    psycopg.connect(**parameters | {"host": "192.0.2.1", "hostaddr": "127.0.0.1"}).close()  # type: ignore[arg-type]


def test_it_has_no_rights_and_its_secrets_stand_nowhere(main: Server) -> None:
    status = main.run("cat", "/proc/1/status")[1]
    assert re.search(r"^Uid:\s+999\s", status, re.MULTILINE)
    assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    for path in ("/", "/etc/keelson", "/usr/bin"):
        assert "Read-only file system" in main.run("touch", f"{path}/x")[1]
    assert set(
        re.findall(r"^\S+", main.run("find", "/etc/keelson", "-type", "f", "-printf", "%m\\n")[1], re.MULTILINE)
    ) == {"600"}
    password = main.on.ask("password", server="main", role="postgres")
    assert (
        password
        not in str(main.on.container("main").attrs) + main.log() + main.run("sh", "-c", "cat /proc/*/cmdline")[1]
    )


def test_an_edit_is_reloaded_in_the_same_process(main: Server) -> None:
    before = main.state
    main.up(work_mem="9MB", log_min_duration_statement="2s")
    assert main.ask("show work_mem") == "9MB"
    assert main.state["StartedAt"] == before["StartedAt"]


def test_only_what_needs_a_restart_restarts_it_and_the_container_stays(main: Server) -> None:
    before = main.state
    main.up(max_connections="90")
    after = main.state
    assert main.ask("show max_connections") == "90"
    assert after["id"] == before["id"]
    assert after["StartedAt"] != before["StartedAt"]
    assert main.ask("show work_mem") == "4MB"


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"work_mem": "a lot"}, r'server main: invalid value for parameter "work_mem": "a lot"; correct'),
        ({"shared_preload_libraries": "nothing"}, r'could not access file "nothing"'),
        ({"shared_buffers": "900GB"}, r"could not map anonymous shared memory: Cannot allocate memory; correct"),
        ({"port": "5433"}, r"the parameter port cannot be set"),
    ],
)
def test_a_wrong_parameter_is_refused_in_postgresqls_words_and_nothing_changes(
    main: Server, parameters: dict[str, str], says: str
) -> None:
    before, files = main.state["StartedAt"], main.run("cat", "/etc/keelson/postgresql.conf")
    with pytest.raises(SettingsError, match=says):
        main.up(**parameters)
    assert (main.state["StartedAt"], main.run("cat", "/etc/keelson/postgresql.conf")) == (before, files)


def test_unchanged_it_is_written_no_second_time(main: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = main.spec()
    main.up()
    image = main.on.container("main").attrs["Image"]
    first = part.write_files(spec, image, {})
    monkeypatch.setattr(toolbox, "write", lambda *_: pytest.fail("it writes"))
    assert part.write_files(spec, image, {}) == first == part.written(spec, image)


def test_stopped_it_ends_cleanly_though_clients_are_there(main: Server) -> None:
    with main.connect():
        main.on.container("main").stop(timeout=60)
    assert main.state["ExitCode"] == 0
    seen = main.log()
    with pytest.raises(ServerError, match=r"server main is exited: .*keelson logs main"):
        part.bring(main.spec())
    main.on.container("main").start()
    part.bring(main.spec())
    assert "automatic recovery" not in main.log()[len(seen) :]
    assert "database system was shut down at" in main.log()[len(seen) :]


def test_killed_it_comes_back_by_itself_with_every_row(main: Server) -> None:
    main.ask("create table kept (n bigint)")
    acknowledged = 0
    with main.connect() as connection:
        for acknowledged in range(1, 200):
            connection.execute("insert into kept values (%s)", [acknowledged])
        _kill(main.state["Pid"])
    assert main.ask("select count(*) from kept") == acknowledged
    assert main.on.container("main").attrs["RestartCount"] == 1


def test_data_of_an_older_stack_get_the_password_and_the_certificate_of_this_one(on: Ground) -> None:
    kept = Server(on, "kept")
    kept.up()
    kept.ask("create table rows as select 7 as n")
    on.ask("forget_passwords", server="kept")
    on.container(names.TOOLBOX).exec_run(["sh", "-c", f"rm -r {STATE_PATH}/keelson/stacks/{on.key}/tls"])
    spec = kept.spec()
    part.prepare(spec)
    with pytest.raises(UnreachableError, match="certificate"):
        kept.connect()
    assert part.bring(spec)[1] == (
        "it read its new certificate",
        "its data knew another password of the administrator; it has that of the stack now",
    )
    assert kept.ask("select n from rows") == 7
    password = on.ask("password", server="kept", role="postgres")
    assert password not in kept.log()


def test_another_minor_takes_the_data_over_after_a_backup_and_another_major_does_not(
    on: Ground, other_version: Any
) -> None:
    old = Server(on, "old")
    old.up()
    old.ask("create database auth")
    on.ask("put_job", job=_job(on, "auth"))
    with pytest.raises(ServerError, match=r"its data are of PostgreSQL 17, and the image .* has 18\.1"):
        part.take_ground(replace(old.spec(), image=other_version("18.1")))
    newer = replace(old.spec(), image=other_version("17.99"))
    assert part.take_ground(newer).notes[0].endswith("to 17.99")
    listed = on.container(names.TOOLBOX).exec_run(
        ["sh", "-c", f"cat {DATA_PATH}/keelson/backups/{on.key}/auth/*/manifest.json"]
    )
    assert b'"before-upgrade"' in listed.output
    old.ask("drop database auth")
    with pytest.raises(BackupError, match=r"server old keeps its image, as no backup could be made before the change"):
        part.take_ground(newer)
    on.ask("drop_job", name="backup-auth")
    old.remove_container()
    on.up(newer)
    assert old.ask("select 1") == 1
    with pytest.raises(SettingsError, match=r"belong to user 999, and the image .* works as user 1000; set uid: 999"):
        part.take_ground(replace(newer, image=images.reference_of("timescaledb"), uid=1000, gid=1000))


def test_a_server_that_cannot_start_says_why(on: Ground) -> None:
    broken = Server(on, "broken")
    broken.up()
    broken.run("sh", "-c", "rm /var/lib/postgresql/data/pgdata/global/pg_control")
    on.container("broken").restart(timeout=5)
    with pytest.raises(ServerError, match=r"server broken does not start: .*pg_control"):
        part.bring(broken.spec())


def test_timescaledb_works_and_is_brought_to_the_version_of_the_image(on: Ground) -> None:
    timescale = Server(on, "timescale", "timescaledb", timescaledb=True)
    timescale.up(max_connections="80", shared_preload_libraries="auto_explain")
    timescale.ask("create extension timescaledb")
    timescale.ask("create table bars (at timestamptz not null)")
    assert timescale.ask("select create_hypertable('bars', 'at')::text")
    timescale.ask("insert into bars values (now())")
    version = timescale.ask("select extversion from pg_extension where extname = 'timescaledb'")
    timescale.ask("update _timescaledb_catalog.metadata set value = '2.19.2' where key = 'timescaledb_version'")
    timescale.ask("update pg_extension set extversion = '2.19.2' where extname = 'timescaledb'")
    _, notes = part.bring(timescale.spec())
    assert notes == (f"database postgres goes from TimescaleDB 2.19.2 to {version}",)
    assert timescale.ask("select count(*) from bars") == 1
    assert part.bring(timescale.spec())[1] == ()


def test_a_name_that_no_parameter_can_have_is_refused_offline(main: Server) -> None:
    with pytest.raises(KeelsonError, match="that is not a parameter's name"):
        part.check(replace(main.spec(**{"no name": "x"}), place="docker@tcp://127.0.0.1:1"))


def _job(on: Ground, database: str) -> dict[str, Any]:
    reference = {"stack": on.key, "target": on.place, "server": "old", "database": database, "role": "postgres"}
    settings = {"keep_days": 7, "keep_at_least": 1, "directory": ""}
    return {
        "name": jobs.backup_of(database),
        "kind": "backup",
        "reference": reference,
        "schedule": "0 2 * * *",
        "settings": settings,
    }


def _kill(pid: int) -> None:
    """End a container's first process as a machine's failure would, so that the daemon takes it for a crash."""
    assert b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()
    os.kill(pid, signal.SIGKILL)

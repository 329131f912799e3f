"""The archive of a server in a container: it archives by itself, and is restored beside the live one and in its place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from keelson.backups.physical.archives import Archives
from keelson.docker import images, names, part
from keelson.docker.part import DockerSpec
from keelson.endpoint import Reference, resolve
from keelson.errors import BackupError, KeelsonError, ServerError, SettingsError
from keelson.postgres.admission import LOOPBACK, rules
from keelson.settings.networks import PRIVATE
from tests.docker.ground import Ground, ground
from tests.local.conftest import wait_until

ARCHIVING = {"directory": "", "keep_full": 2, "waiting": 2**30}
SECRET = "known to the test alone"
LIMIT = 2**30


@dataclass
class Archived:
    """A server that keeps an archive."""

    on: Ground
    name: str = "main"

    @property
    def archives(self) -> Archives:
        return self.on.target.archives()

    def reference(self, server: str = "") -> Reference:
        return Reference(stack=self.on.key, target=self.on.place, server=server or self.name)

    def spec(self, **more: Any) -> DockerSpec:
        hba = [*rules("hostssl", (*LOOPBACK, *PRIVATE), [])]
        readers = images.traits("agent").gid
        settings = {"version": "17", "hba": hba, "archiving": ARCHIVING, "readers": readers}
        return self.on.spec(self.name, "server", "postgres", **(settings | more))

    def connect(self, server: str = "") -> psycopg.Connection:
        return resolve(self.reference(server)).connect()

    def ask(self, query: str, server: str = "") -> Any:
        with self.connect(server) as connection:
            cursor = connection.execute(query.encode())
            row = cursor.fetchone() if cursor.description else None
            return row and row[0]

    def run(self, *words: str) -> str:
        done = self.on.container(names.TOOLBOX).exec_run(
            ["python3", "-I", "-c", INSIDE, self.on.key, self.name, *words]
        )
        assert done.exit_code == 0, done.output.decode()
        return str(done.output.decode())

    def now(self) -> datetime:
        found: datetime = self.ask("SELECT clock_timestamp()")
        return found.astimezone(UTC)


INSIDE = """
import sys
from keelson.backups.physical import drilling, making
from keelson.backups.store import Store
from keelson.endpoint import Reference
key, server, what, *more = sys.argv[1:]
if what == "drill":
    done = drilling.drill(Reference(stack=key, target="docker", server=server), drilling.Plan(Store(key)))
    print(done.differences or "proven", done.seconds)
elif what == "prune":
    print(making.prune(key, server, *more, dry_run=False))
else:
    print(making.back_up(key, server, full=True if more else None) if what == "back_up" else making.verify(key, server))
"""


@pytest.fixture(scope="module")
def on(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with ground(docker_host, archived=["main"]) as made:
            images.build(made.client, ["postgres"], lambda *_: None)
            yield made


@pytest.fixture(scope="module")
def main(on: Ground) -> Archived:
    """A server with a first backup and a table `t (n bigint)`."""
    made = Archived(on)
    on.up(made.spec(), {"archive": SECRET})
    made.archives.prepare(on.key, "main")
    made.run("back_up")
    made.ask("CREATE TABLE t (n bigint PRIMARY KEY)")
    return made


@pytest.fixture(autouse=True)
def _sides_go(main: Archived) -> Iterator[None]:
    yield
    main.archives.discard_all(main.on.key, "main")
    assert not main.archives.sides(main.on.key, "main")


@dataclass
class Writer:
    """Writes one number after the other, each in a transaction; `acknowledged` says when the server had said that it is there."""

    server: Archived
    first: int
    acknowledged: list[tuple[int, datetime]] = field(default_factory=list)

    def run(self, end: threading.Event) -> None:
        with suppress(psycopg.Error, KeelsonError), self.server.connect() as connection:
            for number in range(self.first, self.first + 10**6):
                connection.execute("INSERT INTO t VALUES (%s)", [number])
                self.acknowledged.append((number, datetime.now(UTC)))
                if end.is_set():
                    return


@contextmanager
def writing(server: Archived) -> Iterator[Writer]:
    writer, end = Writer(server, 1 + int(server.ask("SELECT coalesce(max(n), 0) FROM t"))), threading.Event()
    thread = threading.Thread(target=writer.run, args=(end,))
    thread.start()
    try:
        yield writer
    finally:
        end.set()
        thread.join()


def test_it_archives_by_itself_and_what_stands_there_tells_no_secret(main: Archived) -> None:
    state = main.archives.state(main.reference(), LIMIT)
    assert not state.fault
    assert state.backed_up is not None
    assert state.waiting is not None
    container = main.on.container("main").attrs
    assert container["HostConfig"]["ReadonlyRootfs"]
    assert SECRET not in str(container)
    archive = main.on.container(names.TOOLBOX).exec_run(["ls", "-lR", "/var/lib/keelson/archives/main"]).output.decode()
    assert "backup.info" in archive
    refused = main.on.container(names.TOOLBOX).exec_run(["touch", "/var/lib/keelson/archives/main/x"])
    assert refused.exit_code, "who reads the archive can write to it"


def test_a_server_beside_it_holds_what_was_acknowledged_until_then_and_archives_nothing(main: Archived) -> None:
    with writing(main) as writer:
        wait_until(lambda: len(writer.acknowledged) > 50, 30)
        moment = datetime.now(UTC)
        wait_until(lambda: writer.acknowledged[-1][1] > moment, 30)
    made = main.archives.beside(main.on.key, "main", moment, into="then")
    try:
        held = main.ask("SELECT array_agg(n ORDER BY n) FROM t", "then")
        expected = [number for number, at in writer.acknowledged if at <= moment]
        assert held[-len(expected) :] == expected or held[-len(expected) - 1 : -1] == expected
        assert held == list(range(1, held[-1] + 1)), "what is held is no prefix"
        assert main.ask("SELECT setting FROM pg_settings WHERE name = 'archive_command'", "then") == "/bin/true"
        assert main.ask("SELECT count(*) FROM t") == writer.acknowledged[-1][0], "the live server was touched"
        assert "then" in {each.name for each in main.on.target.parts(main.on.key)}
        assert dict(main.archives.sides(main.on.key, "main"))["then"] == made.port
        with pytest.raises(ServerError, match="cannot name a server beside main"):
            main.archives.beside(main.on.key, "main", moment, into="then")
    finally:
        main.archives.discard(main.on.key, "main", "then")
    left = [each.name for each in main.on.client.volumes.list() if f"{main.on.key}-then" in each.name]
    assert not left


def test_in_place_the_server_goes_back_and_what_came_after_is_kept(main: Archived) -> None:
    main.ask("INSERT INTO t SELECT coalesce(max(n), 0) + 1 FROM t")
    before, moment = main.ask("SELECT count(*) FROM t"), main.now()
    main.ask("DELETE FROM t")
    identity = main.on.container("main").id
    reached, kept = main.archives.in_place(main.on.key, "main", moment)
    assert main.ask("SELECT count(*) FROM t") == before
    assert "pgdata.before-" in kept
    assert main.on.container("main").id == identity
    assert reached.backup.label
    main.run("back_up", "full")
    main.run("back_up")
    main.run("verify")
    toolbox, archive = main.on.container(names.TOOLBOX), "/var/lib/keelson/archives/main"
    made = toolbox.exec_run(["sh", "-c", f"ls -d {archive}/clusters/*/backup/main/*I"]).output.decode()
    newest = made.split()[-1].rpartition("/")[2]
    assert f"expire {newest} from the history" in main.run("prune", newest)
    assert newest not in toolbox.exec_run(["ls", "-R", archive]).output.decode()
    deleted = main.archives.beside(main.on.key, "main", None, into="now")
    assert main.ask("SELECT count(*) FROM t", deleted.name) == before


def test_its_archive_is_proven_where_the_agent_is(main: Archived) -> None:
    assert "proven" in main.run("drill")
    state = main.archives.state(main.reference(), LIMIT)
    assert state.proven
    assert state.recovery_seconds
    left = main.on.container(names.TOOLBOX).exec_run(["ls", "/var/lib/keelson/data/keelson/scratch"]).output.decode()
    assert not left.strip()


def test_a_moment_that_cannot_be_reached_changes_nothing(main: Archived) -> None:
    with pytest.raises(BackupError, match="is before the first backup of main was complete; give a time from"):
        main.archives.beside(main.on.key, "main", datetime(2020, 1, 1, tzinfo=UTC), into="never")
    assert not main.archives.sides(main.on.key, "main")


def test_an_image_that_cannot_archive_is_refused_and_nothing_changes(main: Archived) -> None:
    reference, spec = f"{main.on.key}/postgres:bare", main.spec()
    base = main.on.client.containers.create(
        images.reference_of("postgres"), entrypoint=["rm", "/usr/bin/pgbackrest"], command=[], user="0:0"
    )
    try:
        base.start()
        assert base.wait()["StatusCode"] == 0
        base.commit(*reference.split(":"), changes=['ENTRYPOINT ["docker-entrypoint.sh"]'])
        before = part.written(spec, main.on.container("main").attrs["Image"])
        with pytest.raises(
            SettingsError, match="has no /usr/bin/pgbackrest; name one that has it, set `images: debian`"
        ):
            part.write_files(replace(spec, image=reference), reference, {})
        assert part.written(spec, main.on.container("main").attrs["Image"]) == before
    finally:
        base.remove(v=True)
        main.on.client.images.remove(reference, force=True)

"""The images made here, used as one uses the official ones: hardened, as fixed users, with a secret in a file."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest
from docker import errors
from docker.models.containers import Container

from keelson.docker import images
from keelson.docker.images import archive, building, official, recipes
from keelson.errors import PlatformError, SettingsError
from tests.local.conftest import wait_until
from tests.local.pgadmin_client import PgAdminSession
from tests.stack.harness import CHECKOUT

PATIENCE = 40.0
HARDENED: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "tmpfs": {"/tmp": "", "/run/postgresql": "mode=1777"},  # noqa: S108  # the container's
}
PASSWORD = "a password for tests"
SERVERS = ("postgres", "timescaledb")
REFERENCES: dict[str, str] = {}  # by image, as they were when the tests began
_numbers = itertools.count(1)


@dataclass
class Daemon:
    """A Docker daemon, and what a test made on it."""

    client: docker.DockerClient
    folder: Path
    made: list[Any] = field(default_factory=list)

    def name(self) -> str:
        return f"keelson-images-test-{os.getpid()}-{next(_numbers)}"

    def volume(self) -> str:
        self.made.append(self.client.volumes.create(self.name()))
        return self.made[-1].name

    def network(self, **options: Any) -> str:
        self.made.append(self.client.networks.create(self.name(), **options))
        return self.made[-1].name

    def file(self, name: str, text: str) -> str:
        """A file that a container's user may read."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.parent.chmod(0o755)
        fresh = path.with_suffix(".new")
        fresh.write_text(text)
        fresh.chmod(0o644)
        fresh.replace(path)
        return str(path)

    def start(self, image: str, *command: str, **options: Any) -> Container:
        settings = {"network_mode": "none"} if "network" not in options else {}
        made = self.client.containers.create(
            REFERENCES[image], list(command), name=self.name(), **(HARDENED | settings | options)
        )
        self.made.append(made)
        made.start()
        return made

    def end(self) -> None:
        for each in reversed(self.made):
            with contextlib.suppress(errors.NotFound):
                each.remove(**({"force": True, "v": True} if isinstance(each, Container) else {}))


@pytest.fixture(scope="session")
def client(docker_host: str) -> Iterator[docker.DockerClient]:
    """The daemon with all images."""
    made = docker.DockerClient(base_url=docker_host)
    REFERENCES.update({image.name: image.reference for image in images.build(made)})
    yield made
    made.close()


@pytest.fixture
def daemon(client: docker.DockerClient, tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(client, tmp_path)
    yield made
    made.end()


def mount(volume: str, place: str, mode: str = "rw") -> dict[str, dict[str, str]]:
    return {volume: {"bind": place, "mode": mode}}


def last_line(container: Container) -> str:
    return container.logs(stdout=False).decode().strip().splitlines()[-1]


def run(container: Container, *command: str, **variables: str) -> str:
    status, output = container.exec_run(list(command), environment=variables)
    assert status == 0, output.decode()
    return output.decode().strip()


@dataclass
class Server:
    """A PostgreSQL server on a volume, used as the official image is."""

    daemon: Daemon
    image: str
    volume: str
    container: Container | None = None

    def up(self, **scripts: str) -> Server:
        """Start a new container on the volume."""
        volumes = mount(self.volume, images.traits(self.image).data)
        volumes |= mount(self.daemon.file("secret", PASSWORD), "/run/secrets/password", "ro")
        for name, text in scripts.items():
            file = name.replace("_", ".")
            volumes |= mount(self.daemon.file(file, text), f"/docker-entrypoint-initdb.d/{file}", "ro")
        environment = {
            "POSTGRES_PASSWORD_FILE": "/run/secrets/password",
            "POSTGRES_USER": "me",
            "POSTGRES_DB": "app",
            "POSTGRES_INITDB_ARGS": "--no-sync",
        }
        self.container = self.daemon.start(
            self.image, "postgres", "-c", "fsync=off", environment=environment, volumes=volumes
        )
        return self

    def answers(self, *, within: float = PATIENCE) -> Server:
        wait_until(lambda: self.container.exec_run(["pg_isready", "-h", "127.0.0.1"]).exit_code == 0, within)
        return self

    def ask(self, statement: str) -> str:
        command = ("psql", "-h", "127.0.0.1", "-U", "me", "-d", "app", "-v", "ON_ERROR_STOP=1", "-qtAc", statement)
        return run(self.container, *command, PGPASSWORD=PASSWORD)

    def down(self) -> None:
        self.container.remove(force=True)

    def look(self, script: str) -> None:
        """Run a shell on the volume, with no server."""
        volumes = mount(self.volume, images.traits(self.image).data)
        made = self.daemon.start(self.image, "-euc", f"cd $PGDATA; {script}", entrypoint=["sh"], volumes=volumes)
        assert made.wait()["StatusCode"] == 0, made.logs()


@pytest.fixture
def make_server(daemon: Daemon) -> Callable[[str], Server]:
    return lambda image: Server(daemon, image, daemon.volume())


@pytest.mark.parametrize("image", SERVERS)
def test_a_server_makes_its_data_once_and_keeps_it(make_server: Callable[[str], Server], image: str) -> None:
    script = {"one_sql": "CREATE TABLE t (x int); INSERT INTO t VALUES (1);", "two_sh": "echo $POSTGRES_DB >&2"}
    server = make_server(image).up(**script).answers()
    assert server.ask("SHOW data_checksums") in {"on", "off"}
    server.ask("INSERT INTO t VALUES (2)")
    server.container.restart()
    server.answers()
    server.down()
    server.up(**script).answers()
    assert server.ask("SELECT array_agg(x ORDER BY x) FROM t") == "{1,2}"
    assert run(server.container, "id", "-u") == str(images.traits(image).uid)


def test_a_timescaledb_server_has_its_library_loaded(make_server: Callable[[str], Server]) -> None:
    server = make_server("timescaledb").up(one_sql="CREATE EXTENSION timescaledb").answers()
    edition = images.traits("timescaledb").timescale_edition
    assert server.ask("SHOW timescaledb.license") == edition == "apache"
    assert server.container.image.labels["TS_EDITION"] == edition


def test_a_wrong_password_is_refused_from_the_network(make_server: Callable[[str], Server]) -> None:
    server = make_server("postgres").up().answers()
    asked = ["psql", "-h", "127.0.0.1", "-U", "me", "-d", "app", "-c", "SELECT 1"]
    status, output = server.container.exec_run(asked, environment={"PGPASSWORD": "wrong"})
    assert status == 2
    assert b"password authentication failed" in output


def test_a_stop_ends_a_server_cleanly_though_a_client_is_connected(make_server: Callable[[str], Server]) -> None:
    server = make_server("postgres").up().answers()
    server.container.exec_run(["psql", "-U", "me", "-d", "app", "-c", "SELECT pg_sleep(600)"], detach=True)
    wait_until(lambda: server.ask("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%'") > "1")
    server.container.stop(timeout=20)
    assert server.container.wait()["StatusCode"] == 0
    assert "database system is shut down" in last_line(server.container)


def test_a_kill_while_the_data_is_made_leaves_nothing_that_hinders(make_server: Callable[[str], Server]) -> None:
    server = make_server("postgres").up(one_sh="touch $PGDATA/left; sleep 600")
    wait_until(lambda: "sleep 600" in str(server.container.top()["Processes"]), PATIENCE)
    server.down()
    server.up(one_sh="exit 3")
    assert server.container.wait(timeout=PATIENCE)["StatusCode"] == 1
    assert "/docker-entrypoint-initdb.d/one.sh failed" in last_line(server.container)
    server.down()
    server.up(one_sql="CREATE TABLE kept ()").answers()
    assert server.ask("SELECT count(*) FROM kept") == "0"
    server.look("test ! -e left")


def test_a_kill_during_initdb_leaves_nothing_that_hinders(make_server: Callable[[str], Server]) -> None:
    server = make_server("postgres")
    for _ in range(2):
        server.up()
        wait_until(lambda: "initdb" in str(server.container.top()["Processes"]), PATIENCE)
        server.down()
    server.up().answers()


def test_a_kill_while_the_data_moves_into_place_is_made_good(make_server: Callable[[str], Server]) -> None:
    server = make_server("postgres").up(one_sql="CREATE TABLE kept ()").answers()
    server.container.stop()
    server.down()
    server.look("mkdir -m 700 .making; mv PG_VERSION base pg_wal .making; touch .making/.whole")
    server.up().answers()
    assert server.ask("SELECT count(*) FROM kept") == "0"
    server.look("test ! -e .making")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "no password is given; set POSTGRES_PASSWORD_FILE"),
        ({"environment": {"POSTGRES_PASSWORD": "x", "POSTGRES_PASSWORD_FILE": "/etc/passwd"}}, "set one of them"),
        ({"environment": {"POSTGRES_PASSWORD_FILE": "/nowhere"}}, "cannot read /nowhere"),
        ({"user": "0:0"}, "does not run as root; start the container as user 999:999"),
        ({"tmpfs": {"/var/lib/postgresql/data": "uid=0,mode=755"}}, "does not belong to user 999"),
        ({"environment": {"POSTGRES_PASSWORD": "x", "PGDATA": "/var/lib/postgresql"}}, "holds data but no database"),
        ({"environment": {"POSTGRES_PASSWORD": "x", "POSTGRES_INITDB_ARGS": "--wrong"}}, "initdb failed"),
    ],
)
def test_wrong_use_of_a_server_is_told_in_one_sentence(daemon: Daemon, options: dict[str, Any], sentence: str) -> None:
    made = daemon.start("postgres", **(options | {"read_only": "PGDATA" not in str(options)}))
    assert made.wait(timeout=PATIENCE)["StatusCode"] == 1
    assert last_line(made).startswith("keelson: error: ")
    assert sentence in last_line(made)


def test_a_redis_keeps_its_data_and_answers_to_its_neighbours(daemon: Daemon) -> None:
    network, volume = daemon.network(internal=True), daemon.volume()
    made = daemon.start("redis", "redis-server", "--appendonly", "yes", network=network, volumes=mount(volume, "/data"))
    toolbox = daemon.start("agent", network=network)

    def ask(*words: str) -> str:
        return run(toolbox, "redis-cli", "-h", made.name, *words)

    wait_until(lambda: made.exec_run(["redis-cli", "ping"]).output.strip() == b"PONG", PATIENCE)
    assert ask("set", "a", "1") == "OK"
    made.restart()
    wait_until(lambda: made.exec_run(["redis-cli", "ping"]).output.strip() == b"PONG", PATIENCE)
    assert ask("get", "a") == "1"
    assert run(made, "id", "-u") == "999"


def test_wrong_use_of_redis_is_told_in_one_sentence(daemon: Daemon) -> None:
    made = daemon.start("redis", tmpfs={"/data": "uid=0,mode=755"})
    assert made.wait(timeout=PATIENCE)["StatusCode"] == 1
    assert last_line(made).startswith("keelson: error: /data cannot be written by user 999")


def test_pgadmin_follows_its_files_and_logs_nobody_out(daemon: Daemon) -> None:
    email, ports, inside = "admin@keelson.local", daemon.network(), daemon.network(internal=True)
    server = daemon.start("postgres", network=inside, environment={"POSTGRES_PASSWORD": PASSWORD})

    def listed(**servers: str) -> None:
        entries = [
            {"Name": name, "Group": "ours", "Host": server.name, "Port": 5432, "Username": role, "SSLMode": "prefer"}
            for name, role in servers.items()
        ]
        daemon.file("config/servers.json", json.dumps({"Servers": dict(enumerate(entries))}))

    daemon.file("config/pgpass", f"{server.name}:5432:*:postgres:{PASSWORD}\n")
    daemon.file("config/password", PASSWORD)
    listed(main="postgres")
    environment = {
        "PGADMIN_DEFAULT_EMAIL": email,
        "PGADMIN_DEFAULT_PASSWORD_FILE": "/etc/keelson/password",
        "PGADMIN_SERVER_JSON_FILE": "/etc/keelson/servers.json",
        "PGPASS_FILE": "/etc/keelson/pgpass",
        "PGADMIN_DISABLE_POSTFIX": "1",
        "PGADMIN_LISTEN_PORT": "8080",
    }
    volumes = mount(str(daemon.folder / "config"), "/etc/keelson", "ro") | mount(daemon.volume(), "/var/lib/pgadmin")
    made = daemon.start(
        "pgadmin", environment=environment, volumes=volumes, network=ports, ports={"8080/tcp": ("127.0.0.1", None)}
    )
    daemon.client.networks.get(inside).connect(made)

    def session() -> PgAdminSession:
        made.reload()
        return PgAdminSession(int(made.ports["8080/tcp"][0]["HostPort"]))

    def logged_in() -> bool:
        with contextlib.suppress(OSError):
            return opened.log_in(email, PASSWORD)
        return False

    def shown() -> set[str]:
        with contextlib.suppress(TypeError):  # pgAdmin fails to show an entry that goes away at that moment
            return {*opened.tree()["ours"]}
        return set()

    opened = session()
    wait_until(logged_in, PATIENCE)
    assert opened.connect("ours", "main")
    opened.add_server("by hand", int(opened.tree()["ours"]["main"].partition("/")[0]), 5432)
    listed(main="postgres", other="someone")
    wait_until(lambda: shown() == {"main", "other", "by hand"}, PATIENCE)
    listed(main="postgres")
    wait_until(lambda: shown() == {"main", "by hand"}, PATIENCE)
    assert opened.inside()
    began = time.monotonic()
    made.restart(timeout=20)
    assert time.monotonic() - began < 15
    opened = session()
    wait_until(logged_in, PATIENCE)
    assert opened.tree()["ours"].keys() == {"main", "by hand"}
    assert opened.connect("ours", "main")


def test_wrong_use_of_pgadmin_is_told_in_one_sentence(daemon: Daemon) -> None:
    made = daemon.start("pgadmin")
    assert made.wait(timeout=PATIENCE)["StatusCode"] != 0
    assert last_line(made).startswith("keelson: error: pgAdmin has no administrator; set PGADMIN_DEFAULT_EMAIL")


def test_the_image_for_several_instances_keeps_their_operators_contract(daemon: Daemon) -> None:
    found = images.traits("postgres-ha")
    made = daemon.start("postgres-ha", "sleep", "infinity", tmpfs={found.data: f"uid={found.uid}"})
    for program in ("initdb", "pg_basebackup", "pg_controldata", "pg_ctl", "pg_rewind", "postgres", "psql"):
        assert run(made, program, "--version")
    assert run(made, "id", "-u", "-n") == "postgres"
    assert run(made, "sh", "-c", "id -u; id -g").split() == [str(found.uid), str(found.gid)] == ["26", "26"]
    assert run(made, "initdb", "--pgdata", f"{found.data}/pgdata")
    version = run(made, "sh", "-c", "echo $PG_VERSION")
    assert found.reference.startswith(f"keelson/postgres-ha:{version}-")  # whence the operator reads it
    assert not made.image.attrs["Config"]["Entrypoint"]
    assert made.image.labels["TS_EDITION"] == found.timescale_edition == "apache"


@pytest.mark.parametrize("name", ["pgbouncer", "haproxy", "postgres-exporter", "redis-exporter"])
def test_an_image_of_one_program_runs_it_as_its_user(daemon: Daemon, name: str) -> None:
    found = images.traits(name)
    made = daemon.start(name, "-v" if name == "haproxy" else "--version")
    assert made.wait(timeout=PATIENCE)["StatusCode"] == 0
    assert name.rpartition("-")[0] in made.logs().decode().lower()
    assert made.image.attrs["Config"]["User"] == found.user


def test_the_operator_finds_the_pooler_where_it_starts_it(daemon: Daemon) -> None:
    made = daemon.start("pgbouncer", "--version", entrypoint=["/usr/bin/pgbouncer"])
    assert made.wait(timeout=PATIENCE)["StatusCode"] == 0


def test_the_agents_image_holds_keelson_and_the_client_programs(daemon: Daemon) -> None:
    made = daemon.start("agent", volumes=mount(daemon.volume(), "/var/lib/keelson/state"))
    modules = "keelson.agent.service, keelson.backups.engines, keelson.inside, keelson.cli.backup, keelson.cli.restore"
    script = f"import {modules}, keelson.paths as p; p.private_directory(p.state()); print(p.state(), p.data())"
    assert run(made, "python3", "-I", "-c", script) == "/var/lib/keelson/state/keelson /var/lib/keelson/data/keelson"
    assert run(made, "python3", "-I", "-m", "keelson", "--help")
    for program in ("pg_dump", "pg_restore", "psql", "redis-cli", "redis-server", "zstd"):
        assert run(made, program, "--version")
    assert "pgBackRest" in run(made, "pgbackrest", "version")
    assert run(made, "sh", "-c", "id -u; echo $KEELSON_INSIDE").split() == ["10001", "1"]


def test_a_second_build_makes_nothing_and_takes_no_time(client: docker.DockerClient) -> None:
    quiet = [name for name in images.NAMES if name != "agent"]  # whose sources nobody edits meanwhile
    began = time.monotonic()
    found = images.build(client, quiet)
    assert time.monotonic() - began < 1
    assert not any(image.made for image in found)
    assert [image.reference for image in found] == [images.reference_of(name) for name in quiet]
    assert images.ensure(client, "redis") == images.ensure(client, images.reference_of("redis"))


def test_images_share_the_base(client: docker.DockerClient) -> None:
    layers = [client.images.get(images.reference_of(name)).attrs["RootFS"]["Layers"] for name in images.NAMES]
    assert len({each[0] for each in layers}) == 1


def small_recipe(content: str, base: recipes.Recipe | None = None) -> recipes.Recipe:
    name = f"test{os.getpid()}-{'above' if base else 'base'}"
    return recipes.Recipe(name, base, (), content, lambda: [archive.Member("a", content=content.encode())])


def test_a_build_goes_on_after_one_that_was_killed(client: docker.DockerClient) -> None:
    base = small_recipe("killed")
    made = small_recipe("killed", base)
    building.build(client, [base])
    left = client.api.create_container(base.reference, ["true"], name=f"keelson-images-{made.name}-{made.key}")
    try:
        assert building.build(client, [made])[0].made
    finally:
        client.images.remove(made.reference)
        client.images.remove(base.reference)
    with pytest.raises(errors.NotFound):
        client.api.inspect_container(left["Id"])


def test_a_build_forgets_what_was_made_before_and_is_not_used(client: docker.DockerClient) -> None:
    base = small_recipe("base")
    old, used, new = (small_recipe(content, base) for content in ("old", "used", "new"))
    building.build(client, [old, used, new])
    user = client.containers.create(used.reference, ["true"])
    try:
        building.forget(client, new, 0)
        assert client.images.get(old.reference)
        building.forget(client, new, time.time() + 60)
        with pytest.raises(errors.ImageNotFound):
            client.images.get(old.reference)
        assert all(client.images.get(recipe.reference) for recipe in (base, used, new))
    finally:
        user.remove()
        for recipe in (used, new, base):
            client.images.remove(recipe.reference)


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("keelson/redis:000000000000", "not on the daemon, and this checkout makes keelson/redis:"),
        ("localhost:1/redis:8", r"could not be pulled.*`keelson images build`, and `keelson:docker: {images: debian}`"),
    ],
)
def test_an_image_that_cannot_be_had_is_told_with_what_to_do(
    client: docker.DockerClient, reference: str, sentence: str
) -> None:
    with pytest.raises(PlatformError, match=sentence):
        images.ensure(client, reference)


def test_an_unknown_image_is_told_with_those_there_are(client: docker.DockerClient) -> None:
    with pytest.raises(SettingsError, match="there is no image 'mysql'; there are postgres, timescaledb"):
        images.build(client, ["mysql"])


@pytest.mark.usefixtures("client")
def test_the_command_prints_what_it_made(docker_host: str) -> None:
    command = [sys.executable, "-m", "keelson", "images", "build", "redis", "--json"]
    variables = os.environ | {"DOCKER_HOST": docker_host}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables)
    assert json.loads(done.stdout)[0]["reference"] == images.reference_of("redis")


def test_without_the_private_root_the_command_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(PlatformError, match=r"private Debian root is missing.*run `make setup`"):
        images.reference_of("postgres")


def test_a_reference_follows_from_what_is_in_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: images.reference_of(name) for name in images.NAMES}
    assert before == {name: images.reference_of(name) for name in images.NAMES}
    monkeypatch.setattr(recipes, "REDIS", recipes.Account("redis", 1, 1, "/data"))
    after = {name: images.reference_of(name) for name in images.NAMES}
    assert {name for name in images.NAMES if before[name] != after[name]} == {"redis"}


def test_official_images_are_pinned_by_tag_and_digest() -> None:
    for name, known in official.BY_NAME.items():
        assert re.fullmatch(r"[a-z/0-9-]+:[\w.-]+@sha256:[0-9a-f]{64}", known.reference)
        assert (known.uid, known.data) == (images.traits(name).uid, images.traits(name).data)


def test_an_archive_is_the_same_whatever_the_machine_says_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o700)
    (tmp_path / "a" / "program").write_text("x")
    (tmp_path / "a" / "program").chmod(0o4700)
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "out").write_text("x")
    packed = tmp_path.with_suffix(".tar")
    packed.write_bytes(b"".join(archive.stream(archive.tree(tmp_path, "here", without=["out"]))))
    with tarfile.open(packed) as found:
        seen = {each.name: (each.mode, each.uid, each.mtime, each.linkname) for each in found}
    assert seen == {
        "here": (0o755, 0, 0, ""),
        "here/a": (0o755, 0, 0, ""),
        "here/a/program": (0o755, 0, 0, ""),
        "here/link": (0o777, 0, 0, "a"),
    }


def test_the_agents_packages_are_those_of_this_environment() -> None:
    def pinned(lock: Path) -> set[str]:
        return {line.split(" ")[0] for line in lock.read_text().splitlines() if re.match(r"[a-z].*==", line)}

    assert pinned(recipes.AGENT_LOCK) <= pinned(CHECKOUT / "requirements.lock")

"""A stack on a Docker daemon, from nothing to destroyed: what its containers may do, whom they reach, what an edit costs.

One stack for the whole module, which its tests change in turn.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from docker.models.containers import Container

from keelson.containers.model import STATE_PATH
from keelson.docker import names
from tests import storage
from tests.stack.docker_stack import DockerStack
from tests.stack.harness import wait_until
from tests.stack.pgadmin_list import opened
from tests.stack.test_backups import listed
from tests.stack.writers import Writer, at_work

CONNECTING = """
import json, socket, sys
for host, port in json.loads(sys.argv[1]).items():
    try:
        socket.create_connection((host, port), 2)
    except OSError:
        continue
    print(host)
"""
PARTS = ("main", "redis", "pgadmin", "toolbox")
SECOND = {
    "migrations/002_tags.sql": "CREATE TABLE tags (name text PRIMARY KEY);\n",
    "migrations/002_tags.down.sql": "DROP TABLE tags;\n",
}


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory, docker_host: str) -> Path:
    """The daemon's socket by another name, which a test can take away."""
    path = tmp_path_factory.mktemp("socket") / "docker.sock"
    path.symlink_to(docker_host.removeprefix("unix://"))
    return path


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, socket: Path) -> Iterator[DockerStack]:
    made = DockerStack(
        tmp_path_factory.mktemp("docker"),
        f"unix://{socket}",
        redis={"redis": {"maxmemory": "32mb"}},
        pgadmin={"enabled": True},
    )
    made.write_service("notes")
    try:
        made.keelson("up")
        yield made
    finally:
        made.end()


@pytest.fixture
def run_beside(stack: DockerStack) -> Iterator[Callable[..., str]]:
    """Run a command of a part's image in a container of its own on a network of the stack, as an application's would be."""

    def run(part: str, command: list[str], network: str = stack.key) -> str:
        image = stack.container(part).attrs["Image"]
        output: Any = stack.client.containers.run(
            image,
            entrypoint=command[:1],
            command=command[1:],
            network=network,
            labels=names.labels(stack.key, "application"),
            remove=True,
            stderr=True,
        )
        return str(output, errors="replace")

    return run


def _inside(container: Container, command: str) -> tuple[int, str]:
    done: Any = container.exec_run(["sh", "-c", command])
    return int(done.exit_code), str(done.output, errors="replace")


def _started(stack: DockerStack, part: str) -> tuple[str, str]:
    found = stack.container(part)
    return str(found.id), str(found.attrs["State"]["StartedAt"])


def test_up_makes_a_service_that_answers_and_a_second_up_changes_nothing(stack: DockerStack) -> None:
    assert stack.count("notes", "notes") == 10
    second = stack.keelson("up").stdout
    assert re.search(r"^ *\d+ unchanged$", second, re.MULTILINE)
    assert "to create" not in second
    assert "to update" not in second


@pytest.mark.parametrize("part", PARTS)
def test_a_container_has_no_rights_and_limits(stack: DockerStack, part: str) -> None:
    container = stack.container(part)
    _, text = _inside(container, "cat /proc/1/status")
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    assert "0" not in status["Uid"].split()
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    for place in ("/written", "/usr/written", "/etc/written", "/etc/keelson/written"):
        code, said = _inside(container, f"echo x > {place}")
        assert (code, bool(re.search(r"Read-only|denied|nonexistent|No such", said))) != (0, False), said
        assert code
    settings = container.attrs["HostConfig"]
    assert settings["RestartPolicy"]["Name"] == "unless-stopped"
    assert settings["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}
    assert container.labels.items() >= names.labels(stack.key, part).items()
    if part != names.TOOLBOX:
        assert settings["Memory"] == settings["MemorySwap"] > 0


def test_an_application_reaches_its_database_and_redis_and_nothing_else(
    stack: DockerStack, run_beside: Callable[..., str]
) -> None:
    url = stack.keelson("url", "notes", "--from", "container").stdout.strip()
    assert "@main:5432/notes" in url
    assert run_beside("main", ["psql", url, "-Atc", "SELECT count(*), current_user FROM notes"]) == "10|notes_app_a\n"
    admin = names.admin_network(stack.key)
    servers = {stack.address("redis", stack.key): 6379, stack.address("pgadmin", admin): 8080}
    assert _reached(run_beside, stack.key, servers) == [stack.address("redis", stack.key)]
    assert "pgadmin" not in stack.aliases(stack.key)
    assert stack.client.networks.get(stack.key).attrs["Internal"]


def test_pgadmin_reaches_servers_and_neither_redis_nor_the_world(
    stack: DockerStack, run_beside: Callable[..., str]
) -> None:
    admin = names.admin_network(stack.key)
    servers = {stack.address("main", admin): 5432, stack.address("redis", stack.key): 6379}
    assert _reached(run_beside, admin, servers) == [stack.address("main", admin)]
    assert {"main", "pgadmin"} <= stack.aliases(admin)
    assert "redis" not in stack.aliases(admin)
    assert stack.client.networks.get(admin).attrs["Internal"]
    assert set(stack.networks("pgadmin")) == {admin, names.ports_network(stack.key)}


def _reached(run_beside: Callable[..., str], network: str, servers: dict[str, int]) -> list[str]:
    """Return the addresses at which something answers a container that is on this network alone."""
    return run_beside("toolbox", ["python3", "-c", CONNECTING, json.dumps(servers)], network).split()


def test_no_password_stands_where_others_look(stack: DockerStack) -> None:
    path = f"{STATE_PATH}/keelson/stacks/{stack.key}/secrets.json"
    code, text = _inside(stack.container("toolbox"), f"cat {path}")
    assert not code, text
    passwords = _texts(json.loads(text))
    assert len(passwords) >= 6
    containers = [stack.container(part) for part in PARTS]
    shown = {
        "inspect": json.dumps([each.attrs for each in containers]),
        "environment": "".join(_inside(each, "cat /proc/1/environ")[1] for each in containers),
        "logs": "".join(str(each.logs(), errors="replace") for each in containers),
        "state": json.dumps(stack.export()),
        "preview": stack.pulumi("preview", "--diff").stdout,
        "outputs": stack.pulumi("stack", "output", "--json").stdout,
    }
    assert [where for where, text in shown.items() if any(password in text for password in passwords)] == []


def _texts(document: Any) -> list[str]:
    if isinstance(document, dict):
        return [text for value in document.values() for text in _texts(value)]
    return [document] if isinstance(document, str) and len(document) > 11 else []


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_a_rotation_and_a_step_back_refuse_nobody_and_pgadmin_follows(stack: DockerStack) -> None:
    first, listed = stack.url("notes"), opened(stack)
    anew, constant = (
        Writer(lambda: psycopg.connect(stack.url("notes"), autocommit=True)),
        Writer(lambda: psycopg.connect(first, autocommit=True)),
    )
    with at_work(anew, constant):
        stack.keelson("rotate", "notes")
        assert "//notes_app_b:" in stack.url("notes")
        wait_until(lambda: opened(stack) == listed, "pgAdmin logs in as the other reader")
        stack.keelson("rotate", "notes", "--back")
    assert (anew.failed, constant.failed) == ([], [])
    assert [user for user, _ in itertools.groupby(anew.users)] == ["notes_app_a", "notes_app_b", "notes_app_a"]
    assert "notes" in listed
    with stack.connect("notes") as session:  # for tests that count rows, and write all settings anew
        session.execute("DELETE FROM notes WHERE body = 'of a writer'")
    stack.settings["rotation"] = {"notes": 1}


def test_a_preview_is_the_same_with_every_container_down(stack: DockerStack) -> None:
    stack.write_service("notes", SECOND)
    stack.write_settings(postgres={"work_mem": "7MB"})
    running = [stack.container(part) for part in PARTS]
    for container in running:
        container.kill()
    offline = stack.pulumi("preview").stdout
    assert all(stack.container(part).status == "exited" for part in PARTS)
    assert "notes: pending 002_tags.sql" in offline
    updated = re.findall(r"^ ~ +\S+ (\S+) update", offline, re.MULTILINE)
    assert {*updated} == {f"{stack.name}-settings", "main-files", "main-process", "notes-schema", "notes-access"}
    assert "replace" not in offline
    stack.keelson("start")
    assert stack.count("notes", "notes") == 10


def test_a_daemon_that_is_gone_is_said_by_the_plugin_alone(stack: DockerStack, socket: Path) -> None:
    daemon = socket.readlink()
    socket.unlink()
    try:
        offline, up = stack.pulumi("preview", check=False), stack.keelson("up", check=False)
    finally:
        socket.symlink_to(daemon)
    assert "daemon" in offline.stdout
    assert offline.stdout.count("error: ") <= 2
    assert f"no Docker daemon answers at unix://{socket}" in up.stderr
    assert "Traceback" not in offline.stdout + offline.stderr + up.stdout + up.stderr


def test_an_edited_parameter_is_reloaded_and_the_container_stays(stack: DockerStack) -> None:
    before = _started(stack, "main")
    stack.write_settings(postgres={"work_mem": "7MB"})
    assert "replace" not in stack.keelson("up").stdout
    assert _started(stack, "main") == before
    assert _shown(stack, "work_mem") == "7MB"
    assert stack.count("notes", "tags") == 0


def test_a_parameter_that_needs_it_restarts_the_same_container(stack: DockerStack) -> None:
    identity, started = _started(stack, "main")
    stack.write_settings(postgres={"work_mem": "7MB", "max_connections": 55})
    assert "restarted for max_connections" in stack.keelson("up").stdout
    assert _started(stack, "main")[0] == identity
    assert _started(stack, "main")[1] != started
    assert _shown(stack, "max_connections") == "55"


def _shown(stack: DockerStack, parameter: str) -> str:
    with stack.connect("notes", "admin") as connection:
        row = connection.execute(f"SHOW {parameter}").fetchone()
    assert row
    return str(row[0])


def test_without_published_ports_everything_goes_through_the_toolbox(stack: DockerStack) -> None:
    """The container is another one, with another limit; every row stays."""
    before = _started(stack, "main")
    stack.write_service(
        "notes",
        {
            "migrations/003_more.sql": "CREATE TABLE more (id int);\n",
            "migrations/003_more.down.sql": "DROP TABLE more;\n",
        },
    )
    settings = {"images": "debian", "publish": False}
    stack.write_settings(docker=settings, servers={"main": {"memory": "640mb", "cpus": 1.5}})
    stack.keelson("up")
    assert _started(stack, "main")[0] != before[0]
    host = stack.container("main").attrs["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PortBindings"] or {}) == (640 * 2**20, 1_500_000_000, {})
    said = stack.keelson("psql", "notes", "--", "-Atc", "SELECT count(*) FROM notes").stdout
    assert said.splitlines()[-1] == "10"
    aliases = stack.container("main").attrs["NetworkSettings"]["Networks"][stack.key]["Aliases"]
    assert "main" in aliases
    assert "pending" not in stack.pulumi("preview").stdout


def test_backups_go_to_a_bucket_outside_and_come_back_and_servers_see_nothing_of_it(
    stack: DockerStack, tmp_path: Path
) -> None:
    before = _started(stack, "main")
    outside = names.outside_network(stack.key)
    gateway = stack.client.networks.get(names.ports_network(stack.key)).attrs["IPAM"]["Config"][0]["Gateway"]
    with storage.running(tmp_path / "data", tmp_path / "notes", gateway) as server:
        stack.write_settings(backup={"bucket": server.settings | {"secret_key": storage.SECRET}, "recipients": []})
        stack.keelson("up")
        stack.keelson("backup", "run", "notes")
        (made,) = json.loads(stack.keelson("backup", "list", "notes", "--json").stdout)
        assert [path for path in server.files if f"/notes/{made['id']}/" in path]
        stack.keelson("restore", "notes", "--into", "notes_back")
        assert storage.SECRET not in stack.shown()
    assert outside in stack.networks("toolbox")
    assert outside not in stack.networks("main")
    assert _started(stack, "main") == before
    stack.write_settings(backup={})
    stack.keelson("up")
    assert outside not in stack.networks("toolbox")


def test_what_was_destroyed_leaves_its_backups_alone_and_comes_up_again(stack: DockerStack) -> None:
    stack.keelson("destroy", "--yes")
    assert stack.things() == [names.backups_volume(stack.key)]
    stack.write_settings(docker={"images": "debian"}, redis={}, pgadmin={"enabled": False})
    stack.keelson("up")
    assert stack.count("notes", "notes") == 10


@pytest.mark.thorough
def test_a_protected_stack_beside_it_keeps_data_and_passwords_through_a_destroy(
    stack: DockerStack, tmp_path: Path, socket: Path
) -> None:
    other = DockerStack(tmp_path, f"unix://{socket}", environment="staging")
    other.write_service("notes")
    try:
        other.keelson("up")
        with other.connect("notes", "migrator") as connection:
            connection.execute("SET ROLE notes_owner")
            connection.execute("INSERT INTO notes (body) VALUES ('kept')")
        url = other.url("notes")
        assert "--confirm" in other.keelson("destroy", "--yes", check=False).stderr
        assert "notes: backed up to" in other.keelson("destroy", "--yes", "--confirm", other.name).stdout
        volumes = (names.backups_volume, names.state_volume, lambda key: names.data_volume(key, "main"))
        assert other.things() == sorted(volume(other.key) for volume in volumes)
        assert stack.count("notes", "notes") == 10
        other.keelson("up")
        assert other.count("notes", "notes") == 1
        assert {backup["reason"] for backup in listed(other, "notes")} >= {"before-destroy"}
        with psycopg.connect(other.url("notes")) as connection:
            assert connection.info.password in url
    finally:
        other.end()


def test_a_server_is_restored_from_its_archive_which_outlives_the_stack(stack: DockerStack) -> None:
    """Beside the live server, and in its place."""
    servers = {"servers": {"main": {}}, "point_in_time": True, "agent": {}}
    stack.write_settings(docker={"images": "debian"}, redis={}, pgadmin={"enabled": False}, **servers)
    previewed = stack.keelson("preview")
    assert "main: begins to archive its log, which takes another container" in previewed.stdout + previewed.stderr
    stack.keelson("up")
    wait_until(lambda: _archive(stack)["backed_up"], "no first backup was made", 120)
    moment = stack.keelson("psql", "notes", "--role", "admin", "--", "-Atc", _NOW).stdout.strip()
    stack.keelson("psql", "notes", "--role", "admin", "--", "-c", "DELETE FROM notes")

    said = stack.keelson("restore", "--server", "main", "--at", moment, "--into", "then").stdout
    assert f"then holds main as it was at {moment[:16]}" in said
    found = stack.keelson("psql", "notes", "--beside", "then", "--", "-Atc", "SELECT count(*) FROM notes").stdout
    assert found.splitlines()[-1] == "10"
    listed = json.loads(stack.keelson("restore", "--server", "main", "--list", "--json").stdout)
    assert [each["name"] for each in listed["beside"]] == ["then"]
    said = stack.keelson("restore", "--server", "main", "--at", moment, "--in-place", "--confirm", "main").stdout
    assert "the data of before are kept as pgdata.before-" in said
    stack.keelson("up", "--", "--refresh")
    assert stack.count("notes", "notes") == 10
    assert "full" in stack.keelson("backup", "run", "--server", "main", "--full").stdout
    assert "reads back, 2 backups" in stack.keelson("backup", "verify", "--server", "main").stdout
    assert not _archive(stack)["fault"]
    looked = {each["check"]: each for each in json.loads(stack.keelson("doctor", "--json", check=False).stdout)}
    assert looked["archive main"]["level"] == "ok", looked["archive main"]["detail"]

    stack.keelson("destroy", "--yes")
    kept = [names.backups_volume(stack.key), names.archive_volume(stack.key, "main")]
    assert stack.things() == sorted(kept), "the server beside it was left, or the archive was not"


@pytest.mark.long
def test_the_archive_of_a_stack_that_was_destroyed_is_restored_in_the_one_that_is_made_again(
    stack: DockerStack,
) -> None:
    stack.keelson("up")
    stack.keelson("psql", "notes", "--role", "admin", "--", "-c", "DELETE FROM notes")
    known = json.loads(stack.keelson("restore", "--server", "main", "--list", "--json").stdout)["archives"]
    before = next(each["cluster"] for each in known if not each["present"])
    stack.keelson(
        *("restore", "--server", "main", "--at", "latest", "--in-place", "--cluster", before, "--confirm", "main")
    )
    stack.keelson("up", "--", "--refresh")
    assert stack.count("notes", "notes") == 10


_NOW = 'SELECT to_char(clock_timestamp(), \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')'


def _archive(stack: DockerStack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.keelson("status", "--json", check=False).stdout)["archives"][0]
    return found

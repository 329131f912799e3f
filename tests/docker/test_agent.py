"""The agent and the toolbox in containers: jobs that run, pages that tell, backups that read back from inside the stack."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keelson.containers.model import DATA_PATH
from keelson.docker import answers, images, names, toolbox_setup
from keelson.endpoint import Reference, resolve
from keelson.errors import ServerError, SettingsError
from keelson.redis.connection import connect
from tests.docker.ground import Ground, ground
from tests.docker.test_redis import SETTINGS
from tests.local.conftest import wait_until

ROWS = 2000
KEYS = 300
BACK_UP_AND_VERIFY = """
import json, sys
from keelson.backups.making import MANUAL, Source, back_up, verify
from keelson.backups.store import Store
from keelson.endpoint import Reference
engine, reference = sys.argv[1], Reference(**json.loads(sys.argv[2]))
made = back_up(Source(engine, reference), Store(reference.stack), MANUAL)
verify(made, reference.target)
print(json.dumps({"counts": made.manifest.counts, "path": str(made.path)}))
"""
RESTORE = """
import json, sys
from keelson.backups.engines import Destination
from keelson.backups.making import restore
from keelson.backups.store import Store
from keelson.endpoint import Reference
reference = Reference(**json.loads(sys.argv[1]))
restore(Store(reference.stack).find("redis"), Destination("redis", reference))
"""
KILLED = """
import json, os, sys
from keelson.backups.store import Store
from keelson.endpoint import Reference
from keelson.redis.throwaway import loaded
backup = Store(Reference(**json.loads(sys.argv[1])).stack).find("redis")
with loaded(lambda path: path.write_bytes((backup.path / "redis.rdb").read_bytes())):
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module")
def on(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A stack of a server with a table, a Redis with keys, and the agent."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with ground(docker_host) as made:
            images.build(made.client, ["postgres", "redis"], lambda *_: None)
            made.up(made.spec("main", "server", "postgres", version="17", timescaledb=False, parameters={}))
            made.up(made.spec("redis", "redis", "redis", **SETTINGS))
            with resolve(_notes(made).to(database="postgres")).connect(patience=20) as admin:
                admin.execute("CREATE DATABASE notes TEMPLATE template0")
            with resolve(_notes(made)).connect() as admin:
                admin.execute(f"CREATE TABLE t AS SELECT g FROM generate_series(1, {ROWS}) g")
            with connect(_redis(made)) as client:
                client.mset({f"k{number}": "v" for number in range(KEYS)})
            made.up(made.spec("agent", "agent", "agent"))
            yield made


def _notes(on: Ground) -> Reference:
    return Reference(stack=on.key, target=on.place, server="main", database="notes")


def _redis(on: Ground) -> Reference:
    return Reference(stack=on.key, target=on.place, server="redis", database="0", role="admin")


def _get(on: Ground, path: str, host: str = "") -> tuple[int, str]:
    address = on.target.locate(on.key, "agent")
    with closing(http.client.HTTPConnection(address.host, address.port, timeout=10)) as connection:
        connection.request("GET", path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def _inside(on: Ground, program: str, *arguments: str) -> str:
    return answers.run(on.container(names.TOOLBOX), "python3", "-I", "-c", program, *arguments)


def _processes(on: Ground) -> str:
    return str(on.container(names.TOOLBOX).top()["Processes"])


def _health(on: Ground) -> dict[str, Any]:
    return dict(json.loads(_get(on, "/health")[1]))


def test_its_pages_tell_of_all_parts_on_the_published_port(on: Ground) -> None:
    wait_until(lambda: _get(on, "/health")[0] == 200, 30)
    assert {part["name"]: part["well"] for part in _health(on)["parts"]} == {"main": True, "redis": True, "agent": True}
    _, metrics = _get(on, "/metrics")
    assert "keelson_part_up" in metrics
    assert _get(on, "/live", host="agent:9180")[0] == 200
    assert _get(on, "/live", host="evil.example")[0] == 421
    wait_until(lambda: on.container("agent").attrs["State"]["Health"]["Status"] == "healthy")


def test_a_job_that_is_due_is_run_and_told(on: Ground) -> None:
    job = {
        "name": "backup-notes",
        "kind": "backup",
        "engine": "postgres",
        "reference": _notes(on).as_input(),
        "schedule": "0 2 * * *",
        "settings": {"keep_days": 7, "keep_at_least": 3},
        "registered": time.time() - 2 * 86400,
    }
    on.ask("put_job", job=job)
    wait_until(lambda: any(each["last_success"] for each in _health(on)["jobs"]), 30)
    told = _health(on)["jobs"][0]
    assert (told["well"], told["error"]) == (True, "")
    folder = f"{DATA_PATH}/keelson/backups/{on.key}/notes"
    listed = answers.run(on.container(names.TOOLBOX), "ls", "-ln", folder)
    assert "drwx------ 2 10001 10001" in listed
    assert "keelson_backup" in _get(on, "/metrics")[1]


def test_a_database_is_backed_up_and_read_back_from_inside(on: Ground) -> None:
    told = json.loads(_inside(on, BACK_UP_AND_VERIFY, "postgres", json.dumps(_notes(on).as_input())))
    assert told["counts"] == {"public.t": ROWS}


def test_a_redis_is_backed_up_read_back_and_restored_from_inside(on: Ground) -> None:
    told = json.loads(_inside(on, BACK_UP_AND_VERIFY, "redis", json.dumps(_redis(on).as_input())))
    assert told["counts"] == {"database 0": KEYS}
    with connect(_redis(on)) as client:
        client.flushall()
        _inside(on, RESTORE, json.dumps(_redis(on).as_input()))
        assert client.dbsize() == KEYS
    assert "redis-server" not in _processes(on)


def test_a_read_back_that_is_killed_leaves_no_process(on: Ground) -> None:
    with pytest.raises(ServerError):
        _inside(on, KILLED, json.dumps(_redis(on).as_input()))
    wait_until(lambda: "redis-server" not in _processes(on))
    wait_until(lambda: "defunct" not in _processes(on))


def test_it_ends_by_itself_when_it_is_asked_to_and_starts_again(on: Ground) -> None:
    container = on.container("agent")
    began = time.monotonic()
    container.stop(timeout=30)
    container.reload()
    assert time.monotonic() - began < 10
    assert container.attrs["State"]["ExitCode"] == 0
    container.start()
    wait_until(lambda: on.container("agent").status == "running")
    on.up(on.spec("agent", "agent", "agent"))


def test_the_toolbox_ends_at_once(on: Ground) -> None:
    toolbox = on.container(names.TOOLBOX)
    began = time.monotonic()
    toolbox.stop(timeout=10)
    assert time.monotonic() - began < 5
    toolbox.start()
    assert on.ask("password", server="redis", role="admin")


def test_a_directory_for_backups_must_be_there_and_the_agents(on: Ground, tmp_path: Path) -> None:
    missing, foreign = tmp_path / "missing", tmp_path / "foreign"
    foreign.mkdir(mode=0o700)
    with pytest.raises(SettingsError, match="is not there on the daemon's machine"):
        toolbox_setup.prepare_volumes(on.place, on.key, on.image, str(missing))
    with pytest.raises(SettingsError, match="user 10001 cannot write"):
        toolbox_setup.prepare_volumes(on.place, on.key, on.image, str(foreign))
    foreign.chmod(0o777)
    toolbox_setup.prepare_volumes(on.place, on.key, on.image, str(foreign))

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from keelson.errors import OwnershipError, PlatformError, ServerError
from keelson.local import data_directory, marks, processes, registry, root, server, stack
from tests.local.conftest import LocalStack, wait_until

MEMORY = Path("/dev/shm")  # noqa: S108


def _snapshot(directory: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }


def test_a_directory_is_made_once(local: LocalStack) -> None:
    spec = local.spec()
    data_directory.make_data_directory(spec)
    before = (spec.directory / "pgdata/global/pg_control").read_bytes()
    assert data_directory.make_data_directory(spec) == spec.directory
    assert (spec.directory / "pgdata/global/pg_control").read_bytes() == before


def test_two_servers_have_identities_of_their_own(local: LocalStack) -> None:
    local.up("main")
    local.up("other")
    found = {local.execute("select system_identifier from pg_control_system()", name)[0] for name in ("main", "other")}
    assert len(found) == 2


def test_a_killed_initialisation_is_finished_by_the_next(local: LocalStack) -> None:
    spec = local.spec()
    program = (
        "from keelson.local import data_directory; from keelson.local.spec import ServerSpec;"
        f"data_directory.make_data_directory(ServerSpec({spec.key!r}, {spec.stack_id!r}, 'main'))"
    )
    maker = subprocess.Popen([sys.executable, "-c", program])
    wait_until(lambda: [*spec.directory.glob("pgdata.init*/base/1"), *spec.directory.glob("pgdata")])
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    assert local.up().pid
    assert not list(spec.directory.glob("pgdata.init*"))


def test_what_still_writes_for_a_killed_run_does_not_stop_the_next(local: LocalStack) -> None:
    spec, ended = local.spec(), threading.Event()
    foreign = spec.directory / "pgdata.init"

    def write() -> None:
        while not ended.wait(0.01):
            with contextlib.suppress(OSError):
                foreign.mkdir(parents=True, exist_ok=True)
                (foreign / "file").touch()

    writer = threading.Thread(target=write)
    registry.Registry(spec.key).claim(spec.stack_id)
    (spec.directory.parent).mkdir(parents=True)
    spec.directory.mkdir()
    (spec.directory / "keelson.json").write_text(
        json.dumps({"stack_id": spec.stack_id, "key": spec.key, "server": "main", "major": root.find().postgres_major})
    )
    writer.start()
    try:
        data_directory.make_data_directory(spec)
    finally:
        ended.set()
        writer.join()
    assert (spec.directory / "pgdata/PG_VERSION").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"stack_id": "ffffffffffff", "key": "other-dev"},
            "belongs to server main of stack other-dev (id ffffffffffff)",
        ),
        ({"server": "timescale"}, "belongs to server timescale"),
    ],
)
def test_a_directory_of_another_is_refused_and_kept(local: LocalStack, change: dict, words: str) -> None:
    spec = local.spec()
    data_directory.make_data_directory(spec)
    marker = spec.directory / "keelson.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), **change}))
    before = _snapshot(spec.directory)
    for action in (data_directory.make_data_directory, server.start, _remove):
        with pytest.raises(ServerError) as refused:
            action(spec)
        assert words in str(refused.value)
    assert _snapshot(spec.directory) == before


def _remove(spec: server.ServerSpec) -> None:
    data_directory.remove_data(spec.key, spec.stack_id, spec.name, spec.directory)


def test_a_directory_of_another_major_version_is_refused_and_kept(local: LocalStack, home: Path) -> None:
    data_directory.make_data_directory(local.spec())
    copy = home / "copy"
    shutil.copytree(local.spec().directory, copy)
    (copy / "pgdata/PG_VERSION").write_text("16\n")
    before = _snapshot(copy)
    for action in (data_directory.make_data_directory, server.start):
        with pytest.raises(ServerError, match="is of PostgreSQL 16 and this installation runs 17"):
            action(local.spec(data_directory=copy))
    assert _snapshot(copy) == before


def test_a_directory_with_foreign_files_is_refused_and_kept(local: LocalStack, home: Path) -> None:
    full = home / "full"
    full.mkdir()
    (full / "letter.txt").write_text("keep me")
    spec = local.spec(data_directory=full)
    for action in (data_directory.make_data_directory, server.start, _remove):
        with pytest.raises(ServerError, match=str(full)):
            action(spec)
    assert [path.name for path in full.iterdir()] == ["letter.txt"]


def test_an_unreadable_marker_is_refused(local: LocalStack) -> None:
    spec = local.spec()
    data_directory.make_data_directory(spec)
    (spec.directory / "keelson.json").write_text("{")
    with pytest.raises(ServerError, match="bears no readable mark"):
        data_directory.make_data_directory(spec)


def test_data_is_moved_with_its_rows(running: LocalStack, home: Path) -> None:
    running.execute("create table t as select generate_series(1, 100) as a")
    old, port = running.spec().directory, registry.Registry(running.key).server("main").port
    spec = running.spec(data_directory=home / "elsewhere/main")
    assert data_directory.move_data(spec, old) == spec.directory
    assert server.start(spec).port == port
    assert running.execute("select count(*) from t") == [(100,)]
    assert not old.exists()
    assert data_directory.move_data(spec, old) == spec.directory


@pytest.mark.skipif(not MEMORY.is_dir(), reason="no second file system")
def test_data_is_moved_to_another_file_system(running: LocalStack) -> None:
    new = MEMORY / f"keelson-test-{os.getpid()}" / "main"
    assert not new.parent.exists()
    running.execute("create table t as select 1 as a")
    try:
        spec = running.spec(data_directory=new)
        data_directory.move_data(spec, running.spec().directory)
        server.start(spec)
        assert running.execute("select a from t") == [(1,)]
        running.end()
    finally:
        shutil.rmtree(new.parent, ignore_errors=True)


def test_data_is_not_moved_onto_something_else(running: LocalStack, home: Path) -> None:
    (home / "taken").mkdir()
    (home / "taken/file").touch()
    with pytest.raises(ServerError, match="is neither empty nor Keelson's"):
        data_directory.move_data(running.spec(data_directory=home / "taken"), running.spec().directory)
    assert running.answering()


def test_a_copy_made_by_hand_never_costs_the_data_that_a_server_works_on(running: LocalStack, home: Path) -> None:
    old, copy = running.spec().directory, home / "copy"
    shutil.copytree(old, copy, ignore=shutil.ignore_patterns(".s.PGSQL.*"))
    running.execute("create table t as select 1 as a")
    with pytest.raises(ServerError, match=f"both {old} and {copy} hold the data of server main; remove"):
        data_directory.move_data(running.spec(data_directory=copy), old)
    assert running.execute("select a from t") == [(1,)]


@pytest.mark.skipif(not MEMORY.is_dir(), reason="no second file system")
def test_a_move_that_was_killed_after_its_copy_is_finished(
    running: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, old = MEMORY / f"keelson-test-{os.getpid()}-killed" / "main", running.spec().directory
    spec = running.spec(data_directory=new)
    running.execute("create table t as select 1 as a")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(marks, "remove_tree", _killed)
            with pytest.raises(KeyboardInterrupt):
                data_directory.move_data(spec, old)
        with pytest.raises(ServerError, match=f"were moved to {new}"):
            server.start(running.spec())
        data_directory.move_data(spec, old)
        assert not old.exists()
        server.start(spec)
        assert running.execute("select a from t") == [(1,)]
        running.end()
    finally:
        shutil.rmtree(new.parent, ignore_errors=True)


def _killed(_directory: Path) -> None:
    raise KeyboardInterrupt


def test_data_that_is_missing_is_not_made_anew_by_a_change(local: LocalStack, home: Path) -> None:
    spec = local.spec(data_directory=home / "disk/main")
    data_directory.make_data_directory(spec)
    shutil.rmtree(spec.directory)
    spec.directory.mkdir()  # where the disk that is not there now was mounted
    with pytest.raises(ServerError, match=r"the data of server main is missing .*disk/main"):
        data_directory.move_data(spec, spec.directory)
    assert not list(spec.directory.iterdir())


def test_a_folder_that_the_user_made_for_the_data_stays(local: LocalStack, home: Path) -> None:
    folder = home / "disk"
    folder.mkdir()
    spec = local.spec(data_directory=folder / "main")
    data_directory.make_data_directory(spec)
    _remove(spec)
    assert list(folder.iterdir()) == []


def test_a_removal_that_was_killed_is_finished(local: LocalStack) -> None:
    spec = local.spec()
    data_directory.make_data_directory(spec)
    shutil.rmtree(spec.directory / "pgdata/base")
    _remove(spec)
    assert not spec.directory.exists()
    _remove(spec)


def test_data_that_cannot_be_removed_is_named(local: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = local.spec()
    data_directory.make_data_directory(spec)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        with pytest.raises(ServerError, match=r"cannot remove .*: Permission denied .*; give write access"):
            _remove(spec)
    _remove(spec)


def test_a_registry_of_another_stack_is_refused(running: LocalStack) -> None:
    stranger = replace(running.spec("second"), stack_id="ffffffffffff")
    with pytest.raises(OwnershipError, match="belongs to another stack"):
        data_directory.make_data_directory(stranger)
    with pytest.raises(OwnershipError):
        stack.remove(running.key, "ffffffffffff")
    assert running.answering()


def test_a_removed_stack_leaves_nothing(running: LocalStack, home: Path) -> None:
    server.remove(running.key, "main")
    _remove(running.spec())
    stack.remove(running.key, running.stack_id)
    left = [path for path in home.rglob("*") if path.name not in ("keelson", "state", "data", "run", "config")]
    assert left == []
    stack.remove(running.key, running.stack_id)


def test_data_that_a_protected_stack_left_is_served_again_by_the_next(running: LocalStack) -> None:
    running.execute("create table t as select 1 as a")
    password = registry.Registry(running.key).password("main", "postgres")
    server.remove(running.key, "main")
    stack.remove(running.key, running.stack_id)
    assert not processes.of_stack(running.key)
    assert stack.register(running.key, "prod") == running.stack_id
    running.up()
    assert running.execute("select a from t") == [(1,)]
    assert registry.Registry(running.key).password("main", "postgres") == password


def test_a_stack_whose_state_was_lost_finds_its_data_again(running: LocalStack, home: Path) -> None:
    running.up(parameters={"log_statement": "all"})
    running.execute("create table t as select 1 as a")
    shutil.rmtree(home / "state")
    assert stack.register(running.key, "dev") == running.stack_id
    running.up()
    assert running.execute("select a from t") == [(1,)]
    password = registry.Registry(running.key).password("main", "postgres")
    assert len(password) == registry.LENGTH
    statistics = (running.spec().directory / "pgdata").glob("pg_stat*/*")
    assert not [path for path in statistics if password.encode() in path.read_bytes()]


def test_a_damaged_root_is_named(local: LocalStack, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = root.find().path
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    with pytest.raises(PlatformError, match=r"is missing .*; run `make setup`"):
        data_directory.make_data_directory(local.spec())
    fake = home / "cache/keelson/root/fake"
    (fake / "etc").mkdir(parents=True)
    (fake.parent / "current").symlink_to("fake")
    with pytest.raises(PlatformError, match=r"its manifest cannot be read.*run `make setup`"):
        root.find()
    shutil.copy(real / root.MANIFEST, fake / root.MANIFEST)
    with pytest.raises(PlatformError, match="usr/bin/openssl is missing"):
        root.find()

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from keelson.errors import OwnershipError, PlatformError, ServerError
from keelson.local import data_directory, registry, root, server, stack
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
    wait_until(lambda: (spec.directory / "pgdata.init/base/1").exists() or (spec.directory / "pgdata").exists())
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    assert local.up().pid
    assert not (spec.directory / "pgdata.init").exists()


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


def test_a_removal_that_was_killed_is_finished(local: LocalStack) -> None:
    spec = local.spec()
    data_directory.make_data_directory(spec)
    shutil.rmtree(spec.directory / "pgdata/base")
    _remove(spec)
    assert not spec.directory.exists()
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

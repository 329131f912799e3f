"""What happens on a machine that is full, read-only, or loses supervisord."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keelson.errors import PlatformError
from keelson.local import data_directory, processes, root, server, supervisor, supervisor_files
from tests.local import namespaces
from tests.local.conftest import LocalStack, wait_until

PIPE = 65_536  # bytes that supervisord may read at once, before it looks at how large a log is
PROGRAM = """
import sys
from pathlib import Path
from keelson.errors import KeelsonError
from keelson.local import data_directory, processes, server, stack
from keelson.local.spec import ServerSpec

def attempt(action, *arguments):
    try:
        print("done", action(*arguments))
    except KeelsonError as fault:
        print(type(fault).__name__, fault)

key = "full-dev"
spec = ServerSpec(key, "0123456789ab", "main", data_directory=Path("{directory}"), preferred_port={port})
try:
{body}
finally:
    processes.end_all(key)
"""


def _program(directory: Path, port: int, body: str) -> str:
    indented = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return PROGRAM.format(directory=directory, port=port, body=indented)


def _supervisord(local: LocalStack) -> int:
    return local.process("supervisor.supervisord").pid


def _guardian(local: LocalStack) -> int:
    return wait_until(lambda: _guardians(local))[0]


def _guardians(local: LocalStack) -> list[int]:
    return [process.pid for process in processes.of_stack(local.key) if "guardian.py" in process.command]


def test_a_killed_supervisord_is_back_within_thirty_seconds_and_its_servers_too(running: LocalStack) -> None:
    running.execute("create table t as select 1 as a")
    killed, server_pid = _supervisord(running), running.pid()
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: processes.look(server_pid) is None and running.answering(), seconds=30)
    assert running.execute("select a from t") == [(1,)]
    assert _supervisord(running) != killed
    assert "not properly shut down" not in running.log()
    assert (
        f"supervisord (process {killed}) was killed"
        in (supervisor.directory(running.key) / "supervisord.log").read_text()
    )


def test_a_killed_guardian_is_back_and_guards(running: LocalStack) -> None:
    guard = _guardian(running)
    os.kill(guard, signal.SIGKILL)
    wait_until(lambda: processes.look(guard) is None and len(_guardians(running)) == 1)
    server_pid = running.pid()
    os.kill(_supervisord(running), signal.SIGKILL)
    wait_until(lambda: processes.look(server_pid) is None and running.answering(), seconds=30)


def test_supervisord_and_its_guardian_killed_orphan_nothing_and_the_next_start_recovers(running: LocalStack) -> None:
    running.execute("create table t as select 1 as a")
    os.kill(_guardian(running), signal.SIGKILL)
    os.kill(_supervisord(running), signal.SIGKILL)
    wait_until(lambda: len(_guardians(running)) == len(processes.of_stack(running.key)))
    server.start_stack(running.key)
    assert running.execute("select a from t") == [(1,)]
    assert "not properly shut down" not in running.log()


def test_a_stop_right_after_supervisord_was_killed_leaves_nothing(running: LocalStack) -> None:
    os.kill(_supervisord(running), signal.SIGKILL)
    server.stop_stack(running.key)
    assert not processes.of_stack(running.key)


def test_supervisord_killed_ten_times_recovers_ten_times(running: LocalStack) -> None:
    port = server.start(running.spec()).port
    for _ in range(10):
        os.kill(_supervisord(running), signal.SIGKILL)
        assert server.start(running.spec()).port == port
    assert "not properly shut down" not in running.log()


def test_a_supervisord_that_hangs_is_replaced(running: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "START_SECONDS", 1)
    hung = _supervisord(running)
    os.kill(hung, signal.SIGSTOP)
    server.start(running.spec())
    assert processes.look(hung) is None
    assert running.answering()


def test_a_supervisord_that_is_asked_to_end_stops_the_servers_cleanly(running: LocalStack) -> None:
    os.kill(_supervisord(running), signal.SIGTERM)
    wait_until(lambda: not processes.of_stack(running.key))
    server.start_stack(running.key)
    assert "not properly shut down" not in running.log()


def test_supervisord_inherits_neither_pipes_nor_secrets(local: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "not to be passed on")
    local.up()
    for process in processes.of_stack(local.key):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a server's child that has ended
            assert b"not to be passed on" not in Path(f"/proc/{process.pid}/environ").read_bytes()
    mine = {str(Path(f"/proc/self/fd/{number}").readlink()) for number in (0, 1, 2)} - {"/dev/null"}
    held = {str(entry.readlink()) for entry in Path(f"/proc/{_supervisord(local)}/fd").iterdir()}
    assert not held & mine


def test_a_start_killed_at_random_moments_is_finished_by_the_next(local: LocalStack) -> None:
    spec = local.spec()
    program = (
        "from keelson.local import server; from keelson.local.spec import ServerSpec;"
        f"s = ServerSpec({spec.key!r}, {spec.stack_id!r}, 'main', preferred_port={spec.preferred_port});"
        "server.make_data_directory(s); server.start(s)"
    )
    for _ in range(12):
        starter = subprocess.Popen([sys.executable, "-c", program], cwd=namespaces.CHECKOUT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            starter.wait(random.uniform(0.1, 1.2))
        starter.kill()
        starter.wait()
    state = local.up()
    mine = [process.command for process in processes.of_stack(local.key)]
    assert sum(command.startswith("/usr/lib/postgresql") for command in mine) == 1
    assert sum("supervisor.supervisord" in command for command in mine) == 1
    assert local.execute("show port") == [(str(state.port),)]


def test_two_starts_at_once_agree(local: LocalStack) -> None:
    data_directory.make_data_directory(local.spec())
    with ThreadPoolExecutor() as pool:
        states = list(pool.map(server.start, [local.spec()] * 3))
    assert len({(state.port, state.pid) for state in states}) == 1


def test_a_stale_pid_file_is_no_obstacle(running: LocalStack) -> None:
    server.stop_stack(running.key)
    pid_file = running.spec().directory / "pgdata/postmaster.pid"
    for pid in (1, 2, os.getpid()):
        pid_file.write_text(f"{pid}\n/data/pgdata\n1795233711\n5432\n/data/run\n127.0.0.1\n  1234567   42\nready\n")
        server.start_stack(running.key)
        assert running.answering()
        server.stop_stack(running.key)


def test_two_postmasters_never_work_on_one_directory(running: LocalStack) -> None:
    spec = running.spec()
    private = root.find()
    argv = [private.program("postgres"), "-D", "/data/pgdata", "-p", "1", "-k", "/run"]
    second = private.finish(argv, data=spec.directory)
    assert second.returncode
    assert b"pre-existing shared memory block" in second.stderr or b"lock file" in second.stderr
    assert running.answering()


def test_a_full_disk_at_the_first_start_is_one_sentence(home: Path, unused_port: int) -> None:
    disk = home / "disk"
    disk.mkdir()
    body = "attempt(data_directory.make_data_directory, spec)\nprint(sorted(p.name for p in spec.directory.iterdir()))"
    said = namespaces.run(
        f"mount -t tmpfs -o size=12m tmpfs {disk}", _program(disk / "main", unused_port, body)
    ).splitlines()
    assert said[0].startswith("ServerError cannot make the data of server main")
    assert "No space left on device" in said[0]
    assert said[1] == "['keelson.json']"


def test_a_full_disk_at_a_later_start_is_one_sentence_and_no_loss(home: Path, unused_port: int) -> None:
    disk = home / "disk"
    disk.mkdir()
    body = """
data_directory.make_data_directory(spec)
server.start(spec)
with server.connect(key, "main") as c: c.execute("create table t as select 1 as a")
server.stop(key, "main")
filler = spec.directory / "filler"
with filler.open("wb") as file:
    try:
        while True: file.write(bytes(65536)); file.flush()
    except OSError: pass
attempt(server.start, spec)
filler.unlink()
server.start(spec)
with server.connect(key, "main") as c: print(c.execute("select a from t").fetchall())
"""
    said = namespaces.run(
        f"mount -t tmpfs -o size=120m tmpfs {disk}", _program(disk / "main", unused_port, body)
    ).splitlines()
    assert said[0].split()[0] in ("ServerError", "PlatformError")
    assert "No space left on device" in said[0]
    assert said[1:] == ["[(1,)]"]


def test_a_read_only_home_is_one_sentence(home: Path, unused_port: int) -> None:
    body = "attempt(stack.register, key, 'dev')\nattempt(data_directory.make_data_directory, spec)"
    mount = f"mount --bind {home} {home} && mount -o remount,ro,bind {home}"
    said = namespaces.run(mount, _program(home / "data/main", unused_port, body)).splitlines()
    assert len(said) == 2
    for line in said:
        assert line.startswith("PlatformError cannot make the directory")
        assert "Read-only file system" in line


def test_a_socket_path_longer_than_the_kernel_allows_is_avoided(
    make_stack: object, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / ("r" * 120)))
    local = make_stack("long-dev")
    assert local.up(data_directory=home / ("d" * 120) / "main").pid
    assert len(str(supervisor.socket_path(local.key))) < 107


def test_directories_with_spaces_and_signs_work(
    make_stack: object, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / "a b'c\"d;e$f"))
    assert make_stack("odd-dev").up().pid


@pytest.mark.parametrize("name", ["a #b", "a ;b", "a%b"])
def test_a_directory_that_supervisor_cannot_read_is_refused(
    make_stack: object, home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home / name))
    with pytest.raises(PlatformError, match="choose directories without"):
        make_stack("odd-dev").up()


def test_logs_are_rotated_by_size(running: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_files, "LOG_SIZE", "20KB")
    monkeypatch.setattr(supervisor_files, "LOG_COPIES", 2)
    server.start(running.spec(parameters={"log_statement": "all"}))
    logs = supervisor.log_file(running.key, "main").parent
    with server.connect(running.key, "main") as connection:
        for _ in range(100):
            connection.execute(f"select '{'x' * 1000}'")
    wait_until((logs / "main.log.2").exists)
    assert sorted(path.name for path in logs.iterdir()) == ["main.log", "main.log.1", "main.log.2"]
    assert all(path.stat().st_size < 20_480 + PIPE for path in logs.iterdir())
    server.restart(running.key, "main")
    assert running.answering()

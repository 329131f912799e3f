from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from keelson.errors import ServerError, SettingsError
from keelson.local import configuration, data_directory, processes, registry, server, supervisor, tls
from tests.local.conftest import LocalStack, wait_until

UNCLEAN = "not properly shut down"


def test_a_server_starts_from_nothing_and_answers(local: LocalStack) -> None:
    state = local.up()
    assert state.version.startswith("17.")
    assert processes.look(state.pid).command.startswith("/usr/lib/postgresql")
    assert local.execute("select 1") == [(1,)]


def test_a_server_is_right_from_its_first_start(running: LocalStack) -> None:
    names = (
        "data_checksums", "server_encoding", "archive_mode", "archive_command", "wal_level", "ssl", "listen_addresses",
        "shared_preload_libraries", "password_encryption", "TimeZone", "log_timezone", "cluster_name",
    )  # fmt: skip
    shown = [running.execute(f"show {name}")[0][0] for name in names]
    assert shown == [
        "on", "UTF8", "on", "/bin/true", "replica", "on", "127.0.0.1",
        "pg_stat_statements", "scram-sha-256", "UTC", "UTC", "test-dev/main",
    ]  # fmt: skip
    assert running.execute("select datlocprovider, datlocale from pg_database where datname = 'template0'") == [
        ("b", "C.UTF-8")
    ]


def test_timescaledb_is_loaded_where_it_is_asked_for(local: LocalStack) -> None:
    local.up("timescale", timescale=True)
    with server.connect(local.key, "timescale") as connection:
        connection.execute("create extension timescaledb")
        assert connection.execute("show timescaledb.telemetry_level").fetchone() == ("off",)


def test_a_clean_stop_leaves_no_process_and_no_recovery(running: LocalStack) -> None:
    running.execute("create table t as select 1 as a")
    server.stop_stack(running.key)
    assert processes.of_stack(running.key) == []
    server.start_stack(running.key)
    assert running.execute("select a from t") == [(1,)]
    assert UNCLEAN not in running.log()


def test_a_killed_server_answers_again_within_five_seconds_ten_times_in_a_row(running: LocalStack) -> None:
    running.execute("create table t (n int)")
    for number in range(10):
        running.execute(f"insert into t values ({number})")
        pid = running.pid()
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        wait_until(lambda pid=pid: running.pid() not in (0, pid) and running.answering(), 5)
        assert time.monotonic() - killed < 5
    assert running.execute("select count(*) from t") == [(10,)]
    assert running.log().count(UNCLEAN) == 10
    server.restart(running.key, "main")
    assert running.log().count(UNCLEAN) == 10
    assert running.execute("select count(*) from t") == [(10,)]


def test_a_killed_runner_takes_its_server_along_and_both_come_back(running: LocalStack) -> None:
    pid = running.pid()
    os.kill(running.process("runner.py").pid, signal.SIGKILL)
    wait_until(lambda: running.pid() not in (0, pid) and running.answering(), 5)
    assert processes.look(pid) is None
    assert running.log().count(UNCLEAN) == 1


def test_a_killed_sandbox_comes_back(running: LocalStack) -> None:
    pid = running.pid()
    sandbox = processes.look(processes.look(pid).parent)
    assert "bwrap" in sandbox.command
    os.kill(sandbox.pid, signal.SIGKILL)
    wait_until(lambda: running.pid() not in (0, pid) and running.answering(), 5)


def test_an_administrator_may_shut_the_server_down_and_it_comes_back(running: LocalStack) -> None:
    pid = running.pid()
    os.kill(pid, signal.SIGINT)
    wait_until(lambda: running.pid() not in (0, pid) and running.answering(), 5)
    assert UNCLEAN not in running.log()


def test_a_stop_ends_a_server_with_clients(running: LocalStack) -> None:
    with server.connect(running.key, "main") as connection:
        connection.execute("create table t as select 1")
        server.stop(running.key, "main")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    assert running.pid() == 0
    assert "database system is shut down" in running.log()


def test_hang_up_reaches_the_server_through_the_runner(running: LocalStack) -> None:
    before = running.execute("select pg_conf_load_time()")
    os.kill(running.process("runner.py").pid, signal.SIGHUP)
    wait_until(lambda: running.execute("select pg_conf_load_time()") != before)


def test_a_second_start_changes_nothing(running: LocalStack) -> None:
    pid = running.pid()
    again = server.start(running.spec())
    assert again.pid == pid == running.pid()


def test_a_parameter_that_reloads_keeps_the_process(running: LocalStack) -> None:
    before = running.pid()
    server.start(running.spec(parameters={"work_mem": "7MB", "Log_Statement": "ddl"}))
    assert running.execute("show work_mem") == [("7MB",)]
    assert running.execute("show log_statement") == [("ddl",)]
    assert running.pid() == before


def test_a_parameter_that_needs_it_restarts_the_server(running: LocalStack) -> None:
    before = running.pid()
    state = server.start(running.spec(parameters={"max_connections": "33"}))
    assert running.execute("show max_connections") == [("33",)]
    assert state.pid != before
    server.start(running.spec())
    assert running.execute("show max_connections") == [("200",)]


def test_a_change_that_a_killed_run_left_half_done_is_finished(running: LocalStack) -> None:
    spec = running.spec(parameters={"max_connections": "34"})
    configuration.write(spec, registry.Registry(running.key).server("main").port)
    server.start(spec)
    assert running.execute("show max_connections") == [("34",)]


def test_timescaledb_added_later_is_loaded_by_a_restart(running: LocalStack) -> None:
    server.start(running.spec(timescale=True))
    assert running.execute("show shared_preload_libraries") == [("timescaledb,pg_stat_statements",)]


def test_pgaudit_added_later_is_loaded_by_a_restart_and_stays_by_the_next(running: LocalStack) -> None:
    server.start(running.spec(pgaudit=True, parameters={"pgaudit.log": "all, -read"}))
    server.restart(running.key, "main")
    assert running.execute("show shared_preload_libraries") == [("pg_stat_statements,pgaudit",)]
    assert running.execute("show pgaudit.log") == [("all, -read",)]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"shared_bufers": "1GB"}, 'unrecognized configuration parameter "shared_bufers"'),
        ({"work_mem": "4XB"}, 'invalid value for parameter "work_mem": "4XB"'),
        ({"max_connections": "0"}, '0 is outside the valid range for parameter "max_connections" (1 .. 262143)'),
        ({"port": "5433"}, "the parameter port cannot be set (set `port` of the server in its place)"),
        ({"SSL": "off"}, "the parameter ssl cannot be set"),
        ({"wal_level": "minimal"}, "backups need `replica` or `logical`"),
        ({"timescaledb.max_background_workers": "1"}, "the server does not load timescaledb"),
        ({"x = 1\ninclude": "y"}, "that is not a parameter's name"),
        ({"work_mem": "4MB'\nfsync = 'off"}, 'invalid value for parameter "work_mem"'),
    ],
)
def test_a_wrong_parameter_is_refused_by_name_and_nothing_changes(
    running: LocalStack, parameters: dict, words: str
) -> None:
    conf = running.spec().directory / "pgdata/keelson.conf"
    before = conf.read_text()
    with pytest.raises(SettingsError) as refused:
        server.start(running.spec(parameters=parameters))
    assert words in str(refused.value)
    assert "main" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert conf.read_text() == before


def test_a_parameter_may_hold_quotes_and_backslashes(running: LocalStack) -> None:
    server.start(running.spec(parameters={"log_line_prefix": "it's %m \\ 'x' "}))
    assert running.execute("show log_line_prefix") == [("it's %m \\ 'x' ",)]


def test_alter_system_is_refused(running: LocalStack) -> None:
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        running.execute("alter system set port = 1")


def test_only_passwords_let_in_and_only_scram(running: LocalStack) -> None:
    port = registry.Registry(running.key).server("main").port
    for options in ("password=wrong", ""):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(f"host=127.0.0.1 port={port} user=postgres {options}")
    assert running.execute("select distinct auth_method from pg_hba_file_rules") == [("scram-sha-256",)]


def test_connections_are_encrypted_and_verified(running: LocalStack) -> None:
    assert running.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()") == [(True,)]
    port = registry.Registry(running.key).server("main").port
    password = registry.Registry(running.key).password("main", "postgres")
    by_name = psycopg.connect(
        host="localhost", port=port, user="postgres", password=password, dbname="postgres",
        sslmode="verify-full", sslrootcert=str(tls.authority_file(running.key)),
    )  # fmt: skip
    by_name.close()


def test_a_server_that_cannot_start_says_why_in_one_sentence_and_rests(running: LocalStack) -> None:
    server.stop(running.key, "main")
    control = running.spec().directory / "pgdata/global/pg_control"
    control.rename(control.with_suffix(".away"))
    with pytest.raises(ServerError) as refused:
        server.start(running.spec())
    assert "pg_control" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert [status.state for status in supervisor.status(running.key)] in (["STOPPED"], ["EXITED"])
    control.with_suffix(".away").rename(control)
    assert server.start(running.spec()).pid


def test_a_server_that_fails_at_start_is_paced(running: LocalStack) -> None:
    control = running.spec().directory / "pgdata/global/pg_control"
    control.rename(control.with_suffix(".away"))
    os.kill(running.pid(), signal.SIGKILL)
    starts = [wait_until(lambda n=n: _failed(running, n)) for n in (1, 2, 3)]
    assert starts[1] - starts[0] > 0.9
    assert starts[2] - starts[1] > 1.9
    assert [status.state for status in supervisor.status(running.key)] == ["FAILING"]
    control.with_suffix(".away").rename(control)
    wait_until(running.answering)


def _failed(local: LocalStack, times: int) -> float:
    status = supervisor.noted(local.key, "main")
    return status.started if status.failures == times and status.exit_status is not None else 0.0


def test_ids_of_other_processes_in_a_note_mislead_nobody(running: LocalStack) -> None:
    server.stop_stack(running.key)
    note = supervisor.note_file(running.key, "main")
    note.write_text(json.dumps({"runner": os.getpid(), "server": os.getpid(), "started": 1.0, "failures": 0}))
    assert running.pid() == 0
    server.start_stack(running.key)
    assert running.pid() not in (0, os.getpid())


def test_both_servers_idle_in_less_than_250_megabytes(local: LocalStack) -> None:
    local.up("main")
    local.up("timescale", timescale=True)
    with server.connect(local.key, "timescale") as connection:
        connection.execute("create extension timescaledb")
    assert sum(process.memory for process in processes.of_stack(local.key)) < 250_000_000


def test_a_killed_server_that_is_removed_leaves_no_shared_memory(running: LocalStack) -> None:
    spec = running.spec()
    key = (spec.directory / "pgdata/postmaster.pid").read_text().splitlines()[6].split()[0]
    assert key in Path("/proc/sysvipc/shm").read_text().split()
    os.kill(running.process("supervisor.supervisord").pid, signal.SIGSTOP)
    os.kill(running.process("runner.py").pid, signal.SIGKILL)
    running.end()
    data_directory.remove_data(spec.key, spec.stack_id, spec.name, spec.directory)
    assert key not in Path("/proc/sysvipc/shm").read_text().split()


def test_a_missing_data_directory_is_named(local: LocalStack) -> None:
    with pytest.raises(ServerError, match="the data of server main is missing"):
        server.start(local.spec())


def test_a_command_on_an_unknown_server_says_so(local: LocalStack) -> None:
    with pytest.raises(ServerError, match="has no server nowhere on this machine"):
        server.restart(local.key, "nowhere")
    with pytest.raises(ServerError, match="run `keelson up`"):
        server.start_stack(local.key)


def test_no_password_stands_in_a_command_line_or_a_log(running: LocalStack) -> None:
    password = registry.Registry(running.key).password("main", "postgres")
    assert len(password) >= 24
    assert not [process for process in processes.running() if password in process.command]
    for log in supervisor.log_file(running.key, "main").parent.iterdir():
        assert password not in log.read_text()
    assert password not in "".join(path.read_text() for path in supervisor.directory(running.key).rglob("*.conf"))


@pytest.mark.usefixtures("running")
def test_files_and_directories_are_the_users_alone(home: os.PathLike[str]) -> None:
    loose = {
        f"{path} {mode:o}"
        for name in ("state", "data", "run")
        for path in (home / name).rglob("*")
        if not path.is_socket() and (mode := path.lstat().st_mode & 0o777) & 0o077
    }
    assert loose == set()


def test_two_stacks_run_side_by_side(make_stack: object) -> None:
    first, second = make_stack("one-dev"), make_stack("two-dev")
    second.base_port = first.base_port
    ports = {first.up().port, second.up().port}
    assert len(ports) == 2
    assert first.execute("show cluster_name") == [("one-dev/main",)]
    assert second.execute("show cluster_name") == [("two-dev/main",)]
    server.stop_stack(first.key)
    assert second.answering()


def test_a_server_removed_and_made_again_is_a_new_one(running: LocalStack) -> None:
    running.execute("create table t as select 1")
    server.remove(running.key, "main")
    spec = running.spec()
    data_directory.remove_data(spec.key, spec.stack_id, spec.name, spec.directory)
    assert not spec.directory.exists()
    assert processes.of_stack(running.key) == []
    running.up()
    assert running.execute("select count(*) from pg_tables where tablename = 't'") == [(0,)]


def test_a_server_that_is_discarded_ends_at_once_and_loses_no_row(running: LocalStack) -> None:
    running.up("other")  # supervisord goes on
    running.execute("create table t as select 1 as a")
    runner = running.process("runner.py")
    server.discard(running.key, "main")
    assert processes.look(runner.pid) is None
    assert "received immediate shutdown request" in running.log()
    assert server.start(running.spec())
    assert running.execute("select a from t") == [(1,)]
    server.stop(running.key, "main")
    assert "received fast shutdown request" in running.log()


def test_a_process_taken_away_and_made_again_keeps_data_and_port(running: LocalStack) -> None:
    port = registry.Registry(running.key).server("main").port
    running.execute("create table t as select 1 as a")
    server.remove(running.key, "main")
    assert server.start(replace(running.spec(), preferred_port=port + 20)).port == port
    assert running.execute("select a from t") == [(1,)]

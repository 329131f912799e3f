from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keelson.errors import PlatformError, SettingsError
from keelson.local import processes, throwaway
from keelson.migrations import read_directory, scratch
from keelson.migrations.scratch import Origin
from keelson.postgres.catalog import connections, has_database, has_role
from tests.servers import Server

WAITS = """
import sys, time
from keelson.local import throwaway
with throwaway.running() as server:
    print(server.sockets, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "001_users.sql").write_text("CREATE TABLE users (id int PRIMARY KEY);")
    (tmp_path / "002_mail.sql").write_text("ALTER TABLE users ADD mail text;\nGRANT SELECT ON users TO tried_app;")
    return tmp_path


def test_a_private_server_has_what_a_service_has(folder: Path) -> None:
    began = time.monotonic()
    with scratch.private() as server:
        database = server.make(
            Origin(service="tried", extensions=("citext", "timescaledb"), roles=("tried_app", "guest"))
        )
        assert time.monotonic() - began < 20  # 1.5 s on a quiet machine
        database.replay(read_directory(folder))
        with database.as_migrator() as connection:
            owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'users'"
            assert connection.execute(owner).fetchone() == ("tried_owner",)
            extensions = connection.execute("SELECT extname FROM pg_extension ORDER BY 1").fetchall()
            assert {"citext", "timescaledb"} <= {name for (name,) in extensions}
        copy = server.copy(database)
        with copy.as_admin() as connection:
            connection.execute("SET ROLE tried_app; SELECT mail FROM users")
        with server.connect() as admin:
            assert has_role(admin, "guest")
            assert connections(admin, database.name) == 0


def test_one_server_serves_several_databases(folder: Path) -> None:
    with scratch.private() as server:
        plain = server.make(Origin(user="somebody"))
        with plain.as_migrator() as connection:
            assert connection.execute("SELECT current_user, current_database()").fetchone() == ("somebody", plain.name)
        services = [server.make(Origin(service=name)) for name in ("tried", "other")]
        services[0].replay(read_directory(folder))
        assert len({plain.name, *(database.name for database in services)}) == 3


def test_an_extension_that_is_missing_is_named() -> None:
    with scratch.private() as server, pytest.raises(SettingsError, match="'postgis'"):
        server.make(Origin(service="tried", extensions=("postgis",)))


def test_nothing_is_left_when_the_process_is_killed() -> None:
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        sockets = Path(process.stdout.readline().strip())
        children = [each.pid for each in processes.running() if str(sockets.parent) in each.command]
        assert children
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert processes.wait_until_gone(children, seconds=10)
    with throwaway.running():
        assert not sockets.parent.exists()


def test_another_server_is_left_as_it_was(server: Server, folder: Path) -> None:
    parameters = server.parameters()
    url = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**parameters)
    with scratch.elsewhere(url) as elsewhere:
        database = elsewhere.make(Origin(service="tried", roles=("guest",)))
        database.replay(read_directory(folder))
        with server.connect() as admin:
            assert has_database(admin, database.name)
            assert has_role(admin, "tried_owner")
    with server.connect() as admin:
        assert not has_database(admin, database.name)
        assert not has_role(admin, "tried_owner")
        assert not has_role(admin, "guest")


def test_roles_that_another_server_has_stay(server: Server, folder: Path) -> None:
    url = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**server.parameters())
    with server.connect() as admin:
        admin.execute("CREATE ROLE guest")
        try:
            with scratch.elsewhere(url) as elsewhere:
                elsewhere.make(Origin(service="tried", roles=("guest",))).replay(read_directory(folder))
            assert has_role(admin, "guest")
        finally:
            admin.execute("DROP ROLE guest")


def test_without_a_private_root_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(PlatformError, match=r"make setup.*--scratch"), scratch.private():
        pass

from __future__ import annotations

import select
import socket
import threading
import time
from urllib.parse import quote

import psycopg
import pytest

from keelson.errors import UnreachableError
from keelson.postgres.connection import connect
from keelson.postgres.roles import ensure_roles
from tests.servers import Server
from tests.services import Service

SECRET = "h0rse-battery"


def refused(parameters: dict[str, str] | str, deadline: float = 0.3) -> str:
    with pytest.raises(UnreachableError) as caught:
        connect(parameters, application_name="test", deadline=deadline)
    message = str(caught.value)
    assert SECRET not in message
    assert "\n" not in message
    assert caught.value.__cause__ is None
    return message


def test_a_session_survives_no_dead_client_and_waits_for_no_lock_for_long(server: Server) -> None:
    with server.connect() as connection:
        shown = [
            connection.execute(f"SHOW {name}").fetchone()[0]
            for name in ("client_connection_check_interval", "lock_timeout", "statement_timeout", "search_path")
        ]
    assert shown == ["1s", "5s", "0", "public"]
    assert connection.autocommit


def test_a_session_keeps_its_pins_when_database_and_role_say_otherwise(database: Service) -> None:
    with database.as_admin() as admin:
        admin.execute(f"ALTER DATABASE {database.name} SET search_path = evil, pg_catalog")
        admin.execute(f"ALTER ROLE {database.roles.migrator} SET lock_timeout = 0")
    with database.as_migrator() as connection:
        assert connection.execute("SHOW search_path").fetchone() == ("public",)
        assert connection.execute("SHOW lock_timeout").fetchone() == ("5s",)


def test_nobody_there_is_one_sentence_with_address_database_and_user() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        message = refused({"host": "127.0.0.1", "port": str(port), "user": "u", "dbname": "d", "password": SECRET})
    assert f"127.0.0.1:{port}, database 'd', as 'u'" in message
    assert "start the server" in message


def test_a_wrong_password_is_not_tried_again(server: Server) -> None:
    start = time.monotonic()
    message = refused(server.parameters(password=SECRET), deadline=20)
    assert time.monotonic() - start < 5
    assert "check the password" in message


def test_a_missing_database_is_named(server: Server) -> None:
    assert 'database "nowhere" does not exist' in refused(server.parameters("nowhere"))


def test_an_unreadable_connection_string_does_not_show_its_password() -> None:
    message = refused(f"postgresql://user:{SECRET}@host:port/database?nonsense={SECRET}")
    assert "postgresql://user@host:port/database" in message
    refused(f"host=x password='{SECRET}")


@pytest.mark.parametrize(
    "password",
    ["it's", 'a "b"', "per%20cent", "p@ss:w/rd", "back\\slash", "snow☃🎉", "two\nlines", "x", "y" * 1000, " edge "],
)
def test_odd_passwords_work_by_mapping_and_by_url(server: Server, service: Service, password: str) -> None:
    login = service.roles.migrator
    with server.connect() as admin:
        ensure_roles(admin, service.stack_id, service.name, dict.fromkeys(service.roles.logins, password))
    with server.connect() as admin:
        admin.execute(f"GRANT CONNECT ON DATABASE postgres TO {login}")
    server.connect("postgres", login, password).close()
    url = f"postgresql://{login}:{quote(password, safe='')}@127.0.0.1:{server.port}/postgres"
    connect(url, application_name="test").close()


def test_a_server_that_starts_is_waited_for(server: Server) -> None:
    """A socket that closes at once looks like a server that is starting; then the real one answers."""
    with socket.socket() as front:
        front.bind(("127.0.0.1", 0))
        front.listen()
        address = {**server.parameters(), "port": str(front.getsockname()[1])}
        attempts = []

        def slam() -> None:
            attempts.extend(front.accept()[0].close() for _ in range(3))
            with front.accept()[0] as client:
                _relay(client, server.port)

        thread = threading.Thread(target=slam)
        thread.start()
        with connect(address, application_name="test", deadline=10) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        thread.join(10)
    assert len(attempts) == 3


def _relay(client: socket.socket, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as upstream:
        while True:
            for source in select.select([client, upstream], [], [])[0]:
                if not (data := source.recv(65536)):
                    return
                (upstream if source is client else client).sendall(data)


def test_a_failed_statement_leaves_autocommit(server: Server) -> None:
    with server.connect() as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nowhere")
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE

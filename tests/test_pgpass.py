"""The file of passwords that libpq reads, on a real server."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from keelson import pgpass
from keelson.postgres.roles import ensure_roles
from tests.services import Service

ODD = [
    "it's",
    'a "b"',
    "per%20cent",
    "p@ss:w/rd",
    "back\\slash",
    "a\\:b",
    "snow☃🎉",
    "x",
    "y" * 1000,
    " edge ",
    "# $HOME",
]


@pytest.mark.parametrize("password", ODD, ids=range(len(ODD)))
def test_libpq_reads_odd_passwords_from_a_line(service: Service, tmp_path: Path, password: str) -> None:
    login, port = service.roles.migrator, str(service.server.port)
    with service.server.connect() as admin:
        ensure_roles(admin, service.stack_id, service.name, dict.fromkeys(service.roles.logins, password))
        admin.execute(f"GRANT CONNECT ON DATABASE postgres TO {login}")
    assert pgpass.is_writable(password)
    file = tmp_path / "pgpass"
    file.write_text(pgpass.line("127.0.0.1", port, "*", login, password), encoding="utf-8")
    file.chmod(0o600)
    address = f"host=127.0.0.1 port={port} dbname=postgres user={login} passfile={file}"
    with psycopg.connect(address) as session:
        assert session.execute("SELECT session_user").fetchone() == (login,)


@pytest.mark.parametrize("password", ["two\nlines", "two\r\nlines", "nul\0", "\x1b[31m", "tab\t"])
def test_what_no_line_can_hold_is_known(password: str) -> None:
    assert not pgpass.is_writable(password)

from __future__ import annotations

import os
import subprocess

import pytest

from keelson.errors import PlatformError
from keelson.local import client
from tests.servers import Server


def test_what_psql_calls_is_the_machines_own(server: Server):
    variables = {f"PG{name.upper()}": value for name, value in server.parameters().items() if name != "dbname"}
    done = subprocess.run(
        [*client.command("psql"), "--no-psqlrc", "-c", r"\! command -v apt-get"],
        env=os.environ | variables | {"PGDATABASE": "postgres"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith("/apt-get")  # the private root has none


def test_a_root_without_a_loader_is_told_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("keelson.local.root.find", lambda: type("Root", (), {"path": tmp_path}))
    with pytest.raises(PlatformError, match=r"has no loader.*make setup"):
        client.command("psql")

"""Logins that show a certificate in a cluster, on Pulumi's mocks."""

from __future__ import annotations

from pathlib import Path

from tests.components.test_kubernetes import AGENT_IMAGE, Json, make, read, write_project

SETTINGS: Json = {
    "environment": "dev",
    "servers": {"main": {}},
    "databases": ["ticks", "notes"],
    "redis": {},
    "pgadmin": {"enabled": False},
    "agent": {"enabled": False},
    "kubernetes": {"clients": {"desk": ["ticks", "notes"]}, "image": {"agent": AGENT_IMAGE}},
}


def test_its_server_issues_them_and_the_secret_of_the_application_follows(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"ticks": "main", "notes": "main"})
    with (root / "sql/ticks/database.yaml").open("a") as file:
        file.write("client_certificates: {app: with_password}\n")
    made = make(read(root, "certified", SETTINGS))
    assert made.inputs["main-files"]["settings"]["certified"] == ["ticks_app_a", "ticks_app_b"]
    assert made.inputs["desk-ticks"]["certified"] is True
    assert "certified" not in made.inputs["desk-notes"], "so that nothing changes for who asks for none"

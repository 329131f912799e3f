from __future__ import annotations

import os
import shutil
import subprocess
import sys

from keelson.project import find_project
from keelson.stack import Engine
from tools.machine.places import PROJECT


def test_a_purged_stack_leaves_neither_files_nor_a_name_but_its_settings(tmp_path, monkeypatch):
    for variable in ("STATE", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"XDG_{variable}_{'DIR' if variable == 'RUNTIME' else 'HOME'}", str(tmp_path / variable))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    project = tmp_path / "project"
    project.mkdir()
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml"):
        shutil.copy(PROJECT / name, project)
    Engine(find_project(project), "dev").prepare()
    kept = tmp_path / "DATA" / "keelson" / "backups" / "keelson-dev" / "auth"
    kept.mkdir(parents=True)

    def purge() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tools.purge", "dev"],
            cwd=project,
            env=os.environ | {"PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert f"removed {kept.parent}" in purge()
    assert [path for path in (tmp_path / "STATE").rglob("*") if "dev" in path.name and path.is_file()] == []
    assert not kept.exists()
    assert (project / "Pulumi.dev.yaml").read_text() == (PROJECT / "Pulumi.dev.yaml").read_text()
    assert purge() == ""


def test_backups_elsewhere_are_purged_too(tmp_path, monkeypatch):
    for variable in ("STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{variable}_HOME", str(tmp_path / variable))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    shutil.copy(PROJECT / "Pulumi.yaml", project)
    text = (PROJECT / "Pulumi.dev.yaml").read_text()
    (project / "Pulumi.dev.yaml").write_text(
        text.replace("config:\n", f"config:\n  keelson:backup: {{directory: {elsewhere}}}\n")
    )
    for key in ("keelson-dev", "keelson-other"):
        (elsewhere / key / "auth").mkdir(parents=True)
    command = [sys.executable, "-m", "tools.purge", "dev"]
    subprocess.run(command, cwd=project, env=os.environ | {"PYTHONPATH": str(PROJECT)}, check=True)
    assert [path.name for path in elsewhere.iterdir()] == ["keelson-other"]

from __future__ import annotations

import json
import tarfile

import pytest

from keelson.errors import PlatformError
from tools.machine import engine


@pytest.fixture(autouse=True)
def own_choice(monkeypatch, tmp_path):
    monkeypatch.setattr(engine, "CHOICE", tmp_path / "choice" / "engine.json")


@pytest.fixture
def pulumi(tmp_path):
    """Put a `pulumi` of some version into a directory, with or without its language host."""

    def install(version: str, *, language: bool = True):
        directory = tmp_path / "bin"
        directory.mkdir()
        for name in ("pulumi", "pulumi-language-python") if language else ("pulumi",):
            (directory / name).write_text(f"#!/bin/sh\necho {version}\n")
            (directory / name).chmod(0o755)
        return directory

    return install


def test_an_engine_on_path_is_taken(pulumi):
    directory = pulumi("v3.300.1")
    found = engine.existing(f"/nowhere:{directory}")
    assert found is not None
    assert found.program == directory / "pulumi"
    assert found.version == (3, 300, 1)
    assert found.usable


def test_its_version_is_asked_once(pulumi):
    directory = pulumi("v3.300.1")
    assert engine.existing(str(directory)) == engine.existing(str(directory))
    assert json.loads(engine.CHOICE.read_text())["version"] == [3, 300, 1]


def test_an_old_engine_is_left_alone(pulumi):
    found = engine.existing(str(pulumi("v3.40.0")))
    assert found is not None
    assert not found.usable


def test_an_engine_without_a_language_host_does_not_count(pulumi):
    assert engine.existing(str(pulumi("v3.300.0", language=False))) is None


def test_keelsons_own_engine_is_not_an_existing_one():
    assert engine.existing(str(engine.home() / "bin")) is None


@pytest.fixture
def releases(pulumi, tmp_path, monkeypatch):
    """Offer a release of an engine that says it is of some version."""
    monkeypatch.setenv("KEELSON_PULUMI_RELEASES", tmp_path.as_uri())
    monkeypatch.setattr("platform.machine", lambda: "x86_64")

    def offer(version: str) -> None:
        with tarfile.open(tmp_path / f"pulumi-{engine.VERSION}-linux-x64.tar.gz", "w:gz") as archive:
            archive.add(pulumi(version), "pulumi")

    return offer


def test_the_official_release_is_unpacked(releases, tmp_path):
    releases(engine.VERSION)
    (tmp_path / "target").mkdir()
    assert engine.download(tmp_path / "target")
    assert sorted(file.name for file in (tmp_path / "target").iterdir()) == ["pulumi", "pulumi-language-python"]


def test_a_release_of_another_version_is_refused(releases, tmp_path):
    releases("v2.0.0")
    (tmp_path / "target").mkdir()
    with pytest.raises(PlatformError, match="does not run as"):
        engine.download(tmp_path / "target")


def test_without_the_official_release_the_set_up_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KEELSON_PULUMI_RELEASES", (tmp_path / "nothing").as_uri())
    assert not engine.download(tmp_path)
    assert "out of reach" in capsys.readouterr().out


def test_an_engine_is_complete_only_with_every_file_in_full_size(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pulumi").write_text("engine")
    assert not engine.complete(tmp_path)
    (tmp_path / "engine.json").write_text(json.dumps({"how": "official", "files": {"pulumi": 6}}))
    assert engine.complete(tmp_path)
    (tmp_path / "bin" / "pulumi").write_text("eng")
    assert not engine.complete(tmp_path)


def test_the_stand_in_follows_the_checkout(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "engine.json").write_text(json.dumps({"how": "built", "files": {}}))
    (tmp_path / "bin" / "language_host.py").write_text("# an older one\n")
    engine.refresh_stand_in(tmp_path / "bin")
    assert (tmp_path / "bin" / "language_host.py").read_bytes() == (engine.MODULE / "language_host.py").read_bytes()
    assert (tmp_path / "bin" / "pulumi-language-python").stat().st_mode & 0o100


def test_an_official_engine_gets_no_stand_in(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "engine.json").write_text(json.dumps({"how": "official", "files": {}}))
    engine.refresh_stand_in(tmp_path / "bin")
    assert list((tmp_path / "bin").iterdir()) == []

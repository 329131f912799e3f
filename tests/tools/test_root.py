from __future__ import annotations

import json

import pytest

from tools.machine import root


@pytest.fixture
def small_root(tmp_path):
    """A root of two files."""
    (tmp_path / "etc").mkdir()
    for name in ("postgres", "redis"):
        (tmp_path / name).write_text(name)
    (tmp_path / root.MANIFEST).write_text(json.dumps({"format": 1, "files": {"postgres": 8, "redis": 5}}))
    return tmp_path


def test_a_whole_root_has_no_damage(small_root):
    assert root.damage(small_root) is None


def test_a_file_cut_short_is_damage(small_root):
    (small_root / "postgres").write_text("post")
    assert root.damage(small_root) == "postgres has 4 bytes in place of 8"


def test_a_missing_file_is_damage(small_root):
    (small_root / "redis").unlink()
    assert root.damage(small_root) == "redis is missing"


@pytest.mark.parametrize("manifest", [None, "", "{", "{}"])
def test_a_root_without_a_readable_manifest_is_damaged(small_root, manifest):
    (small_root / root.MANIFEST).unlink()
    if manifest is not None:
        (small_root / root.MANIFEST).write_text(manifest)
    assert root.damage(small_root) == "its manifest is missing"


def test_a_root_is_named_after_its_recipe_and_architecture():
    assert root.key(b"a", "amd64") != root.key(b"b", "amd64")
    assert root.key(b"a", "arm64").endswith("-arm64")


def test_the_machines_root_is_whole_and_current():
    made = root.ensure()
    assert made == root.ensure()
    assert (made.parent / "current").resolve() == made
    manifest = json.loads((made / root.MANIFEST).read_text())
    assert {"postgresql-17", "postgresql-17-timescaledb", "redis-server", "pgbackrest"} <= manifest["packages"].keys()
    assert manifest["users"]["postgres"]["uid"] == 999

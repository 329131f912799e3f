from __future__ import annotations

from pathlib import Path

import pytest

from keelson.migrations.lint import Place
from keelson.migrations.lint.place import as_input, from_input, place_of
from keelson.settings.stack import Stack, read_stack

COMPRESSED = (
    "hypertables:\n  market.bars: {compression: {after: 7 days}}\n  public.ticks: {retention: {after: 1 year}}\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for database, server in (("auth", "main"), ("market", "timescale")):
        (tmp_path / "sql" / database).mkdir(parents=True)
        (tmp_path / "sql" / database / "database.yaml").write_text(f"server: {server}\nlint: {{json-type: error}}\n")
    (tmp_path / "sql/market/timescale.yaml").write_text(COMPRESSED)
    return tmp_path


def stack(root: Path, environment: str, target: str, **more: str) -> Stack:
    config = {"keelson:environment": environment, "keelson:target": target} | {
        f"keelson:{key}": value for key, value in more.items()
    }
    return read_stack(config, "keelson", "a", root)


def test_an_environment_that_is_protected_makes_dangers_errors(root: Path) -> None:
    assert place_of(stack(root, "prod", "kubernetes"), "auth") == Place(protected=True, chosen={"json-type": "error"})
    assert not place_of(stack(root, "dev", "local"), "auth").protected
    assert place_of(stack(root, "dev", "local"), "auth", protected=True).protected


def test_the_edition_is_that_of_what_the_server_runs_from(root: Path) -> None:
    assert place_of(stack(root, "dev", "local"), "market").edition == "apache"
    official = place_of(stack(root, "dev", "docker"), "market")
    assert (official.edition, official.compressed) == ("community", ("market.bars",))
    own = place_of(stack(root, "dev", "docker", docker='{"image": {"timescaledb": "mine"}}'), "market")
    assert own.edition == ""


def test_a_place_travels_through_the_engine(root: Path) -> None:
    place = place_of(stack(root, "dev", "docker"), "market")
    assert from_input(as_input(place)) == place
    assert from_input({}) == Place(protected=False)

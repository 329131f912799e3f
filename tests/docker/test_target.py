from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from keelson.endpoint import Reference, resolve
from keelson.errors import UnreachableError
from tests.docker.small_stack import SmallStack, small_stack


@pytest.fixture(scope="module")
def stack(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallStack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with small_stack(docker_host) as made:
            yield made


def test_a_server_is_reached_by_its_published_port_and_verified(stack: SmallStack) -> None:
    endpoint = resolve(Reference(stack=stack.key, target=stack.place, server="main"))

    with endpoint.connect() as admin:
        assert admin.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
    assert endpoint.address.host == "127.0.0.1"
    assert endpoint.connection_parameters()["sslmode"] == "verify-full"
    assert not endpoint.address.fleeting


def test_parts_are_told_as_they_are(stack: SmallStack) -> None:
    found = {part.name: part for part in stack.target.parts(stack.key)}

    assert list(found) == ["main", "redis"]
    assert all(part.answering and part.running and part.port for part in found.values()), found
    assert [part.kind for part in found.values()] == ["server", "redis"]


def test_a_server_that_the_stack_does_not_have_is_refused(stack: SmallStack) -> None:
    with pytest.raises(UnreachableError, match=r"has no server other .*keelson up"):
        stack.target.locate(stack.key, "other")


def test_what_was_stopped_says_so_and_starts_again(stack: SmallStack) -> None:
    stack.target.stop(stack.key)
    assert {part.name: part.running for part in stack.target.parts(stack.key)} == {"main": False, "redis": False}
    assert stack.container("main").attrs["State"]["ExitCode"] == 0

    assert stack.target.start(stack.key) == ()
    assert all(part.answering for part in stack.target.parts(stack.key))
    with resolve(Reference(stack=stack.key, target=stack.place, server="main")).connect() as admin:
        assert isinstance(admin, psycopg.Connection)

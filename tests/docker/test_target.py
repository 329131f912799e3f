from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from keelson.docker import names
from keelson.endpoint import Reference, resolve
from keelson.errors import SettingsError, UnreachableError
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


def test_a_part_that_was_killed_tells_how_it_ended_and_is_started_again(stack: SmallStack) -> None:
    stack.container("redis").update(restart_policy={"Name": "no"})  # type: ignore[arg-type]
    stack.container("redis").kill()
    try:
        [redis] = [part for part in stack.target.parts(stack.key) if part.name == "redis"]
        assert not redis.running
        killed = "it was killed by somebody, or for want of memory"
        assert redis.detail == f"exited with status 137, {killed}; run `keelson start redis`"
    finally:
        stack.container("redis").update(restart_policy={"Name": "unless-stopped"})  # type: ignore[arg-type]
    stack.target.start(stack.key, ["redis"])
    assert all(part.answering for part in stack.target.parts(stack.key))


def test_a_frozen_part_is_told_and_woken(stack: SmallStack) -> None:
    stack.container("redis").pause()
    [redis] = [part for part in stack.target.parts(stack.key) if part.name == "redis"]
    assert redis.detail == "redis is paused; run `keelson start redis`"

    stack.target.start(stack.key)
    assert all(part.answering for part in stack.target.parts(stack.key))


def test_a_part_that_wanted_too_much_memory_says_so(stack: SmallStack) -> None:
    image = stack.container("toolbox").attrs["Config"]["Image"]
    hungry = stack.client.containers.run(
        image,
        ["python3", "-c", "bytearray(10**9)"],
        name=f"{stack.key}-hungry",
        labels=names.labels(stack.key, "hungry"),
        network_mode="none",
        mem_limit="32m",
        memswap_limit="32m",
        detach=True,
    )
    try:
        hungry.wait()
        [part] = [part for part in stack.target.parts(stack.key) if part.name == "hungry"]
        heard = "it was killed for want of memory, so give it more (`memory` in the settings)"
        missed = "it was killed by somebody, or for want of memory"  # a busy daemon may not hear why
        assert (
            part.detail
            == f"exited with status 137, {heard if 'give it' in part.detail else missed}; run `keelson start hungry`"
        )
    finally:
        hungry.remove(force=True)


def test_what_was_removed_by_hand_is_told_with_the_next_step(docker_host: str) -> None:
    with small_stack(docker_host, ("redis",)) as stack:
        redis = stack.container("redis")
        redis.stop(timeout=1)
        network = stack.client.networks.get(names.ports_network(stack.key))
        network.disconnect(redis, force=True)
        network.connect(redis)
        network.remove()

        [said] = stack.target.start(stack.key)

        assert said == (
            "redis cannot be started: its network was removed; "
            f"run `docker rm {stack.key}-redis` and `keelson up -- --refresh`"
        )
        redis.remove()
        [part] = stack.target.parts(stack.key)
        assert (part.kind, part.running) == ("redis", False)
        assert part.detail == "its container is missing; run `keelson up -- --refresh`"


def test_the_log_is_what_the_container_wrote(stack: SmallStack, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    stack.target.show_log(stack.key, "main", 5, follow=False)
    assert 0 < len(capfdbinary.readouterr().out.splitlines()) <= 5

    with pytest.raises(SettingsError, match=r"has no part 'nothing'; it has .*main"):
        stack.target.show_log(stack.key, "nothing", 5, follow=False)


def test_certificates_are_known_from_outside(stack: SmallStack) -> None:
    [found, authority] = stack.target.certificates(stack.key)
    assert authority.server == "authority"
    assert found.server == "main"
    assert not found.due_for_renewal(datetime.now(UTC))


def test_a_part_that_ends_again_and_again_keeps_nobody_waiting(stack: SmallStack) -> None:
    image = stack.container("toolbox").attrs["Config"]["Image"]
    failing = stack.client.containers.run(
        image,
        ["false"],
        name=f"{stack.key}-failing",
        labels=names.labels(stack.key, "failing"),
        network_mode="none",
        restart_policy={"Name": "always"},
        detach=True,
    )
    try:
        [said] = stack.target.start(stack.key, ["failing"])
        assert said.startswith("failing does not answer")
        assert said.endswith("see `keelson logs failing`")
    finally:
        failing.remove(force=True)

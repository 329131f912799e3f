"""A Redis of three instances in a real cluster: what its users see when the master is lost, and what is kept whatever happens.

One stack serves all tests, which change it in turn.
"""

from __future__ import annotations

import contextlib
import itertools
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import redis

from keelson.containers import state
from keelson.containers.target import ContainerTarget
from keelson.kubernetes import forward, names
from keelson.kubernetes.replicas import Instance, addresses, instances, proxy
from keelson.target import target
from tests.stack.certificates import shorten_in_state
from tests.stack.harness import wait_until
from tests.stack.kubernetes_stack import KubernetesStack
from tests.stack.test_backups import listed
from tests.stack.test_kubernetes import _unchanged, _well

pytestmark = [pytest.mark.kubernetes, pytest.mark.thorough, pytest.mark.timeout(900)]
HA = {"redis": {"ha": True, "maxmemory": "32mb"}}
KILLS = 3
PACE = 0.002  # seconds between two writes
LONGEST = 15.0  # seconds without writes, on a machine that does much else


@dataclass
class Redis:
    """The Redis of a stack."""

    stack: KubernetesStack

    def client(self, user: str = "notes_app", instance: Instance | None = None) -> redis.Redis:
        """Connect as an application does, or to one instance."""
        with self.stack.here():
            port = (
                forward.port(self.stack.place, self.stack.key, forward.pod(instance.pod), 6379)
                if instance
                else self.stack.port("redis")
            )
        password = self.stack.passwords()[f"redis/{user}"]
        login = {"username": user, "password": password, "socket_timeout": 3, "decode_responses": True}
        return redis.Redis(port=port, **login, **self.verified)

    @property
    def verified(self) -> dict[str, Any]:
        """By what a client verifies it, where it is encrypted: as the stack's state says, whether it answers now or not."""
        with self.stack.here():
            record = state.ask(self.stack.place, self.stack.key, "records")["daemons"]["redis"]
            place = target(self.stack.place)
            assert isinstance(place, ContainerTarget)
            root = place.root_certificate(self.stack.key, record)
        return {"ssl": True, "ssl_ca_certs": str(root)} if root else {}

    @property
    def instances(self) -> tuple[Instance, ...]:
        return instances("redis", 3)

    @property
    def master(self) -> Instance:
        """The instance that clients come to."""
        with self.client("admin") as client:
            own = client.config_get("replica-announce-ip")["replica-announce-ip"]
        host = addresses(self.stack.cluster, "redis", 3)[own]
        return next(each for each in self.instances if each.host == host)

    def role(self, instance: Instance) -> str:
        with self.client("admin", instance) as client:
            found = client.info("replication")
        return "master" if found["role"] == "master" else f"replica, {found['master_link_status']}"

    def roles(self) -> list[str]:
        with contextlib.suppress(redis.RedisError):
            return sorted(self.role(each) for each in self.instances)
        return []

    def await_all(self) -> None:
        """Wait until there is one master, and the others follow."""
        wait_until(lambda: self.roles() == ["master", "replica, up", "replica, up"], "all work together", 120)

    def delete(self, *pods: str) -> None:
        """Delete pods at once, as a node does that fails."""
        for pod in pods:
            self.stack.cluster.delete(self.stack.cluster.at("pods", pod), gracePeriodSeconds=0)


@dataclass
class Writer:
    """Writes as an application does; notes what was acknowledged, and what a replica had by then too."""

    of: Redis
    name: str
    acknowledged: list[tuple[float, int]] = field(default_factory=list)
    replicated: list[int] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with self.of.client() as client:
            for number in range(1_000_000):
                if self.ended.wait(PACE):
                    return
                with contextlib.suppress(redis.RedisError):
                    client.set(f"notes:{self.name}:{number}", number)
                    self.acknowledged.append((time.monotonic(), number))
                    if number % 3 == 0 and client.wait(1, 1000):
                        self.replicated.append(number)

    def pause(self) -> float:
        """Return the longest time without an acknowledged write."""
        moments = [moment for moment, _ in self.acknowledged]
        return max(after - before for before, after in itertools.pairwise(moments))

    def lost(self, numbers: list[int]) -> int:
        with self.of.client() as client:
            pipe = client.pipeline(transaction=False)
            for number in numbers:
                pipe.exists(f"notes:{self.name}:{number}")
            return pipe.execute().count(0)


@contextlib.contextmanager
def writing(of: Redis, name: str) -> Iterator[Writer]:
    writer = Writer(of, name)
    thread = threading.Thread(target=writer.run)
    thread.start()
    try:
        wait_until(lambda: len(writer.acknowledged) > 20, "keys are written", 60)
        yield writer
    finally:
        writer.ended.set()
        thread.join(60)


@pytest.fixture(scope="module")
def of(tmp_path_factory: pytest.TempPathFactory, kubeconfig: Path, docker_host: str) -> Iterator[Redis]:
    """A Redis of three instances with a key, up."""
    made = KubernetesStack(tmp_path_factory.mktemp("redis"), kubeconfig, docker_host, redis=HA)
    try:
        made.write_service("notes")
        made.keelson("up")
        with Redis(made).client() as client:
            client.set("notes:kept", "from the start")
        yield Redis(made)
    finally:
        made.end()


@pytest.fixture(autouse=True)
def kept(of: Redis) -> Iterator[None]:
    """After each test the key is there, for the application, and all work together."""
    yield
    of.await_all()
    with of.client() as client:
        assert client.get("notes:kept") == "from the start"


@pytest.mark.long
def test_one_in_clear_is_encrypted_by_an_update_and_loses_nothing(of: Redis) -> None:
    of.stack.write_settings(redis={"redis": HA["redis"] | {"tls": False}})
    of.stack.keelson("up", timeout=500)
    assert not of.verified
    of.await_all()
    of.stack.write_settings(redis=HA)
    with writing(of, "encrypted") as writer:
        of.stack.keelson("up", timeout=500)
    assert of.verified
    of.await_all()
    assert writer.lost([number for _, number in writer.acknowledged]) == 0
    with of.client() as client:
        assert client.ping()
        port = client.connection_pool.connection_kwargs["port"]
        with redis.Redis(port=port, socket_timeout=3) as plain, pytest.raises(redis.ConnectionError):
            plain.ping()
    for each in of.instances:
        with of.client("admin", each) as client:
            assert client.config_get("tls-replication", "port") == {"tls-replication": "yes", "port": "0"}


@pytest.mark.long
def test_a_renewed_certificate_is_taken_by_all_instances_and_sentinels_while_writes_go_on(of: Redis) -> None:
    stack = of.stack
    shorten_in_state(stack, "redis")
    stack.pulumi("refresh", "--yes")  # which reads what an `up` would have written down eighty days ago
    assert "redis: the certificate of redis ends on" in stack.keelson("preview").stdout
    before, pods = _shown(of), [stack.uid(each.part) for each in of.instances]
    with writing(of, "renewed") as writer, of.client() as idle:
        assert idle.ping()
        stack.keelson("up", timeout=500)
        assert idle.ping()
    assert writer.pause() < LONGEST
    shown = _shown(of)
    assert len({*shown}) == 1, "all show the same one"
    assert not {*shown} & {*before}
    assert pods == [stack.uid(each.part) for each in of.instances]


def _shown(of: Redis) -> list[str]:
    """The certificates by which instances and sentinels prove themselves to new clients."""
    with of.stack.here():
        ports = [
            forward.port(of.stack.place, of.stack.key, forward.pod(each.pod), port)
            for each in of.instances
            for port in (6379, 26379)
        ]
        return [ssl.get_server_certificate((forward.LOOPBACK, port), timeout=10) for port in ports]


def test_all_works_through_one_name(of: Redis) -> None:
    stack = of.stack
    assert _unchanged(stack.keelson("up").stdout)
    assert stack.keelson("redis-cli", "notes", "--", "get", "notes:kept").stdout == "from the start\n"
    assert "notes_app" in stack.keelson("env", "notes", "--from", "cluster").stdout
    assert stack.keelson("doctor").returncode == 0
    stack.run_job("redis-backup")
    (backup,) = listed(stack, "redis")
    stack.keelson("backup", "verify", "redis")
    with of.client("admin") as client:
        client.flushall()
    stack.keelson("restore", "redis", "--backup", backup["id"], "--into", "redis")


def test_writers_go_on_after_the_master_was_killed_and_a_replica_had_what_they_waited_for(of: Redis) -> None:
    pauses, lost = [], 0
    for number in range(KILLS):
        master = of.master
        with writing(of, f"killed{number}") as writer:
            of.delete(master.pod)
            began = time.monotonic()
            wait_until(
                lambda began=began, writer=writer: (
                    writer.acknowledged[-1][0] > began + 2 and time.monotonic() > began + 6
                ),
                "it is written again",
                90,
            )
        of.await_all()
        pauses.append(writer.pause())
        missing = writer.lost([each for _, each in writer.acknowledged])
        lost += missing
        assert writer.lost(writer.replicated) == 0
        print(f"{pauses[-1]:.1f} s without writes, {missing} of {len(writer.acknowledged)} acknowledged writes lost")  # noqa: T201 - a figure
    print(f"median {median(pauses):.1f} s, {lost} lost")  # noqa: T201 - likewise
    assert median(pauses) < LONGEST


def test_a_master_that_is_drained_hands_over_and_loses_nothing(of: Redis) -> None:
    master = of.master
    with writing(of, "drained") as writer:
        of.stack.cluster.delete(of.stack.cluster.at("pods", master.pod))
        wait_until(lambda: of.master != master, "another one is the master", 60)
        began = len(writer.acknowledged)
        wait_until(lambda: len(writer.acknowledged) > began + 20, "it is written again", 60)
    print(f"drained: {writer.pause():.1f} s without writes, {len(writer.acknowledged)} acknowledged")  # noqa: T201 - likewise
    of.await_all()
    assert writer.lost([each for _, each in writer.acknowledged]) == 0


def test_all_pods_at_once_come_back_with_all_keys_and_one_master(of: Redis) -> None:
    with of.client() as client:
        client.mset({f"notes:many:{number}": number for number in range(1000)})
    of.delete(
        *(
            pod["metadata"]["name"]
            for part in ("redis", "redis-1", "redis-2", proxy("redis"))
            for pod in of.stack.pods(part)
        )
    )
    of.await_all()
    with of.client() as client:
        assert client.exists(*(f"notes:many:{number}" for number in range(1000))) == 1000


def test_a_master_whose_volume_is_empty_gets_data_and_users_from_the_others(of: Redis) -> None:
    master = of.master
    _run(of, master, "rm -rf /data/*")
    of.delete(master.pod)
    of.await_all()
    with of.client("notes_app", master) as client:
        assert client.get("notes:kept") == "from the start"


def _run(of: Redis, instance: Instance, script: str) -> None:
    from keelson.kubernetes.streams import ExecStream  # noqa: PLC0415

    pod = of.stack.item("pods", instance.pod)
    with contextlib.closing(ExecStream(of.stack.cluster, pod, ["sh", "-c", script])) as stream:
        stream.end_input()
        assert not b"".join(iter(stream.read, b""))


def test_a_missing_replica_is_told_of_and_started_again(of: Redis) -> None:
    gone = next(each for each in of.instances if each != of.master)
    path = of.stack.cluster.at("statefulsets", gone.workload, api="apps/v1")
    of.stack.cluster.patch(f"{path}/scale", {"spec": {"replicas": 0}})
    missed = f"{gone.host} does not follow the master"
    wait_until(lambda: missed in _status(of), lambda: f"it is told of in: {_status(of)}", 120)
    of.stack.keelson("start", "redis")
    wait_until(lambda: _well(of.stack), "the stack is well", 120)


def _status(of: Redis) -> str:
    done = of.stack.keelson("status", check=False)
    return done.stdout + done.stderr


@pytest.mark.long
def test_lost_passwords_are_made_anew_for_all_instances(of: Redis) -> None:
    before = of.stack.passwords()
    of.stack.delete("secrets", names.STATE)
    of.stack.keelson("up")
    assert before.keys() == of.stack.passwords().keys()


@pytest.mark.long
def test_fewer_and_more_instances_keep_all_keys(of: Redis) -> None:
    stack = of.stack
    with contextlib.suppress(redis.RedisError), of.client("admin") as client:
        client.execute_command("SAVE")
    stack.write_settings(redis={"redis": {"maxmemory": "32mb"}})
    stack.keelson("up")
    with of.client() as client:
        assert client.get("notes:kept") == "from the start"
        client.set("notes:alone", "written to the only one")
    wait_until(lambda: not _beside_the_only_one(stack), "what stood beside it is gone", 60)
    stack.write_settings(redis=HA)
    stack.keelson("up")
    with of.client() as client:
        assert client.get("notes:alone") == "written to the only one"


def _beside_the_only_one(stack: KubernetesStack) -> list[str]:
    kept = ("secrets/", "cronjobs/", "jobs/", "persistentvolumeclaims/redis-data")
    return [
        each
        for each in stack.things()
        if "redis-" in each and not each.startswith((*kept, "pods/redis-0", "pods/redis-backup"))
    ]

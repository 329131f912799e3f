"""Three instances of a server by CloudNativePG, as the tests make them by hand, and who writes into them."""

from __future__ import annotations

import base64
import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psycopg
import yaml

from keelson.kubernetes import forward, names
from keelson.kubernetes.cluster import Json
from keelson.kubernetes.target import KubernetesTarget
from keelson.local.registry import ServerRecord
from tests.kubernetes.ground import Ground, await_until
from tools.kubernetes import operator

MANIFEST = Path(__file__).with_name("files") / "ha.yaml"
NAME = "main"
KINDS = tuple(f"{NAME}-{kind}" for kind in ("rw", "ro", "r"))
KNOWN_AS = (*KINDS, f"{NAME}-pooler")
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
SECONDS_TO_COME_UP, SECONDS_TO_FAIL_OVER = 300, 60
WRITERS = 8
PAUSE = WRITERS / 150  # seconds between two writes of one of them


@dataclass(frozen=True)
class Instances:
    """Three instances, and how they are reached."""

    ground: Ground
    password: str
    authority: Path

    @property
    def path(self) -> str:
        return self.ground.cluster.at("clusters", NAME, api=operator.API)

    @property
    def status(self) -> Json:
        found = self.ground.cluster.get(self.path)
        assert found
        status: Json = found.get("status", {})
        return status

    def healthy(self) -> bool:
        status = self.status
        return status.get("phase") == "Cluster in healthy state" and status.get("readyInstances") == 3

    def connect(self, service: str = KINDS[0], sslmode: str = "verify-full") -> psycopg.Connection:
        port = forward.port(self.ground.place, self.ground.key, service, 5432)
        return psycopg.connect(
            host=service, hostaddr=forward.LOOPBACK, port=port, user="postgres", password=self.password, dbname="postgres",
            sslmode=sslmode, sslrootcert=str(self.authority), connect_timeout=2, autocommit=True,
        )  # fmt: skip

    def kill(self) -> str:
        """End the primary at once; return its name."""
        primary = str(self.status["currentPrimary"])
        self.ground.cluster.delete(self.ground.cluster.at("pods", primary), gracePeriodSeconds=0)
        return primary


@dataclass
class Writers:
    """Write rows, and know when each was acknowledged."""

    instances: Instances
    numbers: Iterator[int] = field(default_factory=itertools.count)
    acknowledged: dict[int, float] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def write(self) -> None:
        while not self.over.wait(PAUSE):
            with contextlib.suppress(psycopg.Error), self.instances.connect() as connection:
                self._write(connection)

    def _write(self, connection: psycopg.Connection) -> None:
        while not self.over.wait(PAUSE):
            number = next(self.numbers)
            connection.execute("INSERT INTO written VALUES (%s)", (number,))
            self.acknowledged[number] = time.monotonic()

    def go_on(self, seconds: float) -> None:
        """Wait until a row has been acknowledged that much later than now."""
        until = time.monotonic() + seconds
        await_until(lambda: max([*self.acknowledged.values()], default=0.0) > until, SECONDS_TO_FAIL_OVER)

    def longest_pause(self, since: float) -> float:
        moments = sorted(moment for moment in [*self.acknowledged.values()] if moment > since)
        return max(after - before for before, after in itertools.pairwise(moments))


@contextmanager
def three_instances(place: Ground, image: str) -> Iterator[Instances]:
    """Give three instances in a namespace that admits nothing unneeded, with password and certificate of the stack's state."""
    found = place.cluster
    found.patch(f"/api/v1/namespaces/{found.namespace}", {"metadata": {"labels": RESTRICTED}})
    stack_id = place.ask("register", environment="dev")
    password = place.ask("ensure_password", server=NAME, role="postgres")
    record = ServerRecord(NAME, 5432, host=KINDS[0], readonly_host=KINDS[1])
    place.ask("record_server", stack_id=stack_id, record=asdict(record))
    texts = place.ask("certificate", server=NAME, names=[*KNOWN_AS])
    make_secret(place, "main-superuser", "kubernetes.io/basic-auth", {"username": "postgres", "password": password})
    files = {"tls.crt": "server.crt", "tls.key": "server.key", "ca.crt": "ca.crt"}
    make_secret(place, "main-tls", "kubernetes.io/tls", {name: texts[file] for name, file in files.items()})
    wanted = yaml.safe_load(MANIFEST.read_text())
    labels = names.labels(place.key, NAME)
    wanted["metadata"]["labels"], wanted["spec"]["inheritedMetadata"] = labels, {"labels": labels}
    wanted["spec"]["imageName"] = image
    found.create(found.at("clusters", api=operator.API), wanted)
    made = Instances(place, password, KubernetesTarget(place.place)._authority(place.key))
    try:
        await_until(made.healthy, SECONDS_TO_COME_UP)
        yield made
    finally:
        found.delete(made.path)


def make_secret(place: Ground, name: str, kind: str, texts: dict[str, str]) -> None:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    metadata = {"name": name, "labels": {"cnpg.io/reload": "true"}}
    place.cluster.create(place.cluster.at("secrets"), {"metadata": metadata, "type": kind, "data": data})


@contextmanager
def writing(instances: Instances) -> Iterator[Writers]:
    writers = Writers(instances)
    threads = [threading.Thread(target=writers.write) for _ in range(WRITERS)]
    try:
        for thread in threads:
            thread.start()
        yield writers
    finally:
        writers.over.set()
        for thread in threads:
            thread.join()

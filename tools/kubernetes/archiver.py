"""The Barman Cloud Plugin on a test cluster, by the manifest that comes with it: CloudNativePG archives servers in buckets through it.

Its makers have cert-manager issue its certificates; here they are made with it. The image of what runs beside each server is made from the
private root, as that image is Python's.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keelson.docker.images import archive, building, recipes
from keelson.docker.images.archive import Member
from keelson.docker.images.packages import PLACE, Packages
from keelson.docker.images.recipes import Recipe
from keelson.errors import PlatformError
from keelson.local import root
from tools.kubernetes import cluster, images, place, programs
from tools.kubernetes.api import Api, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILES = Path(__file__).with_name("barman")
WANTED, OVERRIDES, LOCK = _FILES / "barman.in", _FILES / "barman.overrides", _FILES / "barman.lock"
NAMESPACE = "cnpg-system"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/barman-cloud"
DEADLINE = 120.0  # seconds for it to answer
POLL = 0.2
LIFE = dt.timedelta(days=365)
_PROGRAMS = (
    "backup",
    "backup-delete",
    "backup-list",
    "backup-show",
    "check-wal-archive",
    "restore",
    "wal-archive",
    "wal-restore",
)
_JOINED = {"wal-archive": "walarchive", "wal-restore": "walrestore"}  # where a module's name is no program's


def install(directory: Path, host: str) -> None:
    """Install the plugin on a cluster that has the operator, and wait until it answers; once more does no harm.

    Args:
        directory: of the cluster.
        host: the Docker daemon that makes the image of what runs beside servers.

    Raises:
        PlatformError: no such cluster runs there, the plugin was not built, or it does not answer.
    """
    programs.require("archiver")
    cluster.load(directory, [images.archive("archiver")])
    beside = _make_beside(host)
    with subprocess.Popen(["docker", "--host", host, "save", beside], stdout=subprocess.PIPE) as saving:
        assert saving.stdout  # noqa: S101
        cluster.load(directory, [Path(f"/dev/fd/{saving.stdout.fileno()}")])
    api = Api(place.read(directory.resolve()).kubeconfig)
    try:
        for thing in _manifest(beside):
            if not (thing.get("type") == "kubernetes.io/tls" and _is_there(api, thing)):
                api.apply(thing)
    except RefusedError as fault:
        msg = f"the test cluster in {directory} refuses the plugin: {fault}"
        raise PlatformError(msg) from None
    _await(api, directory)


def _manifest(beside: str) -> Iterator[dict[str, Any]]:
    """Return the objects of the manifest as published, but for the image beside servers and the certificates."""
    for thing in filter(None, yaml.safe_load_all(programs.archiver_manifest().read_text())):
        if thing["kind"] == "Secret":
            yield {key: value for key, value in thing.items() if key != "data"} | {
                "stringData": {"SIDECAR_IMAGE": beside}
            }
        elif thing["kind"] == "Certificate":
            yield _certificate(thing["spec"])
        elif thing["kind"] != "Issuer":
            yield thing


def _certificate(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the Secret that cert-manager's self-signing issuer would make."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted["commonName"])])
    now = dt.datetime.now(dt.UTC)
    known_as = x509.SubjectAlternativeName(
        [x509.DNSName(each) for each in wanted.get("dnsNames", [wanted["commonName"]])]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + LIFE)
        .add_extension(known_as, critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": wanted["secretName"], "namespace": NAMESPACE},
        "type": "kubernetes.io/tls",
        "stringData": {
            "tls.crt": made.public_bytes(serialization.Encoding.PEM).decode(),
            "tls.key": key.private_bytes(serialization.Encoding.PEM, *plain).decode(),
        },
    }


def _make_beside(host: str) -> str:
    """Make the image of what runs beside a server, where the daemon lacks it; return its reference."""
    recipe = _beside()
    with closing(docker.DockerClient(base_url=host, version="auto", timeout=60)) as client:
        building.build(client, [recipe])
    return recipe.reference


def _beside() -> Recipe:
    """Return an image of the private root with barman's programs and the plugin's own, as `containers/Dockerfile.sidecar` of its makers has them."""
    packages, manager = Packages("barman", LOCK), programs.path("archiver")

    def members() -> Iterator[Member]:
        yield from archive.tree(packages.ensure(root.find()), PLACE)
        yield from (_program(name) for name in _PROGRAMS)
        yield Member("manager", 0o755, content=manager)

    instructions = ("ENV PYTHONDONTWRITEBYTECODE=1", "USER 26:26", 'ENTRYPOINT ["/manager"]')
    content = f"{packages.key} {programs.named('archiver').version} {manager.stat().st_size} {archive.digest(map(_program, _PROGRAMS))}"
    return Recipe("barman-sidecar", recipes.find("redis").parent, instructions, content, members)


def _program(name: str) -> Member:
    module = f"barman.clients.cloud_{_JOINED.get(name, name.replace('-', '_'))}"
    text = f"#!/usr/bin/python3 -I\nfrom {module} import main\n\nmain()\n"
    return Member(f"usr/local/bin/barman-cloud-{name}", 0o755, content=text.encode())


def _is_there(api: Api, thing: dict[str, Any]) -> bool:
    named = thing["metadata"]
    listed = api.ask("GET", f"/api/v1/namespaces/{named['namespace']}/secrets")
    return any(each["metadata"]["name"] == named["name"] for each in listed["items"])


def _await(api: Api, directory: Path) -> None:
    until = time.monotonic() + DEADLINE
    while not (api.ask("GET", DEPLOYMENT).get("status") or {}).get("readyReplicas"):
        if time.monotonic() > until:
            msg = f"the plugin in {directory} did not answer within {DEADLINE:.0f} s"
            raise PlatformError(msg)
        time.sleep(POLL)

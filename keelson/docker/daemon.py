"""Which Docker daemon is meant, and the connection to it.

`docker` stands for the one that the docker command would ask (DOCKER_HOST, DOCKER_CONTEXT, the current context), `docker@far` for a
context or an address, such as `docker@ssh://user@host`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keelson.errors import PlatformError, SettingsError
from keelson.reasons import reason

if TYPE_CHECKING:
    import docker
    from docker.tls import TLSConfig

SECONDS = 60  # until a daemon must have answered
LEAST_VERSION = "1.41"  # of the API: Docker Engine 20.10
USUAL_CONTEXT, USUAL_HOST = "default", "unix:///var/run/docker.sock"
LOCAL_SCHEMES = ("unix://", "npipe://")


@dataclass(frozen=True)
class Daemon:
    """Where a daemon answers; `certificates` is a directory with ca.pem, cert.pem and key.pem."""

    host: str
    certificates: Path | None = None

    @property
    def local(self) -> bool:
        """Whether its machine is this one, as far as its address tells."""
        return self.host.startswith(LOCAL_SCHEMES)


def find(place: str) -> Daemon:
    """Return the daemon that `place` means; raises SettingsError where there is no such context."""
    chosen = place.partition("@")[2]
    if "://" in chosen:
        return Daemon(chosen, _certificates())
    if not chosen and os.environ.get("DOCKER_HOST"):
        return Daemon(os.environ["DOCKER_HOST"], _certificates())
    return _of_context(chosen or os.environ.get("DOCKER_CONTEXT") or None)


@functools.cache
def connect(place: str) -> docker.DockerClient:
    """Return the connection to a daemon, made at its first use; raises PlatformError where it does not answer."""
    import docker  # noqa: PLC0415 - slow, and most commands do without
    from docker.errors import DockerException  # noqa: PLC0415

    from keelson.docker import ssh  # noqa: PLC0415

    found = find(place)
    by_ssh = found.host.startswith("ssh://")
    try:
        _knock(found.host)
        client = docker.DockerClient(
            base_url=ssh.listen(found.host) if by_ssh else found.host,
            tls=_tls(found),
            timeout=SECONDS,
            version=LEAST_VERSION,  # with a version it asks nothing yet
            max_pool_size=32,
        )
        client.api.trust_env = False  # REQUESTS_CA_BUNDLE would count more than the daemon's own authority
        try:
            client.api._version = client.version(api_version=False)["ApiVersion"]  # type: ignore[attr-defined]  # noqa: SLF001
        except BaseException:
            client.close()
            raise
    except (DockerException, OSError) as fault:  # OSError is also what requests raises
        why = (by_ssh and ssh.said(found.host)) or reason(fault)
        msg = (
            f"no Docker daemon answers at {found.host} ({why}); start it, or name another one in keelson:docker.context"
        )
        raise PlatformError(msg) from None
    return client


def _knock(host: str) -> None:
    """Raise OSError where nothing listens at a socket of this machine; the client would not close what it opened."""
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as tried:
            tried.connect(host.removeprefix("unix://"))


def _tls(found: Daemon) -> TLSConfig | bool:
    from docker.tls import TLSConfig  # noqa: PLC0415

    if not found.certificates:
        return False
    authority, own, key = (found.certificates / name for name in ("ca.pem", "cert.pem", "key.pem"))
    pair = (str(own), str(key)) if own.exists() else None
    return TLSConfig(client_cert=pair, ca_cert=str(authority) if authority.exists() else None, verify=True)


@contextlib.contextmanager
def sentences(place: str) -> Iterator[None]:
    """Make one sentence of what the daemon refuses in the block, and of its silence; raises PlatformError."""
    from docker.errors import APIError, DockerException  # noqa: PLC0415

    try:
        yield
    except APIError as fault:
        msg = f"the Docker daemon at {find(place).host} refuses: {_explained(fault)}"
        raise PlatformError(msg) from None
    except (DockerException, OSError) as fault:
        msg = f"the Docker daemon at {find(place).host} does not answer ({reason(fault)}); start it and run the command again"
        raise PlatformError(msg) from None


def _explained(fault: Exception) -> str:
    return " ".join(str(getattr(fault, "explanation", None) or fault).split()).removeprefix(
        "Error response from daemon: "
    )


def _certificates() -> Path | None:
    """Return the directory that DOCKER_CERT_PATH names, where DOCKER_TLS_VERIFY asks for it."""
    if not os.environ.get("DOCKER_TLS_VERIFY"):
        return None
    return Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")


def _of_context(name: str | None) -> Daemon:
    """Return the daemon of a context, by the files that `docker context` writes."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    name = name or str(_read(folder / "config.json").get("currentContext") or USUAL_CONTEXT)
    if name == USUAL_CONTEXT:
        return Daemon(USUAL_HOST, _certificates())
    identity = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / identity / "meta.json"
    if not meta.exists():
        msg = f"there is no Docker context {name!r}; see `docker context ls`, and correct keelson:docker.context"
        raise SettingsError(msg)
    try:
        host = str(_read(meta)["Endpoints"]["docker"]["Host"])
    except (KeyError, TypeError):
        msg = f"the Docker context {name!r} names no daemon; see `docker context inspect {name}`"
        raise SettingsError(msg) from None
    certificates = folder / "contexts" / "tls" / identity / "docker"
    return Daemon(host, certificates if certificates.is_dir() else None)


def _read(path: Path) -> dict[str, Any]:
    """Return what Docker's command keeps in a file; nothing where there is none."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as fault:
        msg = f"{path} cannot be read ({fault}); correct it, or set DOCKER_HOST"
        raise SettingsError(msg) from None

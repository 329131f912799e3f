"""Which Docker daemon is meant, and the connection to it.

`docker` stands for the one that the docker command would ask (DOCKER_HOST, DOCKER_CONTEXT, the current context), `docker@far` for a
context or an address, such as `docker@ssh://user@host`.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keelson.errors import PlatformError, SettingsError

if TYPE_CHECKING:
    import docker

SECONDS = 60  # until a daemon must have answered
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
    from docker.tls import TLSConfig  # noqa: PLC0415

    found = find(place)
    tls: TLSConfig | bool = False
    try:
        if found.certificates:
            pair = (str(found.certificates / "cert.pem"), str(found.certificates / "key.pem"))
            tls = TLSConfig(client_cert=pair, ca_cert=str(found.certificates / "ca.pem"), verify=True)
        client = docker.DockerClient(
            base_url=found.host, tls=tls, timeout=SECONDS, version="auto", use_ssh_client=True, max_pool_size=32
        )
    except (DockerException, OSError) as fault:  # OSError is also what requests raises
        msg = (
            f"no Docker daemon answers at {found.host} ({_reason(fault)}); start it, or name another one in "
            "keelson:docker.context"
        )
        raise PlatformError(msg) from None
    return client


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
        msg = f"the Docker daemon at {find(place).host} does not answer ({_reason(fault)}); start it and run the command again"
        raise PlatformError(msg) from None


def _explained(fault: Exception) -> str:
    return " ".join(str(getattr(fault, "explanation", None) or fault).split()).removeprefix(
        "Error response from daemon: "
    )


def _reason(fault: BaseException) -> str:
    """Return what the operating system said, which the client wraps in exceptions of exceptions; else what the client said."""
    seen: list[BaseException] = [fault]
    for each in seen:
        inner = [each.__cause__, each.__context__, *each.args, getattr(each, "reason", None)]
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
        seen += [one for one in inner if isinstance(one, BaseException) and one not in seen]
    return " ".join(str(fault).split())


def _certificates() -> Path | None:
    """Return the directory that DOCKER_CERT_PATH names, where DOCKER_TLS_VERIFY asks for it."""
    if not os.environ.get("DOCKER_TLS_VERIFY"):
        return None
    return Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")


def _of_context(name: str | None) -> Daemon:
    from docker.context import ContextAPI  # noqa: PLC0415
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    except (DockerException, OSError, ValueError) as fault:
        msg = f"the Docker context {name or 'that is current'} cannot be read ({fault}); see `docker context ls`"
        raise SettingsError(msg) from None
    if context is None:
        msg = f"there is no Docker context {name!r}; see `docker context ls`, and correct keelson:docker.context"
        raise SettingsError(msg)
    certificates = Path(context.tls_path) / "docker" if context.TLSConfig else None
    return Daemon(str(context.Host), certificates)

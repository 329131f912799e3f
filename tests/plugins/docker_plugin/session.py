"""The connection to the daemon, from the provider's configuration."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests

SOCKET = "unix:///var/run/docker.sock"
POLL = 0.1  # seconds


class PluginError(Exception):
    """A sentence for the user."""


class InitError(PluginError):
    """The resource exists but is not what it should be; the engine keeps its id."""

    def __init__(self, reason: str, identity: str, outputs: dict[str, Any]) -> None:
        super().__init__(reason)
        self.identity = identity
        self.outputs = outputs


class Session:
    """What the operations of one engine share."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        self.settings = settings or {}
        self.cancelled = threading.Event()
        self.patience = float(os.environ.get("DOCKER_PLUGIN_PATIENCE", "30"))  # seconds, for what is still in use
        self._threads = threading.local()

    @property
    def host(self) -> str:
        """The daemon's address: the context's, else the configured one, else the environment's, else the usual."""
        context = self.settings.get("context") or os.environ.get("DOCKER_CONTEXT")
        if context:
            return _context_host(context)
        return self.settings.get("host") or os.environ.get("DOCKER_HOST") or SOCKET

    @property
    def api(self) -> docker.APIClient:
        """This thread's client.

        Raises:
            PluginError: nobody answers there.
        """
        if not hasattr(self._threads, "client"):
            try:
                self._threads.client = docker.APIClient(self.host, version="auto", timeout=600, tls=self._tls())
            except docker.errors.DockerException as fault:
                msg = f"failed to create Docker client: error pinging Docker server, please make sure that {self.host} is reachable: {fault}"
                raise PluginError(msg) from fault
        client: docker.APIClient = self._threads.client
        return client

    def answers(self) -> bool:
        """Tell whether the daemon is there; one behind ssh is not asked."""
        try:
            return self.host.startswith("ssh://") or bool(self.api.ping())
        except (PluginError, docker.errors.DockerException, requests.RequestException):
            return False

    def _tls(self) -> docker.tls.TLSConfig | bool:
        directory = self.settings.get("certPath") or os.environ.get("DOCKER_CERT_PATH")
        if not directory or self.host.startswith("unix://"):
            return False
        ca, cert, key = (str(Path(directory, name)) for name in ("ca.pem", "cert.pem", "key.pem"))
        return docker.tls.TLSConfig(client_cert=(cert, key), ca_cert=ca, verify=True)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Poll until the condition holds; False when the time is over or the engine cancels."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline or self.cancelled.wait(POLL):
                return False
        return True


@contextlib.contextmanager
def daemons_words(what: str) -> Iterator[None]:
    """Turn the daemon's refusal into `<what>: <the daemon's own sentence>`."""
    try:
        yield
    except docker.errors.APIError as fault:
        msg = f"{what}: Error response from daemon: {fault.explanation or fault}"
        raise PluginError(msg) from fault
    except (docker.errors.DockerException, requests.RequestException) as fault:
        msg = f"{what}: {fault}"
        raise PluginError(msg) from fault


def _context_host(name: str) -> str:
    for path in (Path.home() / ".docker" / "contexts" / "meta").glob("*/meta.json"):
        with contextlib.suppress(OSError, ValueError):
            meta = json.loads(path.read_text())
            if meta.get("Name") == name:
                return str(meta["Endpoints"]["docker"]["Host"])
    msg = f"Error loading Docker context '{name}': context '{name}' not found"
    raise PluginError(msg)


def label_map(labels: list[dict[str, str]] | None) -> dict[str, str]:
    """Return the daemon's form of labels."""
    return {each["label"]: each["value"] for each in labels or ()}


def label_list(labels: dict[str, str] | None) -> list[dict[str, str]]:
    """Return the plugin's form of labels."""
    return [{"label": name, "value": value} for name, value in sorted((labels or {}).items())]

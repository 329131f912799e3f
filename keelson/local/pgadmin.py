"""pgAdmin as a daemon of this machine."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keelson import paths
from keelson.errors import PlatformError, SettingsError
from keelson.local import volume
from keelson.local.daemon import DaemonSpec
from keelson.local.registry import Registry
from keelson.local.supervisor import Program
from keelson.pgadmin import serve_script

LOOPBACK = "127.0.0.1"
ANSWER_SECONDS = 2.0
EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")  # what its login form takes


class PgAdminKind:
    """pgAdmin behind gunicorn, in a Python environment of its own; `up` does not wait for it."""

    logins = ("admin",)
    patience = 0.0
    warm_up = 60.0

    def check(self, spec: DaemonSpec) -> None:
        """Raise SettingsError for an address that cannot log in, PlatformError where pgAdmin is not installed."""
        check_email(spec.settings)
        environment()

    def prepare(self, spec: DaemonSpec, port: int) -> Program:
        """Make the passwords of the list's roles where they are missing; all else pgAdmin reads from the registry itself."""
        registry = Registry(spec.key)
        for entry in spec.settings["entries"]:
            registry.ensure_password(entry["server"], entry["role"])
        directory = paths.private_directory(volume.directory(spec.key, spec.name))
        protected = ["protected"] if spec.settings.get("protected") else []
        command = (
            str(environment() / "bin" / "python"),
            "-I",
            str(serve_script()),
            spec.key,
            str(port),
            str(directory),
        )
        return Program(name=spec.name, command=(*command, *protected), stop_signal="SIGQUIT")

    def update(self, spec: DaemonSpec, port: int) -> bool:  # noqa: ARG002 - the interface of a kind
        """Return False: pgAdmin follows the registry, and what it reads at its start stands in its command line."""
        return False

    def answers(self, spec: DaemonSpec, port: int) -> str:  # noqa: ARG002
        """Ask for its ping page."""
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", "/misc/ping")
            answer = connection.getresponse()
            text = answer.read(100)
        except (OSError, http.client.HTTPException) as fault:
            return f"no answer on port {port} ({fault or type(fault).__name__})"
        finally:
            connection.close()
        return "" if text == b"PING" else f"port {port} answers {answer.status}, not as pgAdmin does"


def check_email(settings: Mapping[str, Any]) -> None:
    """Raise SettingsError for an address that cannot log in."""
    email = str(settings.get("email", ""))
    if not EMAIL.fullmatch(email):
        msg = f"the setting 'keelson:pgadmin.email' is {email!r}, which pgAdmin refuses; set an address such as admin@keelson.local"
        raise SettingsError(msg)


def environment() -> Path:
    """Return pgAdmin's Python environment.

    Raises:
        PlatformError: there is none, or it is damaged.
    """
    link = paths.cache() / "pgadmin" / "current"
    try:
        path = link.resolve(strict=True)
        sizes: dict[str, int] = json.loads((path / "keelson.json").read_text(encoding="utf-8"))["files"]
        whole = all((path / name).stat().st_size == size for name, size in sizes.items())
        (path / "bin" / "python").resolve(strict=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        msg = f"pgAdmin is not installed, or not completely ({link}); run `make setup`"
        raise PlatformError(msg)
    return path

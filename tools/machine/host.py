"""What the machine itself must allow: user namespaces, and a cache that can be written."""

from __future__ import annotations

import subprocess
from pathlib import Path

from keelson.errors import PlatformError
from tools.machine import places

SETTINGS = Path("/proc/sys")
OTHERWISE = "or use target docker"


def check() -> None:
    """Make the directories of the set-up and try a user namespace.

    Raises:
        PlatformError: one of the two is not allowed here.
    """
    for part in ("uv", "root", "engine", "pgadmin"):
        places.cache(part)
    places.checkout()
    command = [
        "bwrap",
        "--ro-bind",
        "/",
        "/",
        "--unshare-user",
        "--uid",
        "999",
        "--gid",
        "999",
        "--unshare-pid",
        "true",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PlatformError(closed(done.stderr.strip()))


def closed(complaint: str, settings: Path = SETTINGS) -> str:
    """Return the sentence for a machine whose user namespaces are closed, with the setting that opens them."""
    for name, shut, opened in (
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("user/max_user_namespaces", "0", "15000"),
    ):
        file = settings / name
        if file.exists() and file.read_text().strip() == shut:
            key = name.replace("/", ".")
            return f"user namespaces are closed here by {key}; an administrator opens them with `sysctl -w {key}={opened}`, {OTHERWISE}"
    return f"bubblewrap cannot make a user namespace here ({complaint}); allow it to (in a container: run it unconfined), {OTHERWISE}"

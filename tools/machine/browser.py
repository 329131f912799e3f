"""The browser that the tests drive: Chromium from Debian's packages. Without it those tests are skipped, and say so."""

from __future__ import annotations

import os
import shutil
import subprocess

from keelson.errors import PlatformError
from tools.machine import places
from tools.machine.progress import detail, run, say

NAMES = ("chromium", "chromium-browser", "google-chrome")
PACKAGES = ("chromium", "fonts-liberation")


def find() -> str | None:
    """Return the path of a browser of Chromium's kind, None where there is none."""
    return os.environ.get("KEELSON_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def ensure() -> None:
    """Install Chromium where there is none and apt may be used; say so where it may not."""
    if find():
        return
    apt = _apt()
    if not apt:
        detail(f"no Chromium here and no right to use apt: the tests in a browser are skipped; {_advice()}")
        return
    say("Chromium for the tests in a browser, from Debian's packages; about a minute, 125 MB of downloads")
    env = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive"}
    log = places.LOGS / "browser.log"
    try:
        run([*apt, "-q", "update"], env=env, log=log, what="the list of Debian packages")
        install = [*apt, "-q", "install", "-y", "--no-install-recommends", *PACKAGES]
        run(install, env=env, log=log, what="the installation of Chromium")
    except PlatformError as fault:
        detail(f"Chromium could not be installed, so the tests in a browser are skipped; {_advice()}")
        detail(str(fault))


def _apt() -> list[str]:
    """Return how apt is called here, nothing where it may not be used."""
    if os.geteuid() == 0:
        return ["apt-get"]
    sudo = ["sudo", "-n"]
    if (
        not shutil.which("sudo")
        or subprocess.run([*sudo, "-l", "apt-get"], capture_output=True, check=False).returncode
    ):
        return []
    return [*sudo, "apt-get"]


def _advice() -> str:
    return f"`apt-get install {' '.join(PACKAGES)}` by an administrator brings it"

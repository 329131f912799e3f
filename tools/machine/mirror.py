"""The Debian archive that this machine uses, read from its own apt sources."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from keelson.errors import PlatformError

APT = Path("/etc/apt")
OS_RELEASE = Path("/etc/os-release")
DEBOOTSTRAP = Path("/usr/sbin/debootstrap")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
VARIABLE = "KEELSON_DEBIAN_MIRROR"


@dataclass(frozen=True)
class Source:
    """One archive and suite of apt's sources."""

    uri: str
    suite: str
    components: tuple[str, ...]
    trusted: bool = False


@dataclass(frozen=True)
class Mirror:
    """Where the packages of a Debian suite come from."""

    archive: str
    security: str | None
    trusted: bool = False

    def lines(self, suite: str) -> list[str]:
        """Return apt's one-line sources of `suite`: the suite itself first, then its updates."""
        trust = "trusted=yes" if self.trusted else f"signed-by={KEYRING}"
        options = f"[{trust} target=Packages lang=none]"
        lines = [f"deb {options} {self.archive} {suite} main", f"deb {options} {self.archive} {suite}-updates main"]
        if self.security:
            lines.append(f"deb {options} {self.security} {suite}-security main")
        return lines


def find(apt: Path = APT, os_release: Path = OS_RELEASE, debootstrap: Path = DEBOOTSTRAP) -> Mirror:
    """Return the Debian mirror of this machine.

    It is what KEELSON_DEBIAN_MIRROR names, else the one of apt's sources on Debian, else debootstrap's default.

    Raises:
        PlatformError: none of the three is there.
    """
    if named := os.environ.get(VARIABLE):
        return _beside(named)
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', os_release.read_text(), re.MULTILINE))
    if release.get("ID") == "debian" and (mirror := _of_host(sources(apt), release.get("VERSION_CODENAME", ""))):
        return mirror
    if debootstrap.exists() and (
        default := re.search(r'^DEF_MIRROR="?([^"\s]+)', debootstrap.read_text(), re.MULTILINE)
    ):
        return _beside(default[1])
    msg = f"no Debian archive stands in apt's sources; install debootstrap or set {VARIABLE} to the address of a Debian mirror"
    raise PlatformError(msg)


def sources(apt: Path = APT) -> list[Source]:
    """Return the sources of binary packages that apt is set to use."""
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    found: list[Source] = []
    for file in files:
        if file.suffix == ".list" and file.is_file():
            found += _one_line(file.read_text())
        elif file.suffix == ".sources" and file.is_file():
            found += _deb822(file.read_text())
    return found


def _of_host(found: list[Source], codename: str) -> Mirror | None:
    stable = {codename, "stable", "testing", "unstable", "sid"} - {""}
    archives = [source for source in found if source.suite in stable and "main" in source.components]
    if not archives:
        return None
    wanted = {f"{name}-security" for name in stable}
    security = [source.uri for source in found if source.suite in wanted and "main" in source.components]
    beside = _beside(archives[0].uri)
    return Mirror(archives[0].uri, next(iter(security), beside.security), archives[0].trusted)


def _beside(archive: str) -> Mirror:
    archive = archive.rstrip("/")
    return Mirror(archive, f"{archive}-security" if archive.endswith("/debian") else None)


def _one_line(text: str) -> list[Source]:
    form = re.compile(
        r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>[^#\n]+)", re.MULTILINE
    )
    return [
        Source(m["uri"], m["suite"], tuple(m["components"].split()), "trusted=yes" in (m["options"] or "").split())
        for m in form.finditer(text)
    ]


def _deb822(text: str) -> list[Source]:
    plain = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    found: list[Source] = []
    for stanza in re.split(r"\n\s*\n", plain):
        fields = {
            m[1].lower(): m[2].split() for m in re.finditer(r"^(\S+):((?:.*\n?)(?:[ \t].*\n?)*)", stanza, re.MULTILINE)
        }
        if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
            continue
        found += [
            Source(uri, suite, tuple(fields.get("components", [])), fields.get("trusted") == ["yes"])
            for uri in fields.get("uris", [])
            for suite in fields.get("suites", [])
        ]
    return found

"""Images that hold one static program each, as archives like those of `docker save`."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import re
import tarfile
from typing import TYPE_CHECKING

from tools.kubernetes import programs

if TYPE_CHECKING:
    from pathlib import Path

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}
PAUSE = "localhost/pause"
COREDNS = "localhost/coredns"


def pause() -> str:
    """Return the name of the image that holds a pod's namespaces."""
    return f"{PAUSE}:{programs.named('pause').version}"


def coredns() -> str:
    """Return the name of CoreDNS's image."""
    return f"{COREDNS}:{programs.named('coredns').version}"


def operator() -> str:
    """Return the name under which the operator's manifest asks for its image."""
    return str(re.findall(r"^\s+image: (\S+)$", programs.operator_manifest().read_text(), re.MULTILINE)[0])


def archiver() -> str:
    """Return the name under which the manifest of the plugin that archives asks for its image."""
    return str(re.findall(r"^\s+image: (\S+)$", programs.archiver_manifest().read_text(), re.MULTILINE)[0])


def archive(name: str) -> Path:
    """Return where the image of a program lies."""
    return programs.home() / "images" / f"{name}.tar"


def ensure(program: programs.Program) -> None:
    """Make a program's image, if it is one that runs in pods."""
    source = programs.path(program.name)
    if program.name == "pause":
        _write(archive("pause"), pause(), source, ["/pause"], {"User": "65535:65535", "Entrypoint": ["/pause"]})
    elif program.name == "coredns":
        _write(archive("coredns"), coredns(), source, ["/coredns"], {"Entrypoint": ["/coredns"]})
    elif program.name == "manager":
        # The operator starts each instance with the program of the node's own architecture.
        places = ["/manager", f"/operator/manager_{ARCHITECTURE[platform.machine()]}"]
        _write(archive("operator"), operator(), source, places, {"User": "65532:65532", "Entrypoint": ["/manager"]})
    elif program.name == "archiver":
        _write(
            archive("archiver"), archiver(), source, ["/manager"], {"User": "10001:10001", "Entrypoint": ["/manager"]}
        )


def _write(target: Path, name: str, program: Path, places: list[str], config: dict[str, object]) -> None:
    """Write an archive of one layer, in which the program stands at all `places`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    layer = _layer(target.with_name(f".{target.name}.layer"), program, places)
    write(target, name, layer, config)
    layer.unlink()


def write(target: Path, name: str, layer: Path, config: dict[str, object]) -> None:
    """Write the archive of an image of one layer, which is a tar file."""
    with layer.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    described = json.dumps(
        {
            "architecture": ARCHITECTURE[platform.machine()],
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    identity = hashlib.sha256(described).hexdigest()
    manifest = [{"Config": f"{identity}.json", "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}]
    fresh = target.with_name(f".{target.name}")
    with tarfile.open(fresh, "w") as tar:
        tar.add(layer, f"{digest}/layer.tar")
        _add(tar, f"{identity}.json", described)
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    fresh.replace(target)


def _layer(target: Path, program: Path, places: list[str]) -> Path:
    first, *others = (place.lstrip("/") for place in places)
    with tarfile.open(target, "w") as tar:
        tar.add(program, first, filter=_plain)
        for each in others:
            link = tarfile.TarInfo(each)
            link.type, link.linkname, link.mode = tarfile.LNKTYPE, first, 0o755
            tar.addfile(link)
    return target


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Take owner and time out of an entry: the same program is the same image."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755
    return entry


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))

"""What a server's archive takes on a Docker daemon: an image that can archive, and places that its server may write."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

from keelson.backups.physical.chosen import ENGINE
from keelson.containers import archive
from keelson.containers.model import PartSpec
from keelson.containers.target import MAJOR
from keelson.docker import names, toolbox
from keelson.docker.images import recipes
from keelson.docker.toolbox import File
from keelson.errors import SettingsError


def require_engine(spec: PartSpec, run: Callable[..., tuple[int, str]]) -> None:
    """Refuse an image that cannot archive, or whose data the stack's tools could not bring forward.

    Args:
        spec: the server.
        run: runs a command in a container of its image, and returns status and output.

    Raises:
        SettingsError: it has no such program, or another PostgreSQL.
    """
    if spec.image.startswith(f"{recipes.REPOSITORY}/"):
        return
    step = "name one that has it, set `images: debian` below keelson:docker, or take 'point_in_time' out"
    status, _ = run("sh", "-c", shlex.join(ENGINE.version()))
    if status:
        program = ENGINE.version()[0]
        msg = f"server {spec.name} cannot keep an archive, as the image {spec.image} has no {program}; {step}"
        raise SettingsError(msg)
    status, said = run("postgres", "--version")
    found = re.search(r"(\d+)\.", said)
    if status or not found or int(found[1]) != MAJOR:
        msg = f"server {spec.name} cannot keep an archive: that takes PostgreSQL {MAJOR}, and the image {spec.image} has {said.strip()!r}"
        raise SettingsError(msg)


def make_room(spec: PartSpec) -> None:
    """Let the server write its archive, which the agent's group reads, and what waits for it beside the data."""
    readers = int(spec.settings.get("readers") or spec.gid)
    toolbox.write(
        spec.place,
        spec.key,
        spec.image,
        {
            names.archive_volume(spec.key, spec.name): {
                f"{archive.CLUSTERS}/": File("", spec.uid, readers, archive.SHARED)
            },
            names.data_volume(spec.key, spec.name): work(spec),
        },
    )


def work(spec: PartSpec) -> dict[str, File]:
    """Return the directory beside a server's data."""
    return {archive.WORK: File("", spec.uid, spec.gid, 0o700)}

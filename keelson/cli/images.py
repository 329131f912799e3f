"""The images that the target docker can run in place of the official ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from keelson.cli.options import JsonOption
from keelson.cli.output import human_bytes, print_json, print_table
from keelson.cli.progress import transfer


def build(
    names: Annotated[
        list[str] | None, typer.Argument(help="Some of them, for example postgres; by default all.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Make the images of PostgreSQL, TimescaleDB, Redis, pgAdmin and the agent on the Docker daemon, from Debian packages.

    Example: keelson images build
    """
    from keelson.docker import daemon, images  # noqa: PLC0415  # the other commands do without Docker's client

    client = daemon.connect("docker")
    with transfer("images") as begin:
        shown, counted = "", begin("looking", None)

        def progress(name: str, count: int) -> None:
            nonlocal shown, counted
            if name != shown:
                shown, counted = name, begin(name, None)
            counted(count)

        made = images.build(client, names or images.NAMES, progress)
    if as_json:
        print_json([asdict(image) for image in made])
    else:
        rows = [
            (image.name, image.reference, human_bytes(image.size), "made" if image.made else "there") for image in made
        ]
        print_table(("IMAGE", "REFERENCE", "SIZE", ""), rows)

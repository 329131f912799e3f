"""Services whose logins are older than the settings allow (keelson:rotate_after): `up` rotates them, and a preview shows that."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from keelson.cli.context import Context
from keelson.cli.output import note
from keelson.rotation import ages


def raise_generation(chosen: Context, service: str, generation: int, file: Path | None = None) -> None:
    """Write a service's generation into the stack file, or into a copy, whose comments and other keys stay as they are."""
    chosen.engine.configure(f"{chosen.project.name}:rotation.{service}", str(generation), file)


def raise_due(chosen: Context) -> None:
    """Raise the generation of each service that is due in the stack file."""
    for service, generation in _due(chosen).items():
        raise_generation(chosen, service, generation)


@contextmanager
def as_raised(chosen: Context) -> Iterator[list[str]]:
    """Give the arguments with which the engine takes the settings as `raise_due` would leave them, and leave the stack file alone."""
    due = _due(chosen)
    if not due:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="keelson-settings-") as folder:
        name = f"Pulumi.{chosen.stack_name}.yaml"
        file = Path(shutil.copy(chosen.project.root / name, folder))
        for service, generation in due.items():
            raise_generation(chosen, service, generation, file)
        yield ["--config-file", str(file)]


def _due(chosen: Context) -> dict[str, int]:
    """Return the next generation of each service that is due, and tell of it; one whose rotation is asked for already is not."""
    settings = chosen.stack.settings
    if settings.rotate_after is None:
        return {}
    found: dict[str, int] = {}
    for service, age in ages(chosen.engine.resources()).items():
        asked = service in chosen.stack.databases and settings.generation_of(service) == age.generation
        if asked and age.is_over(settings.rotate_after, datetime.now(UTC)):
            found[service] = age.generation + 1
            note(
                f"{service}: its logins are in use {age.told()}, and keelson:rotate_after is {settings.rotate_after} days: "
                f"`keelson up` makes keelson:rotation.{service} {age.generation + 1} in Pulumi.{chosen.stack_name}.yaml"
            )
    return found

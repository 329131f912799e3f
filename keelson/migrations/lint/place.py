"""What a stack's settings say of the place where a database's migrations run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from keelson.errors import PlatformError, SettingsError
from keelson.migrations.lint.linter import Place
from keelson.settings.document import read_mapping

if TYPE_CHECKING:
    from keelson.settings.stack import Stack


def place_of(stack: Stack, database: str, *, protected: bool | None = None) -> Place:
    """Return where the migrations of a database run; asks nobody but the settings and this machine's files.

    Args:
        stack: the stack.
        database: one of its databases.
        protected: judges as if the environment were protected or not, in place of what it is.
    """
    server = stack.settings.servers[stack.databases[database].server]
    edition = _edition(stack, database) if server.timescaledb else ""
    return Place(
        protected=stack.settings.protected if protected is None else protected,
        chosen=stack.lint_of(database),
        edition=edition,
        version=server.version,
        compressed=() if edition == "apache" else _compressed(stack, database),
    )


def as_input(place: Place) -> dict[str, object]:
    """Return a place as values that travel through the engine; `from_input` is the way back."""
    return {
        "protected": place.protected,
        "chosen": dict(place.chosen),
        "edition": place.edition,
        "version": place.version,
        "compressed": list(place.compressed),
    }


def from_input(values: Mapping[str, object]) -> Place:
    """Return the place that values from the engine describe; without any, one where nothing stops."""
    if not values:
        return Place(protected=False)
    return Place(**{**values, "compressed": tuple(values["compressed"])})  # type: ignore[arg-type]


def _edition(stack: Stack, database: str) -> str:
    """Return TimescaleDB's edition on the database's server, empty where nobody knows before it runs."""
    settings = stack.settings
    try:
        if settings.target == "local":
            from keelson.local import root  # noqa: PLC0415 - of one target alone

            return root.find().timescale_edition
        from keelson.docker.images.choice import chosen  # noqa: PLC0415 - of the other targets

        images = settings.docker if settings.target == "docker" else settings.kubernetes
        several = settings.instances_of(stack.databases[database].server) > 1
        return chosen(images, "postgres-ha" if several else "timescaledb").timescale_edition
    except PlatformError:  # what the images are made from lies elsewhere
        return ""


def _compressed(stack: Stack, database: str) -> tuple[str, ...]:
    """Return the hypertables that timescale.yaml compresses; one that is wrong is told where it is applied."""
    path = stack.root / stack.directory(database) / "timescale.yaml"
    try:
        tables = read_mapping(path, str(path), when_missing="").get("hypertables") if path.is_file() else {}
    except SettingsError:
        return ()
    found = tables.items() if isinstance(tables, dict) else ()
    return tuple(
        str(name).removeprefix("public.") for name, told in found if isinstance(told, dict) and told.get("compression")
    )

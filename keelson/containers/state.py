"""Questions to a stack's state (registry, passwords, certificates, jobs), wherever its platform keeps that."""

from __future__ import annotations

from typing import Any

from keelson.containers.model import PartSpec


def ask(place: str, key: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
    """Return what an operation of `keelson.inside.operations` answers where the stack's state lies.

    Raises:
        KeelsonError: the operation's own.
        UnreachableError: there is no state, or it cannot be asked.
    """
    if place.startswith("kubernetes"):
        from keelson.kubernetes import state  # noqa: PLC0415 - a platform loads only what it needs

        return state.ask(place, key, operation, **arguments)
    from keelson.docker import toolbox  # noqa: PLC0415

    return toolbox.ask(place, key, operation, **arguments)


def password(spec: PartSpec, login: str) -> str:
    """Return the password of one of a part's logins."""
    return str(ask(spec.place, spec.key, "password", server=spec.name, role=login))

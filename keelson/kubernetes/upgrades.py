"""What is done before a server's data are handed to another image: a backup, or a word about the last ones where none can be made."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from keelson.backups import overview
from keelson.backups.overview import Kept
from keelson.errors import BackupError, UnreachableError
from keelson.kubernetes import names, part, toolbox, troubles, workloads
from keelson.kubernetes.part import KubernetesSpec

SECONDS_TO_START = 90.0  # for the toolbox's pod


def back_up_before(spec: KubernetesSpec) -> tuple[str, ...]:
    """Back up each database of a server that runs; return what the user should know of one that does not.

    One that cannot run, for example as its image cannot be had, is to be mended by the other image. One that ends again and again may do
    so for its data; it gets another image only where each of its databases has a good backup.

    Raises:
        BackupError: no backup could be made, or there is none of such data.
    """
    if spec.kind not in part.SERVERS:
        return ()
    pod = part.pod_of(spec)
    crash = troubles.of_crashes(spec.found, spec.name, pod)
    if crash is None and part.runs(pod):
        _back_up(spec)
        return ()
    seen = workloads.look(spec.found, spec.key, spec.name).get(spec.name)
    trouble = crash or troubles.find(spec.found, spec.name, seen)
    why = trouble.said if trouble else "it does not run"
    try:
        kept = _kept(spec)
    except UnreachableError as fault:
        if crash:
            msg = f"server {spec.name} keeps its image: {why}, and which backups there are cannot be told: {fault}"
            raise BackupError(msg) from None
        return (f"no backup was made before its image changed ({why}), and which there are cannot be told: {fault}",)
    if crash:
        _refuse_without(spec, why, [name for name, each in kept.items() if each.begun is None])
    if not kept:
        return ()
    told = ", ".join(_told(name, each, datetime.now(UTC)) for name, each in kept.items())
    return (f"no backup was made before its image changed ({why}); the last good ones: {told}",)


def _refuse_without(spec: KubernetesSpec, why: str, lacking: Sequence[str]) -> None:
    if lacking:
        remove = spec.found.kubectl(f"delete statefulset {names.of(spec.name)}")
        msg = (
            f"server {spec.name} keeps its image: {why}, and there is no good backup of {', '.join(lacking)}; have it run as it was and run "
            f"`keelson backup run`, or run `{remove}` first, which leaves its volume, to change it all the same"
        )
        raise BackupError(msg)


def _back_up(spec: KubernetesSpec) -> None:
    try:
        _await_toolbox(spec)
        toolbox.ask_apart(spec.place, spec.key, "back_up_server", server=spec.name)
    except (BackupError, UnreachableError) as fault:
        msg = f"server {spec.name} keeps its image, as no backup could be made before the change: {fault}"
        raise BackupError(msg) from None


def _kept(spec: KubernetesSpec) -> Mapping[str, Kept]:
    """Return what is known of the backups of a server's databases."""
    _await_toolbox(spec)
    found = overview.from_values(toolbox.ask(spec.place, spec.key, "overview", names=[], directory=""))
    return {
        name: each
        for name, each in found.kept.items()
        if each.job and (each.job.engine, each.job.reference.server) == ("postgres", spec.name)
    }


def _await_toolbox(spec: KubernetesSpec) -> None:
    """Wait for the toolbox: what changes a server's image often changes that of the toolbox a moment before."""
    until = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            toolbox.find(spec.place, spec.key)
        except UnreachableError:
            if time.monotonic() > until:
                raise
            time.sleep(part.POLL)
        else:
            return


def _told(name: str, kept: Kept, now: datetime) -> str:
    """Return how old the last good backup is."""
    if kept.begun is None:
        return f"{name} has none"
    minutes = max(0, round((now - kept.begun).total_seconds() / 60))
    age = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"  # noqa: PLR2004
    return f"{name} of {kept.begun:%Y-%m-%d %H:%M} UTC, {age} old"

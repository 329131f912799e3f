"""A stack's state in a cluster: the files that it has elsewhere in a directory, as one Secret of its namespace.

A question runs in this process on a private directory that holds these files for as long as it takes. What it changed is written
back if nobody else changed the Secret meanwhile; else it runs again on what is there now.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keelson import paths
from keelson.errors import KeelsonError, OwnershipError, PlatformError, UnreachableError
from keelson.inside import files, operations
from keelson.kubernetes import cluster, names
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.faults import ConflictError, MissingError
from keelson.local import registry

KEY = "state.json"  # in the Secret
MOST = 1024 * 1024  # bytes of a Secret's data
MAKES = "register"  # the operation that makes what is not there
PATIENCE = 60.0  # seconds of running again what others overtook
_PREFIX = "keelson-state-"
_SHARED = Path("/dev/shm")  # noqa: S108 - private directories are made in there; it never reaches a disk


@dataclass(frozen=True)
class State:
    """What the Secret holds; an empty version says that there is none."""

    files: Mapping[str, str]
    version: str = ""


def ask(place: str, key: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
    """Return what an operation of `keelson.inside.operations` answers on the stack's state.

    Raises:
        KeelsonError: the operation's own, or the cluster's.
        UnreachableError: the stack has no state in the namespace.
        OwnershipError: the namespace holds the state of another stack.
    """
    found, until = cluster.connect(place), time.monotonic() + PATIENCE
    while True:
        before = _read(found, key, make=operation == MAKES)
        answer, after = _run(found, key, before, operation, arguments)
        if after == before.files:
            return answer
        try:
            _write(found, key, State(after, before.version))
        except ConflictError:
            if time.monotonic() > until:
                raise
            time.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - not in step with the others
        else:
            return answer


def read(place: str, key: str) -> State:
    """Return the stack's state; raises UnreachableError where there is none."""
    return _read(cluster.connect(place), key)


def version(place: str, key: str) -> str:
    """Return what differs as soon as the state does, without reading that; raises UnreachableError where there is none."""
    found = cluster.connect(place)
    return str(_known(found, key, found.get(_path(found), metadata=True))["metadata"]["resourceVersion"])


def _path(found: Cluster) -> str:
    return found.at("secrets", names.STATE)


def _read(found: Cluster, key: str, *, make: bool = False) -> State:
    secret = found.get(_path(found))
    if secret is None and make:
        return State({})
    known = _known(found, key, secret)
    try:
        texts = json.loads(base64.b64decode(known["data"][KEY]))
        return State({str(path): str(text) for path, text in texts.items()}, known["metadata"]["resourceVersion"])
    except (KeyError, TypeError, ValueError, AttributeError):  # whose text may show what stands there
        msg = f"{_where(found)} holds no state that can be read; restore it from a backup, or destroy the stack"
        raise PlatformError(msg) from None


def _known(found: Cluster, key: str, secret: Json | None) -> Json:
    """Return the Secret, if it is there and the stack's."""
    if secret is None:
        msg = f"stack {key} is not in namespace {found.namespace} of the cluster {found.name}; run `keelson up`"
        raise UnreachableError(msg)
    owner = (secret["metadata"].get("annotations") or {}).get(names.STACK_LABEL)
    if owner != key:
        msg = f"{_where(found)} belongs to {f'stack {owner}' if owner else 'somebody else'}, not to stack {key}; use another namespace"
        raise OwnershipError(msg)
    return secret


def _where(found: Cluster) -> str:
    return f"the Secret {names.STATE} in namespace {found.namespace} of the cluster {found.name}"


def _write(found: Cluster, key: str, state: State) -> None:
    text = json.dumps(state.files, sort_keys=True, separators=(",", ":")).encode()
    if len(text) > MOST:
        msg = f"the state of stack {key} has {len(text):,} bytes, and a Secret holds {MOST:,}; split the stack"
        raise PlatformError(msg)
    secret: Json = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": names.STATE,
            "labels": names.labels(key) | names.told_of(key, "state"),
            "annotations": {names.STACK_LABEL: key},
            **({"resourceVersion": state.version} if state.version else {}),
        },
        "data": {KEY: base64.b64encode(text).decode()},
    }
    try:
        if state.version:
            found.replace(_path(found), secret)
        else:
            found.create(found.at("secrets"), secret)
    except MissingError:
        msg = f"namespace {found.namespace} is not in the cluster {found.name}, so stack {key} has no place there; run `keelson up`"
        raise UnreachableError(msg) from None


def _run(
    found: Cluster, key: str, state: State, operation: str, arguments: Mapping[str, Any]
) -> tuple[Any, dict[str, str]]:
    """Run an operation on a state's files; return its answer and the files as it left them."""
    with _private_directory() as place, paths.state_in(place):
        directory = registry.directory(key)
        files.write(directory, state.files)
        try:
            answer = operations.find(operation)(key, **arguments)
        except KeelsonError as fault:
            raise type(fault)(str(fault).replace(str(directory), _where(found))) from None
        return answer, files.read(directory)


@contextmanager
def _private_directory() -> Iterator[Path]:
    """Give a directory in memory, where there is one, and remove it; what a killed process left there goes too."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    base = next((each for each in (Path(runtime), _SHARED) if each.is_absolute() and os.access(each, os.W_OK)), None)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=base) as name, _held(Path(name)):
        _sweep(Path(name).parent)
        yield Path(name)


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """Show others that this process is at work in a directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sweep(base: Path) -> None:
    """Remove the directories of this user that nobody holds any more."""
    for left in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if left.stat().st_uid == os.geteuid() and time.time() - left.stat().st_mtime > PATIENCE:
                descriptor = os.open(left, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(left, ignore_errors=True)
                finally:
                    os.close(descriptor)

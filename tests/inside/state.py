"""What a pod sees: a stack's state as a kubelet mounts it, which is another directory after each change, and backups."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from keelson import paths
from keelson.backups import manifest as manifests
from keelson.backups.folder import FileFacts
from keelson.backups.manifest import Manifest
from keelson.backups.store import ID_FORMAT, Backup, Store
from keelson.inside import files
from keelson.local import registry
from keelson.local.registry import Registry

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class State:
    """The state of one stack, which is put together in a directory of its own."""

    directory: Path
    key: str

    @property
    def file(self) -> Path:
        return self.directory / "mounted" / "state.json"

    def write(self, change: Callable[[], object] = lambda: None) -> None:
        """Mount the state with a change of it, made where the registry is that of this stack."""
        with paths.state_in(self.directory / "made"):
            Registry(self.key).claim("0123456789ab", environment="dev")
            change()
            self.mount(files.read(registry.directory(self.key)))

    def mount(self, document: object) -> None:
        """Mount any document; a text is taken as it is."""
        folder = self.directory / "mounted"
        version = folder / f"..{next(_NUMBERS)}"
        version.mkdir(parents=True)
        (version / "state.json").write_text(document if isinstance(document, str) else json.dumps(document))
        (folder / "..new").symlink_to(version.name)
        (folder / "..new").replace(folder / "..data")
        if not self.file.is_symlink():
            self.file.symlink_to("..data/state.json")


def keep_backup(store: Store, name: str, begun: datetime, seconds: float = 5, size: int = 4711) -> Backup:
    """Put a backup of `name` beside others, as far as its manifest goes."""
    identity = f"{begun:{ID_FORMAT}}"
    folder = paths.private_directory(store.directory / name / identity)
    ended = begun + timedelta(seconds=seconds)
    written = {"data.dump": FileFacts("", size)}
    manifests.write(folder, Manifest(identity, store.key, name, "postgres", "scheduled", begun, ended, written, {}))
    return Backup(folder)

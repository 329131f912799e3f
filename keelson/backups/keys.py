"""What a stack has of its own to sign its backups, and to read those that are encrypted: the file `backup-keys.json` of its state.

The identity is age's (https://age-encryption.org/v1): one of several whom an encrypted backup is written to, so that reading
back, verifying and drills need no person. The others' are the people's, and lie elsewhere: what is lost with the stack is no
more than this one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keelson import paths
from keelson.errors import BackupError, DamagedError, PlatformError
from keelson.local import registry
from keelson.local.locks import exclusive

FILE = "backup-keys.json"
TAKEN = ".taken"  # a state that is kept elsewhere, and was only handed over, holds it: what is written there is lost
DIGITS = 8  # of the name of a key that signs
_IDENTITY = "AGE-SECRET-KEY-1"


@dataclass(frozen=True)
class Keys:
    """Keys as they are used.

    Attributes:
        identities: what opens encrypted backups, as age writes them; the stack's own is the first.
        signing: the secret, as hex digits; empty where there is none.
        since: by database or Redis, the first backup that was signed: all later ones are.
    """

    identities: tuple[str, ...] = field(default=(), repr=False)
    signing: str = field(default="", repr=False)
    since: Mapping[str, str] = field(default_factory=dict)

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whom to write to, so that these identities can read it."""
        from pyrage import x25519  # noqa: PLC0415 - most commands do without

        return tuple(str(x25519.Identity.from_str(text).to_public()) for text in self.identities)

    @property
    def name(self) -> str:
        """The name of the key that signs; it tells nothing of the key."""
        return hashlib.sha256(b"keelson backup key " + self.signing.encode()).hexdigest()[:DIGITS]

    def with_identities(self, more: tuple[str, ...]) -> Keys:
        """Return these and further identities."""
        return Keys((*self.identities, *more), self.signing, self.since)

    def foreign(self) -> Keys:
        """Return the keys for a backup that somebody else may have made: nobody says that it must be signed."""
        return Keys(self.identities, self.signing)

    def signature(self, text: bytes) -> dict[str, str]:
        """Return what stands in a manifest beside its text; nothing where there is no key."""
        return {"key": self.name, "hmac": self._hmac(text)} if self.signing else {}

    def remark(self, where: str, name: str, identity: str, text: bytes, found: Mapping[str, str]) -> str:
        """Hold a manifest against its signature; return what a reader should know, nothing where it is the stack's own.

        Raises:
            DamagedError: it is signed otherwise than by this stack's key, or not at all, and this stack has signed it.
        """
        if self.signing and found.get("key") == self.name:
            if hmac.compare_digest(self._hmac(text), str(found.get("hmac"))):
                return ""
            msg = f"{where} was changed after the backup was made: its signature (HMAC) is another; use another backup"
            raise DamagedError(msg)
        if identity >= self.since.get(name, "~"):
            by = f"is signed by the key {found['key']}" if found.get("key") else "is not signed"
            msg = f"{where} {by}, and this stack signs all its backups since {self.since[name]}; somebody else wrote it, so use another backup"
            raise DamagedError(msg)
        if found.get("key"):
            return f"signed by another stack's key ({found['key']}), so only hashes were checked"
        return "not signed: made before the stack had a key, so only hashes were checked"

    def _hmac(self, text: bytes) -> str:
        return hmac.new(bytes.fromhex(self.signing), text, hashlib.sha256).hexdigest()


def read(key: str) -> Keys:
    """Return the keys of a stack; those that are none where it has none.

    Raises:
        PlatformError: they cannot be read.
    """
    values = _values(registry.directory(key) / FILE)
    identity = values.get("identity")
    return Keys((identity,) if identity else (), values.get("signing", ""), values.get("since", {}))


def ensure(key: str) -> Keys:
    """Return the keys of a stack, made first where its state lies here and has none."""
    folder = registry.directory(key)
    if not folder.is_dir() or (folder / TAKEN).exists() or (folder / FILE).exists():
        return read(key)
    from pyrage import x25519  # noqa: PLC0415 - as above

    with exclusive(folder / f"{FILE}.lock"):
        if not (folder / FILE).exists():
            made = {"identity": str(x25519.Identity.generate()), "signing": secrets.token_hex(32)}
            paths.write_private(folder / FILE, json.dumps(made, indent=1) + "\n")
    return read(key)


def note_first(key: str, name: str, identity: str) -> None:
    """Note that the backup `identity` of `name` is signed, and so are all later ones; the first of them counts."""
    folder = registry.directory(key)
    known = read(key)
    if (folder / TAKEN).exists() or not known.signing or name in known.since:
        return
    with exclusive(folder / f"{FILE}.lock"):
        values = _values(folder / FILE)
        values["since"] = {name: identity, **values.get("since", {})}
        paths.write_private(folder / FILE, json.dumps(values, indent=1) + "\n")


def read_identities(path: Path) -> tuple[str, ...]:
    """Return the identities in a file of age's format.

    Raises:
        BackupError: it cannot be read, or holds none.
    """
    from pyrage import IdentityError, x25519  # noqa: PLC0415 - as above

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        found = tuple(line.strip() for line in lines if line.strip().startswith(_IDENTITY))
        for text in found:
            x25519.Identity.from_str(text)
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is no text"
        msg = f"the identity {path} cannot be read: {reason}; name a file that `age-keygen` wrote"
        raise BackupError(msg) from None
    except IdentityError:
        found = ()
    if not found:
        msg = f"{path} holds no identity of age that can be read; name a file that `age-keygen` wrote, with a line {_IDENTITY}…"
        raise BackupError(msg)
    return found


def _values(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return dict(values)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as fault:
        msg = f"the keys of the backups in {path} cannot be read ({fault}); bring the file back from where you keep a copy, or move it away: then new ones are made"
        raise PlatformError(msg) from None

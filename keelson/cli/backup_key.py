"""The stack's own key for its encrypted backups, to be kept where the stack is not."""

from __future__ import annotations

from keelson.backups import keys
from keelson.cli.context import context
from keelson.cli.options import StackOption
from keelson.cli.output import say
from keelson.cli.place import run_where_files_lie
from keelson.errors import BackupError


def key(stack: StackOption = None) -> None:
    """Print the stack's own identity, as age reads it: it opens every encrypted backup of the stack, so print it to a safe place.

    Example: keelson backup key > /media/usb/keelson-prod.age-key
    """
    chosen = context(stack)
    run_where_files_lie(chosen, "backup", "key")
    found = keys.read(chosen.stack.key)
    if not found.identities:
        msg = f"stack {chosen.stack_name} has no key for its backups yet; `keelson up` makes it"
        raise BackupError(msg)
    say(f"# the backups of {chosen.stack.key}")
    say(f"# public key: {found.recipients[0]}")
    say(found.identities[0])

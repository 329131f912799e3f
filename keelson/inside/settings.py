"""A stack's settings as the inside reads them, where there is neither a project nor an engine.

They hold no secret, and no path of the machine that wrote them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keelson import paths
from keelson.errors import SettingsError
from keelson.local import registry

if TYPE_CHECKING:
    from keelson.settings.stack import Stack

FILE = "stack-settings.json"
SECRET: Any = {
    "passwords": True,
    "point_in_time": {"passphrase": True},
    "backup": {"bucket": {"secret_key": True}},
    "pgadmin": {"password": True, "oidc": {"client_secret": True}},
}
OUTSIDE: Any = {"root": True, "settings": SECRET}


def dump(stack: Stack) -> str:
    """Return the settings as a text that is the same as long as they are."""
    values = stack.model_dump(mode="json", exclude=OUTSIDE, exclude_defaults=True, exclude_none=True)
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def put(key: str, text: str) -> None:
    """Keep the settings, in one step."""
    paths.write_private(paths.private_directory(registry.directory(key)) / FILE, text + "\n")


def load() -> Stack:
    """Return the settings of the stack whose state lies here; raises SettingsError where there are none that can be read."""
    from keelson.settings.stack import Stack  # noqa: PLC0415 - slow, and most questions do without

    found = sorted((paths.state() / "stacks").glob(f"*/{FILE}"))
    try:
        [path] = found
        values = json.loads(path.read_text(encoding="utf-8"))
        return Stack.model_validate({**values, "root": Path("/")})
    except (OSError, ValueError) as fault:
        msg = f"the settings of the stack cannot be read inside it ({fault}); run `keelson up -- --refresh`"
        raise SettingsError(msg) from None

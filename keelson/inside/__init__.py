"""What runs beside a stack's servers, where the stack's state lies: in the toolbox and the agent of a container platform.

There `KEELSON_INSIDE` is set, the registry, jobs and backups are plain files as they are on a laptop, and parts answer by their
names on the network. From outside, `keelson.inside.session` asks for what only the inside knows.
"""

from __future__ import annotations

import os

VARIABLE = "KEELSON_INSIDE"


def here() -> bool:
    """Say whether this process runs inside."""
    return bool(os.environ.get(VARIABLE))

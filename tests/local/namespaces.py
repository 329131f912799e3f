"""Running a piece of a test where this user may mount: in a user and mount namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def run(mount: str, program: str) -> str:
    """Run the shell words `mount`, then the Python text `program`, and return what that prints."""
    script = f'{mount} && exec "$0" -c "$1"'
    done = subprocess.run(
        ["/usr/bin/unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, sys.executable, program],
        capture_output=True, text=True, cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

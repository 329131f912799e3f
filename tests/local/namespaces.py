"""Running a piece of a test where this user may mount: in a user and mount namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def run(mount: str, program: str) -> str:
    """Run the shell words `mount`, then the Python text `program`, and return what that prints."""
    script = f'{mount} && exec "$0" -c "$1"'
    command = ["/usr/bin/unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, sys.executable, program]
    # The user takes itself for root there, and must not come upon root's own directories.
    with tempfile.TemporaryDirectory(prefix="k", ignore_cleanup_errors=True) as temporary:
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "TMPDIR": temporary}
        done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

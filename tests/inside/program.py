"""The module `keelson.inside.job` with a kind of job more, and with the programs of PostgreSQL that this machine has."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from keelson.agent import kinds  # noqa: E402 - after the path is set
from keelson.inside import job  # noqa: E402
from keelson.inside.target import InsideTarget  # noqa: E402
from keelson.local import client, throwaway  # noqa: E402
from keelson.local.sandbox import in_private_root  # noqa: E402

if __name__ == "__main__":
    kinds.MODULES["test"] = "tests.agent.kind"
    InsideTarget.client = lambda _self, program: client.command(program)  # type: ignore[method-assign]
    throwaway.in_container = in_private_root()
    sys.exit(job.main(sys.argv[1:]))

"""The agent and its runs with a kind of job more: `program.py agent KEY --port N`, `program.py run KEY JOB …`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from keelson.agent import kinds, run, service  # noqa: E402 - after the path is set

RUN = (sys.executable, __file__, "run")

if __name__ == "__main__":
    kinds.MODULES["test"] = "tests.agent.kind"
    mode, *arguments = sys.argv[1:]
    sys.exit(run.main(arguments) if mode == "run" else service.main(arguments, RUN))

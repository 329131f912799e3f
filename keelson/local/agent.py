"""The agent as a supervised process of this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

from keelson.agent import live
from keelson.local.daemon import DaemonSpec
from keelson.local.supervisor import Program

LOOPBACK = "127.0.0.1"
MODULE = ("-I", "-m", "keelson.agent")
# glibc gives each thread a heap of its own, which a process of short threads never fills.
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}


class AgentKind:
    """What is particular to the agent; see `keelson.local.daemon.Kind` for what each method is for."""

    logins: ClassVar[tuple[str, ...]] = ()
    patience = 20.0
    warm_up = 3.0

    def check(self, spec: DaemonSpec) -> None:
        """Nothing can be wrong: it has no settings but its port and what stands for its code."""

    def prepare(self, spec: DaemonSpec, port: int) -> Program:
        """Return the program: this environment's Python by one name, whichever link led here.

        The code's digits are of no use to the agent; others make another program, which is started anew.
        """
        python = Path(sys.prefix).resolve() / "bin" / "python3"
        variables = ENVIRONMENT | {"KEELSON_CODE": str(spec.settings.get("code", ""))}
        return Program(spec.name, (str(python), *MODULE, spec.key, "--port", str(port)), environment=variables)

    def update(self, spec: DaemonSpec, port: int) -> bool:  # noqa: ARG002 - the interface's signature
        """It reads what it needs while it runs."""
        return False

    def answers(self, spec: DaemonSpec, port: int) -> str:
        """Ask whether the agent itself works; what it has to tell about the stack stands on /health."""
        return live.fault_of(spec.key, LOOPBACK, port)

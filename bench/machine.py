"""On what the figures were measured, and what else worked there."""

from __future__ import annotations

import os
import platform


def machine() -> str:
    """Return the machine in a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{os.cpu_count()} cores, {memory:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}"


def load() -> str:
    """Return the load averages of one, five and fifteen minutes."""
    return " ".join(f"{each:.1f}" for each in os.getloadavg())

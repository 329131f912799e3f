"""How long tests wait for what is to come.

A deadline tells a test that hangs from one that is slow; what must be fast is measured by the benchmarks. CI does much else beside each test.
"""

from __future__ import annotations

import os
import time

_LONGER = 3 if os.environ.get("CI") else 1


def deadline(seconds: float) -> float:
    """Return the moment, by the monotonic clock, until which a test waits that needs at most `seconds` on a quiet machine."""
    return time.monotonic() + seconds * _LONGER

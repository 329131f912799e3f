"""Ends the provider's process when the engine is gone.

The engine's plugin script does not exec and the provider's server waits for ever, so after a kill of the engine an
orphan could go on running SQL. Its standard output is a pipe to the engine: when nobody reads it any more, the process
ends, and with `client_connection_check_interval` the servers drop what it was running.
"""

from __future__ import annotations

import functools
import os
import select
import stat
import sys
import threading


@functools.cache
def end_with_the_engine() -> None:
    """Start to watch, once per process; does nothing where standard output is no pipe."""
    descriptor = sys.stdout.fileno()
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return
    threading.Thread(target=_watch, args=(descriptor,), name="engine-watch", daemon=True).start()


def _watch(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # errors and hang-ups are always reported
    poll.poll()
    os._exit(1)

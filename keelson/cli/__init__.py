"""The command line: `keelson`. Exit status 0: as it should be; 1: not; 2: wrong use."""

from __future__ import annotations

import gc
import sys

from keelson.cli.application import application
from keelson.cli.output import complain
from keelson.errors import KeelsonError

__all__ = ["main"]

INTERRUPTED = 130
_MOST_NEW = (
    100_000  # objects; what is imported stays, and to look through it again and again takes a tenth of the start
)


def main() -> None:
    """Run the command line; every expected fault is one sentence."""
    gc.set_threshold(_MOST_NEW)
    try:
        application()
    except KeelsonError as fault:
        complain(str(fault))
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:  # Typer makes an interrupt an exit
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        complain("interrupted; run the command again to finish")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of a pipe has gone
        sys.stderr.close()
        sys.exit(1)
    finally:
        gc.freeze()  # the process ends; what it holds need not be looked through once more

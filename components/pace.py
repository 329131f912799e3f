"""Keeps a program of many resources fast: leaves out what the SDK and the interpreter do for each of them, and nobody needs."""

from __future__ import annotations

import gc
import os

from pulumi import log

DEBUG = "KEELSON_DEBUG"  # the variable with which the SDK's debug messages stay
OBJECTS = 100_000  # made until the interpreter looks for cycles among them; usually 700


def hasten() -> None:
    """Send no debug messages of the SDK, four calls to the engine for each resource, and look for garbage seldom.

    `pulumi up --debug` shows those messages where KEELSON_DEBUG is set.
    """
    gc.freeze()
    gc.set_threshold(OBJECTS, *gc.get_threshold()[1:])
    if not os.environ.get(DEBUG):
        log.debug = _keep


def _keep(*_: object, **__: object) -> None:
    """Keep a message to oneself."""

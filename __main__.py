"""The program: read the settings, build the platform, export its outputs."""

import asyncio
from pathlib import Path
from typing import Any

import pulumi

from components.pace import hasten
from components.platform import Platform, program
from components.traces import short_stack_traces
from keelson.errors import KeelsonError
from keelson.settings.stack import read_stack


async def main() -> dict[str, Any]:
    """Build the stack that is selected; return its outputs."""
    try:
        config = pulumi.runtime.config.CONFIG.get()
        stack = read_stack(config, pulumi.get_project(), pulumi.get_stack(), Path.cwd())
        with short_stack_traces():
            platform = Platform(stack)
    except KeelsonError as fault:
        raise pulumi.RunError(str(fault)) from None
    # Where its calls have begun, the SDK waits for one after the other; else for all outputs at once, anew after each.
    await asyncio.sleep(0)
    return {"endpoints": platform.endpoints, "versions": platform.versions, "program": program()}


hasten()
pulumi.run(main)

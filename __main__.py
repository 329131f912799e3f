"""The program: read the settings, build the platform, export its outputs."""

from pathlib import Path

import pulumi

from components.platform import Platform, program
from components.traces import short_stack_traces
from keelson.errors import KeelsonError
from keelson.settings.stack import read_stack


def main() -> None:
    """Build the stack that is selected."""
    try:
        config = pulumi.runtime.config.CONFIG.get()
        stack = read_stack(config, pulumi.get_project(), pulumi.get_stack(), Path.cwd())
        with short_stack_traces():
            platform = Platform(stack)
    except KeelsonError as fault:
        raise pulumi.RunError(str(fault)) from None
    pulumi.export("endpoints", platform.endpoints)
    pulumi.export("versions", platform.versions)
    pulumi.export("program", program())


main()

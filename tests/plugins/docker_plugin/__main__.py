"""Run the plugin: `python -m docker_plugin ENGINE`."""

from .server import main

main()

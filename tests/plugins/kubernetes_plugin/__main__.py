"""Run the plugin: `python -m kubernetes_plugin ENGINE`."""

from .server import main

main()

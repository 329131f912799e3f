"""Servers and daemons as containers of a Docker daemon."""

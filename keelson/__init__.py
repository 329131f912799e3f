"""Keelson: one database per service, the same in every environment."""

__version__ = "0.1.0"

"""Roles, databases, grants and ownership on a PostgreSQL server."""

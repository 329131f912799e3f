"""Backups: written, read back before they count, kept, pruned and restored.

`making` does it, `engines` says what is particular to PostgreSQL and Redis, `store` knows where backups lie.
"""

"""Backups: dumps that are read back before they count."""

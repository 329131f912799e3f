"""The audit trail of a database: whether it is whole, where it ends, and what stands in it.

The trail is written by triggers that a migration makes (schema `audit`); nothing here writes to it.
"""

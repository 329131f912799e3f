"""Databases that are older than their ledger here: the ledgers of other tools are taken over, or a beginning is said."""

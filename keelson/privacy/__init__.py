"""A person's rows in all databases of a stack: what they are, a copy for the person, and their erasure.

`sql/<database>/privacy.yaml` says which rows are a person's (`keelson.settings.privacy`); what erasing did is kept in receipts.
"""

"""A stand-in for pulumi-resource-docker 5.1.0: test equipment, used where the official plugin cannot be had.

It creates the official resource types with the official inputs on a real daemon, through PyPI's `docker`. What it does
follows kreuzwerker's Terraform provider 4.5.0, of which the official plugin is a bridge: defaults, what replaces, what
is read back, how long it waits, also where that surprises. The product never imports it.

`server` speaks to the engine, `kinds` knows what is said about each resource type, and `containers`, `networks`,
`volumes`, `images` do the work.
"""

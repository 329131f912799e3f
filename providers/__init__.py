"""Dynamic providers: thin adapters from Pulumi to the library.

Each class is pickled by reference, so a module or class that stands in a stack's state keeps its name.
"""

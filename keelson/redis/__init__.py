"""Redis: its users, a connection to it, its state."""

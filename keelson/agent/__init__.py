"""The agent: runs a stack's jobs on their schedules, and says how the stack is."""

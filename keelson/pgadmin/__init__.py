"""pgAdmin for a stack. These modules run in pgAdmin's own environment, which has none of Keelson's dependencies.

| module | holds |
|---|---|
| `serve` | the program: gunicorn with one worker |
| `configuration` | pgAdmin's configuration |
| `wanted` | what the stack's registry says about login and list |
| `store` | pgAdmin's database, brought to that |
"""

from __future__ import annotations

from pathlib import Path


def serve_script() -> Path:
    """Return the program, which pgAdmin's own Python runs."""
    return Path(__file__).with_name("serve.py")

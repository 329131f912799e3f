"""pgAdmin for a stack. These modules run in pgAdmin's own environment, which has none of Keelson's dependencies.

| module | holds |
|---|---|
| `serve` | the program: gunicorn with one worker |
| `configuration` | pgAdmin's configuration |
| `wanted` | login and list |
| `stack`, `mounted` | where they stand: the stack's registry, or a container's variables and files |
| `store` | pgAdmin's database, brought to that |
| `packages` | what of PyPI it runs with |
"""

from __future__ import annotations

from pathlib import Path


def serve_script() -> Path:
    """Return the program, which pgAdmin's own Python runs."""
    return Path(__file__).with_name("serve.py")

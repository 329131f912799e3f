"""How PostgreSQL writes an expression down once more after it has read its own text of it.

`status IN ('new', 'filled')` on a varchar column is written `(ARRAY['new'::character varying, …])::text[]`; who reads that gets
the cast for each element, and so does a restored database (`transformArrayExpr` in PostgreSQL's parse_expr.c).
"""

from __future__ import annotations

import re

from keelson.postgres.snapshot.model import Snapshot

_TYPE = r"[a-z][a-z ]*(?:\(\d+\))?"
_LITERAL = rf"E?'(?:[^']|'')*'::{_TYPE}"
_CAST_ARRAY = re.compile(rf"\(ARRAY\[((?:{_LITERAL})(?:, {_LITERAL})*)\]\)::({_TYPE})\[\]")


def as_restored(snapshot: Snapshot) -> Snapshot:
    """Return a catalog with all definitions as PostgreSQL writes them down after a restore."""
    objects = {
        key: {label: {fact: _written(value) for fact, value in facts.items()} for label, facts in parts.items()}
        for key, parts in snapshot.objects.items()
    }
    return Snapshot(objects, snapshot.server_version)


def _written(text: str) -> str:
    return _CAST_ARRAY.sub(_cast_elements, text) if "(ARRAY[" in text else text


def _cast_elements(found: re.Match[str]) -> str:
    elements, to = found.groups()
    return f"ARRAY[{re.sub(_LITERAL, lambda each: f'({each[0]})::{to}', elements)}]"

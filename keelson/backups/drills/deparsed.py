"""How PostgreSQL writes an expression down once more after it has read its own text of it.

`status IN ('new', 'filled')` on a varchar column is written `(ARRAY['new'::character varying, …])::text[]`; who reads that gets
the cast for each element, and so does a restored database (`transformArrayExpr` in PostgreSQL's parse_expr.c).
"""

from __future__ import annotations

import re

_TYPE = r"[a-z][a-z ]*(?:\(\d+\))?"
_LITERAL = rf"E?'(?:[^']|'')*'::{_TYPE}"
_CAST_ARRAY = re.compile(rf"\(ARRAY\[((?:{_LITERAL})(?:, {_LITERAL})*)\]\)::({_TYPE})\[\]")


def as_restored(text: str) -> str:
    """Return a definition as PostgreSQL writes it down after a restore."""
    return _CAST_ARRAY.sub(_cast_elements, text)


def _cast_elements(found: re.Match[str]) -> str:
    elements, to = found.groups()
    return f"ARRAY[{re.sub(_LITERAL, lambda each: f'({each[0]})::{to}', elements)}]"

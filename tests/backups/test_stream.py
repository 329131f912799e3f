from __future__ import annotations

import pytest

from keelson.backups.stream import LARGE_OBJECTS, RowCounter, table_name

TEXT = rb"""--
-- PostgreSQL database dump
--

SELECT pg_catalog.set_config('search_path', '', false);

COPY public.notes (id, body) FROM stdin;
1	one
2	COPY public.other (a) FROM stdin;
3	ends with \\.
4	\N
\.


COPY public.empty (a) FROM stdin;
\.


COPY public.nothing  FROM stdin;


\.

COPY "A b.""c"."x;y" ("p q", "(FROM stdin;") FROM stdin;
a	b
\.


COPY public."two
lines" (a) FROM stdin;
1
\.


SELECT pg_catalog.setval('public.notes_id_seq', 4, true);

BEGIN;

SELECT pg_catalog.lo_open('18390', 131072);
SELECT pg_catalog.lowrite(0, '\x616263');
SELECT pg_catalog.lo_close(0);

COMMIT;
"""
COUNTS = {
    "public.notes": 4,
    "public.empty": 0,
    "public.nothing": 2,
    '"A b.""c"."x;y"': 1,
    'public."two\nlines"': 1,
    LARGE_OBJECTS: 1,
}


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 16, 100, 10_000])
def test_rows_are_counted_whatever_the_blocks_are(size: int) -> None:
    counter = RowCounter()
    for start in range(0, len(TEXT), size):
        counter.take(TEXT[start : start + size])
    assert counter.counts == COUNTS


def test_names_are_quoted_where_they_must_be() -> None:
    assert table_name("public", "notes") == "public.notes"
    assert table_name("Public", "a.b") == '"Public"."a.b"'
    assert table_name("public", 'q"q') == 'public."q""q"'

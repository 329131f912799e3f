from __future__ import annotations

import postgast
import pytest
from postgast import pg_query_pb2 as grammar

from keelson.errors import IdentifierError
from keelson.postgres.names import RESERVED_WORDS, RoleNames, validate_login_name, validate_service_name

BAD = [
    ("", "start with a letter"),
    ("1auth", "start with a letter"),
    ("_auth", "start with a letter"),
    ("Auth", "start with a letter"),
    ("au-th", "start with a letter"),
    ("au th", "start with a letter"),
    ('au"th', "start with a letter"),
    ("au'th", "start with a letter"),
    ("auth;drop database postgres", "start with a letter"),
    ("auth\n", "start with a letter"),
    ("müller", "start with a letter"),
    ("auth\x00", "start with a letter"),
    ("a" * 41, "40 is the most"),
    ("postgres", "PostgreSQL uses it itself"),
    ("template0", "PostgreSQL uses it itself"),
    ("template1", "PostgreSQL uses it itself"),
    ("public", "PostgreSQL uses it itself"),
    ("none", "PostgreSQL uses it itself"),
    ("pg_auth", "belong to PostgreSQL"),
    ("user", "reserved word"),
    ("select", "reserved word"),
    ("order", "reserved word"),
    ("left", "reserved word"),
]


@pytest.mark.parametrize("name", ["a", "auth", "auth_2", "a" * 40, "signals", "timeseries", "pgauth"])
def test_usual_names_are_allowed(name: str) -> None:
    validate_service_name(name)


@pytest.mark.parametrize(("name", "rule"), BAD, ids=lambda value: repr(value)[:20])
def test_a_bad_name_is_refused_with_its_rule(name: str, rule: str) -> None:
    with pytest.raises(IdentifierError, match=rule) as caught:
        validate_service_name(name)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_login_may_not_be_one_of_the_services_roles() -> None:
    validate_login_name("tetra_reader", "market")
    for role in (*RoleNames("market").groups, *RoleNames("market").logins):
        with pytest.raises(IdentifierError, match="makes for 'market' itself"):
            validate_login_name(role, "market")


def test_the_longest_names_fit_into_an_identifier() -> None:
    roles = RoleNames("a" * 40)
    assert max(len(role) for role in (*roles.groups, *roles.logins)) <= 63


def test_reserved_words_are_those_of_the_grammar() -> None:
    kinds = (grammar.RESERVED_KEYWORD, grammar.TYPE_FUNC_NAME_KEYWORD)
    words = {key.lower().removesuffix(suffix) for key in grammar.Token.keys() for suffix in ("", "_p")}  # noqa: SIM118
    scanned = {word: postgast.scan(word).tokens for word in words if word.isidentifier()}
    reserved = {word for word, tokens in scanned.items() if len(tokens) == 1 and tokens[0].keyword_kind in kinds}
    assert reserved == RESERVED_WORDS

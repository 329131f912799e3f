"""Checks of what is in the databases of services."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from keelson.migrations.secrets import suspicions
from keelson.postgres.hardening.facts import Facts
from keelson.postgres.hardening.model import Judgement, judged, unjudged
from keelson.wording import counted

SHORTEST = 8  # of a password that is not found in a text by chance
_PASSWORDS = re.compile(
    r"'[^'\n]*\bpassword=(?!\W)[^\s']{3,}[^'\n]*'"  # of a connection string
    r"|\bPASSWORD\s+'(?![%'])[^'\n]+'",  # of a role
    re.IGNORECASE,
)
_IN_A_PARAMETER = re.compile(r"\bpassword=(?!\W)\S{3,}", re.IGNORECASE)


def public_connects(facts: Facts) -> Judgement:
    """PUBLIC may not connect to a service's database, nor make temporary tables there."""
    faults = (
        f"PUBLIC has {' and '.join(each.public)} on {each.name}" for each in facts.services.values() if each.public
    )
    return judged(faults, _of_databases(facts))


def _question(name: str, facts: Facts) -> Judgement:
    return judged((fault for found in facts.inside.values() for fault in found[name]), _of_databases(facts))


open_schemas = partial(_question, "open_schemas")
unpinned_definers = partial(_question, "unpinned_definers")
public_definers = partial(_question, "public_definers")
row_security = partial(_question, "row_security")
owners = partial(_question, "owners")


def extensions(facts: Facts) -> Judgement:
    """A database has the extensions that its description names, and no others."""
    if facts.expected.databases is None:
        return unjudged("a URL does not say which extensions there should be; name a stack")
    return _question("extensions", facts)


def passwords(facts: Facts) -> Judgement:
    """No password stands in a parameter, in a function or in a comment."""
    return judged(dict.fromkeys(_told(facts)), f"{counted(len(facts.texts), 'text')} read")


def _told(facts: Facts) -> Iterator[str]:
    known = [password for password in facts.expected.passwords if len(password) >= SHORTEST]
    for where, text in facts.texts:
        if any(password in text for password in known):
            yield f"{where} has a password of the stack"
        elif kind := next((found.kind for found in suspicions([text.encode()])), ""):
            yield f"{where} has what looks like {kind}"
        elif (_IN_A_PARAMETER if where.startswith("the parameter") else _PASSWORDS).search(text):
            yield f"{where} has what looks like a password"


def _of_databases(facts: Facts) -> str:
    return f"none in {counted(len(facts.services), 'database')}"

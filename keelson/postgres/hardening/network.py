"""Checks of the ways in: pg_hba.conf, TLS, addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from keelson.postgres.hardening.facts import Facts
from keelson.postgres.hardening.model import Judgement, bad, good, judged, unjudged
from keelson.postgres.hardening.rules import ALL, Rule, of_user, reached

WEAK_METHODS = frozenset({"trust", "password", "md5"})
WIDEST = {4: 16, 6: 48}  # bits of a network that one organisation's machines share
TLS_VERSIONS = ("TLSv1.2", "TLSv1.3")
WEAK_CIPHERS = re.compile(
    r"(?:^|[:, ])(?![!-])\+?(ALL|DEFAULT|COMPLEMENTOFDEFAULT|MEDIUM|LOW|EXP\w*|[ae]?NULL|3?DES[^:, ]*|RC[24][^:, ]*|MD5[^:, ]*|A?DH-anon)(?=[:, ]|$)"
)
EVERYWHERE = frozenset({"*", "0.0.0.0", "::"})  # noqa: S104 - what is looked for


def methods(facts: Facts) -> Judgement:
    """Each line of pg_hba.conf asks for more than a name or an old kind of password."""
    faults = [f"{rule.text} cannot be read: {rule.error}" for rule in facts.rules if rule.error]
    faults += [f"{rule.text} lets in by {rule.method}" for rule in facts.rules if rule.method in WEAK_METHODS]
    used = sorted({rule.method for rule in facts.rules if rule.lets_in})
    return judged(faults, ", ".join(used))


def encrypted_rules(facts: Facts) -> Judgement:
    """From another machine nobody is let in without TLS."""
    plain = (
        f"{rule.text} lets in without TLS" for rule in _remote(facts) if rule.type not in {"hostssl", "hostgssenc"}
    )
    return judged(plain, _counted(facts))


def narrow_rules(facts: Facts) -> Judgement:
    """Each line for other machines names its databases, its roles and their network."""
    faults = (f"{rule.text} lets in {wide}" for rule in _remote(facts) if (wide := _wide(facts, rule)))
    return judged(faults, _counted(facts))


def superusers_stay(facts: Facts) -> Judgement:
    """No superuser is let in from another machine."""
    superusers = [role.name for role in facts.roles.values() if role.superuser and role.login]
    faults = [
        f"{rule.text} lets in {name}"
        for name in superusers
        for rule in of_user(facts.rules, name)
        if rule.is_remote and rule.lets_in and not (facts.expected.behind_a_network and rule.is_private)
    ]
    place = "private networks alone" if facts.expected.behind_a_network else "the server's own machine alone"
    return judged(faults, f"{', '.join(superusers)} from {place}")


def tls(facts: Facts) -> Judgement:
    """Connections can be encrypted, by no old version of TLS."""
    settings = facts.settings
    if settings["ssl"] != "on":
        return bad("ssl is off")
    if settings["ssl_min_protocol_version"] not in TLS_VERSIONS:
        return bad(f"ssl_min_protocol_version is {settings['ssl_min_protocol_version'] or 'empty'}")
    return good(f"{settings['ssl_min_protocol_version']} at least")


def ciphers(facts: Facts) -> Judgement:
    """No weak cipher is offered."""
    if facts.settings["ssl_min_protocol_version"] == "TLSv1.3":
        return good("those of TLSv1.3, none of which is weak")
    chosen = facts.settings["ssl_ciphers"]
    weak = WEAK_CIPHERS.findall(chosen)
    return judged((f"ssl_ciphers ({chosen}) offers {name}" for name in weak), chosen)


def addresses(facts: Facts) -> Judgement:
    """A server of one machine listens to that machine alone."""
    listening = facts.settings["listen_addresses"]
    wide = EVERYWHERE & {address.strip() for address in listening.split(",")}
    if not wide:
        return good(listening or "sockets alone")
    if facts.expected.behind_a_network:
        return good(f"{listening}, on the network that the stack gives it")
    if facts.is_of_this_machine:
        return bad(f"listen_addresses is {listening}")
    return unjudged(
        f"listen_addresses is {listening}; who reaches it through the network before it cannot be seen from here"
    )


def _remote(facts: Facts) -> Iterator[Rule]:
    return (rule for rule in reached(facts.rules) if rule.is_remote and rule.lets_in)


def _counted(facts: Facts) -> str:
    number = len(list(_remote(facts)))
    return f"{number} lines for other machines" if number else "no line for other machines"


def _wide(facts: Facts, rule: Rule) -> str:
    if ALL in rule.databases and ALL in rule.users:
        return "everybody into every database"
    if rule.method == "cert":  # lets in who has one, wherever that is
        return ""
    if rule.address == ALL or (rule.network and not rule.network.prefixlen):
        return "every address"
    if facts.expected.behind_a_network:  # of which private networks are many, and no others reach it
        return ""
    if rule.network and rule.network.prefixlen < WIDEST[rule.network.version]:
        return f"a network of {rule.network.num_addresses} addresses"
    return ""

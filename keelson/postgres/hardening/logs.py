"""Checks of what the server writes down."""

from __future__ import annotations

from keelson.postgres.hardening.facts import Facts
from keelson.postgres.hardening.model import Judgement, bad, good, judged

OFF = frozenset({"", "off", "no", "false", "0"})
DISCREET = frozenset({"info", "notice", "log", "warning", "error"})
STATEMENTS = frozenset({"ddl", "mod", "all"})
PREFIX = {  # what should stand in log_line_prefix: by which of its letters
    "time": "mtn",
    "process": "p",
    "role": "u",
    "database": "d",
    "client": "hr",
}
COMPLETE_FORMS = frozenset({"csvlog", "jsonlog"})  # which have all of it by themselves
LIBRARY, AUDITED = "pgaudit", "pgaudit.log"
UTC = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Zulu", "UCT", "Universal"})


def connections(facts: Facts) -> Judgement:
    """Who connects is written down."""
    return _is_on(facts, "log_connections")


def disconnections(facts: Facts) -> Judgement:
    """Who leaves is written down."""
    return _is_on(facts, "log_disconnections")


def line_prefix(facts: Facts) -> Judgement:
    """A line says when, by which process, for whom, in which database and from where it was written."""
    prefix, forms = facts.settings["log_line_prefix"], facts.settings["log_destination"]
    if "stderr" not in forms and COMPLETE_FORMS & set(forms.replace(" ", "").split(",")):
        return good(f"{forms}, which has all")
    missing = [part for part, letters in PREFIX.items() if not any(f"%{letter}" in prefix for letter in letters)]
    return judged((f"log_line_prefix ({prefix}) has no {part}" for part in missing), prefix)


def statements(facts: Facts) -> Judgement:
    """What changes the schema is written down."""
    found = facts.settings["log_statement"]
    return good(found) if found in STATEMENTS else bad(f"log_statement is {found}")


def slow(facts: Facts) -> Judgement:
    """What waits long for a lock, or takes long, is written down."""
    settings = facts.settings
    faults = [] if settings["log_lock_waits"] not in OFF else ["log_lock_waits is off"]
    if settings["log_min_duration_statement"].startswith("-"):
        faults.append("log_min_duration_statement is off")
    return judged(faults, f"waits for locks, and statements from {settings['log_min_duration_statement']} ms on")


def time_zone(facts: Facts) -> Judgement:
    """Times in the log are UTC."""
    zone = facts.settings["log_timezone"]
    return good(zone) if zone in UTC else bad(f"log_timezone is {zone}")


def messages(facts: Facts) -> Judgement:
    """Clients are told nothing of the server's inside."""
    places = {("", "", "client_min_messages"): facts.settings["client_min_messages"]} | {
        place: value for place, value in facts.role_settings.items() if place[2] == "client_min_messages"
    }
    leaking = (
        f"client_min_messages of {role or database or 'the server'} is {value}"
        for (database, role, _), value in places.items()
        if value.lower() not in DISCREET
    )
    return judged(leaking, facts.settings["client_min_messages"])


def audit(facts: Facts) -> Judgement:
    """Where the server has pgAudit, it audits."""
    if LIBRARY not in facts.settings["shared_preload_libraries"].replace('"', "").replace(" ", "").split(","):
        query = "SELECT FROM pg_catalog.pg_available_extensions WHERE name = %s"
        if facts.admin.execute(query, [LIBRARY]).fetchone() is None:
            return good(
                "without pgAudit, which the server does not have: log_statement writes down what changes the schema"
            )
        return bad("the server has pgAudit, and does not load it")
    here = ("", "", AUDITED)
    places = {here: facts.settings.get(AUDITED, "none"), **facts.role_settings}
    silent = (
        f"pgAudit is loaded, and {AUDITED} of {role or database or 'the server'} is none"
        for (database, role, name), value in places.items()
        if name == AUDITED and value.lower() in {"", "none"}
    )
    return judged(silent, f"pgAudit logs {places[here]}")


def _is_on(facts: Facts, name: str) -> Judgement:
    found = facts.settings[name]
    return bad(f"{name} is {found or 'empty'}") if found.lower() in OFF else good(found)

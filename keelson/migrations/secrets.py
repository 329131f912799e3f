"""What looks like a secret in a text that lies in a repository: few patterns, each of which is hardly ever wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of secret: `marks` are texts of which one stands in each, and which are quickly found."""

    name: str
    marks: tuple[bytes, ...]
    pattern: re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What a line has; never the secret itself."""

    line: int
    kind: str


_WORD = rb"[A-Za-z0-9_-]"
_KINDS = tuple(
    _Kind(name, marks, re.compile(pattern))
    for name, marks, pattern in (
        ("a private key", (b"PRIVATE KEY",), rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
        ("an access key of AWS", (b"AKIA", b"ASIA"), rb"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
        ("a secret key of AWS", (b"secret_access_key", b"SECRET_ACCESS_KEY"), rb"(?i)secret_access_key\W{1,6}[A-Za-z0-9/+]{40}\b"),
        ("a token of GitHub", (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"), rb"\bgh[pousr]_[A-Za-z0-9]{36,}"),
        ("a token of GitHub", (b"github_pat_",), rb"\bgithub_pat_\w{50,}"),
        ("a token of GitLab", (b"glpat-",), rb"\bglpat-" + _WORD + rb"{20,}"),
        ("a key of Stripe", (b"k_live_", b"k_test_"), rb"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"),
        ("a secret of Stripe", (b"whsec_",), rb"\bwhsec_[A-Za-z0-9+/]{24,}"),
        ("a token of Slack", (b"xox", b"xapp-"), rb"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}"),
        ("a webhook of Slack", (b"hooks.slack.com",), rb"hooks\.slack\.com/services/T\w+/B\w+/\w{16,}"),
        ("a key of Google", (b"AIza",), rb"\bAIza" + _WORD + rb"{35}"),
        ("a key of SendGrid", (b"SG.",), rb"\bSG\." + _WORD + rb"{20,24}\." + _WORD + rb"{40,46}\b"),
        ("a key of Anthropic or OpenAI", (b"sk-ant-", b"sk-proj-"), rb"\bsk-(?:ant|proj)-" + _WORD + rb"{20,}"),
        ("a token of npm or PyPI", (b"npm_", b"pypi-"), rb"\b(?:npm_[A-Za-z0-9]{36}\b|pypi-AgE" + _WORD + rb"{30,})"),
        ("a JSON web token", (b"eyJ",), rb"\beyJ" + _WORD + rb"{8,}\.eyJ" + _WORD + rb"{8,}\." + _WORD + rb"{16,}"),
        # But for what stands in place of one: ${PASSWORD}, <password>, *** and the like.
        ("a password in a URL", (b"://",), rb"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@?#'\",]*:(?![*x.%$<{\[(])[^\s/@'\",]{3,}@[A-Za-z0-9\[]"),
    )
)  # fmt: skip


def suspicions(blocks: Iterable[bytes], first_line: int = 1) -> Iterator[Suspicion]:
    """Yield what looks like a secret in a text that comes in blocks of whole lines; line by line in each block."""
    for block in blocks:
        found = {
            (first_line + block.count(b"\n", 0, match.start()), kind.name)
            for kind in _KINDS
            if any(mark in block for mark in kind.marks)
            for match in kind.pattern.finditer(block)
        }
        yield from (Suspicion(line, name) for line, name in sorted(found))
        first_line += block.count(b"\n")

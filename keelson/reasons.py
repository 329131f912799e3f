"""Why something failed, where a library wraps exceptions in exceptions."""

from __future__ import annotations


def reason(fault: BaseException) -> str:
    """Return what the operating system or OpenSSL said at the root of a fault; else what the library said."""
    seen: list[BaseException] = [fault]
    for each in seen:
        inner = [each.__cause__, each.__context__, *each.args, getattr(each, "reason", None)]
        if isinstance(each, OSError) and each.strerror:
            return " ".join(each.strerror.split())
        seen += [one for one in inner if isinstance(one, BaseException) and one not in seen]
    return " ".join(str(fault).split())

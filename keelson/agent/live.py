"""Whether an agent itself works, asked on its page /live; what it has to tell about the stack stands on /health."""

from __future__ import annotations

import http.client
import json

SECONDS = 2.0  # until it must have answered


def fault_of(key: str, host: str, port: int) -> str:
    """Return why the agent of stack `key` does not work; nothing where it does."""
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", "/live")
        answer = connection.getresponse()
        told = json.loads(answer.read(4096))
        if told["stack"] != key:
            return f"the agent of stack {told['stack']} answers on its port"
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return "does not answer"
    finally:
        connection.close()
    return "" if answer.status == http.client.OK else "its schedule stands still"

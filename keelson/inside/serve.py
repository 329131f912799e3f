"""Answers questions of one session: `python3 -I -m keelson.inside.serve KEY`, a line of JSON in, a line of JSON out.

A question is `{"ask": operation, "with": {argument: value}}`; an answer `{"answer": value}`, or `{"error": class, "sentence": text}` for
an expected fault. It ends when nobody writes to it any more.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from keelson.errors import KeelsonError
from keelson.inside import operations


def main(argv: list[str]) -> int:
    """Answer until standard input ends."""
    key = argv[0]
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(key, json.loads(line))) + "\n")
        sys.stdout.flush()
    return 0


def _answer(key: str, question: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"answer": operations.find(question["ask"])(key, **question["with"])}
    except KeelsonError as fault:
        return {"error": type(fault).__name__, "sentence": str(fault)}
    except Exception as fault:  # noqa: BLE001 - a defect is told to who asked, with what is known of it
        traceback.print_exc()
        return {
            "error": "PlatformError",
            "sentence": f"unexpected {type(fault).__name__} in {question['ask']}: {fault}",
        }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

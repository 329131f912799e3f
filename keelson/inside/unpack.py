"""Writes the files of a tar archive on standard input below a directory: `python3 -I -m keelson.inside.unpack DIRECTORY`."""

from __future__ import annotations

import sys
import tarfile


def main(argv: list[str]) -> int:
    """Read to the archive's end; return an exit status."""
    try:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python has it since 3.11.4
            archive.extractall(argv[0])  # noqa: S202 - Keelson made the archive
    except (OSError, tarfile.TarError) as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

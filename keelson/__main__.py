"""`python -m keelson`: the command line."""

from keelson.cli import main

main()

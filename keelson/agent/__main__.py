"""`python -m keelson.agent KEY --port N`."""

import sys

from keelson.agent.service import main

sys.exit(main(sys.argv[1:]))

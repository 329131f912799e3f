#!/bin/sh
# alone.sh VOLUME COMMAND...: becomes the command as soon as nobody else works on the volume. A pod that was deleted by force may
# still run while the next one starts on the same node, and two servers would destroy their data.
set -eu
trap 'exit 143' TERM INT # the first process of a container ignores what it does not trap

# held: say whether somebody else has it. Where it cannot be locked, as on some network file systems, nobody is waited for.
held() {
    status=0
    flock -n 9 || status=$?
    [ "$status" -eq 1 ]
}

volume=$1
shift
exec 9<"$volume"
! held || echo "keelson: waits until nobody else works on $volume" >&2
while held; do sleep 1; done
exec "$@"

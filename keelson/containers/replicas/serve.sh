#!/bin/sh
# serve.sh FILE: runs Redis with a configuration, and has it end when it shall. Asked to end while it writes its first log, as after it
# took all from a master, it refuses once and for all: so it is asked again, until it has ended.
set -eu

insist() { while kill -TERM "$redis" 2>/dev/null; do sleep 1; done; }

redis-server "$1" &
redis=$!
trap 'insist &' TERM INT
while :; do # a signal ends the wait
    status=0
    wait "$redis" || status=$?
    kill -0 "$redis" 2>/dev/null || exit "$status"
done

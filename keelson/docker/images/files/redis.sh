#!/bin/sh
# Starts Redis: the contract of the official image. As there, a server without a configuration file is not in
# protected mode: who reaches it is decided by the container's networks.
set -eu

case ${1:-} in
'' | -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ]; then
    if [ ! -w . ]; then
        echo "keelson: error: $(pwd) cannot be written by user $(id -u); give it to that user or mount another volume" >&2
        exit 1
    fi
    umask 0077
    case "$*" in
    *.conf* | *protected-mode*) ;;
    *) set -- "$@" --protected-mode no ;;
    esac
fi
exec "$@"

#!/bin/sh
# Becomes Redis, with the platform's users as the stack knows them and all other users as they were.
set -eu
umask 077
config=/etc/keelson data=/data

# keep FILE: replace a file of the data in one step by what comes in.
keep() {
    cat >"$data/$1.new"
    sync "$data/$1.new"
    mv "$data/$1.new" "$data/$1"
}

[ -w "$data" ] || {
    echo "keelson: error: $data cannot be written by user $(id -u); give the volume to that user" >&2
    exit 1
}
[ -e "$data/log.conf" ] || keep log.conf <"$config/log.conf"
{
    cat "$config/platform.acl"
    if [ -e "$data/users.acl" ]; then
        sed 's/^\(user [^ ]*\) .*/^\1 /' "$config/platform.acl" | grep -v -f - "$data/users.acl" || true
    fi
} | keep users.acl
cd "$data"
exec redis-server "$config/redis.conf"

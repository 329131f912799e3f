#!/bin/sh
# Becomes one instance of a Redis that has several: the master, or a replica of it, as most of the sentinels say.
set -eu
trap 'exit 143' TERM INT # as the first process it would ignore them
umask 077
. /etc/keelson/common.sh

# keep FILE: replace a file of the data in one step by what comes in.
keep() {
    cat >"$data/$1.new"
    sync "$data/$1.new"
    mv "$data/$1.new" "$data/$1"
}

# leads: say whether this instance may start as the master that it is for the sentinels. Others may have been chosen by the time
# that it answers, and then two would take writes. So it waits for that choice, and leads only if there is nobody to choose.
leads() {
    [ "$replicas" -gt 0 ] || return 0
    [ "$tries" -gt 15 ] || return 1
    for each in $members; do
        case $(sentinel "$each" failover "$part" || true) in
        OK* | INPROG*) return 1 ;;
        NOGOODSLAVE*) break ;;
        esac
    done
    [ -e "$state/begun" ] # who has lost its data would take it from the others too
}

# choose: wait until it is clear who is the master. Only the first instance begins a Redis that no sentinel knows.
choose() {
    tries=0
    while :; do
        tries=$((tries + 1))
        look
        master=$(printf ' %s \n' "$master" | sed "$renew" | tr -d ' ')
        if [ "$answered" -eq "$count" ] || { [ "$answered" -ge "$majority" ] && [ "$tries" -gt 5 ]; }; then
            case $master in
            '') [ "$KEELSON_INSTANCE" != "$first" ] || return 0 ;;
            "$me") ! leads || return 0 ;;
            *) return 0 ;;
            esac
        fi
        [ $((tries % 10)) -ne 5 ] || echo "keelson: waits: $answered of $count sentinels answer, the master is ${master:-unknown}"
        sleep 1
    done
}

# watch: let the sentinel beside it know of the master, if it does not.
watch() {
    until known=$(sentinel "$KEELSON_INSTANCE" get-master-addr-by-name "$part"); do sleep 1; done
    [ -z "$known" ] || return 0
    until [ "$(sentinel "$KEELSON_INSTANCE" monitor "$part" "$master" 6379 "$majority")" = OK ]; do sleep 1; done
    REDISCLI_AUTH=$(cat "$config/sentinel.password") \
        redis-cli -h "$me" -p 26379 $tls --user sentinel --no-auth-warning <"$config/watched.conf" >/dev/null
}

[ -w "$data" ] || {
    echo "keelson: error: $data cannot be written by user $(id -u); give the volume to that user" >&2
    exit 1
}
resolve
renew=$(renewed "$state/instance.addresses")
choose
master=${master:-$me}
mkdir -p "$state"
: >"$state/begun"
printf '%s\n' "$addresses" >"$state/instance.addresses"
watch
[ -e "$data/log.conf" ] || keep log.conf <"$config/log.conf"
{
    cat "$config/platform.acl"
    cat /etc/keelson-users/services.acl 2>/dev/null || true
} >/tmp/known.acl
{
    cat /tmp/known.acl
    if [ -e "$data/users.acl" ]; then
        sed 's/^\(user [^ ]*\) .*/^\1 /' /tmp/known.acl | grep -v -f - "$data/users.acl" || true
    fi
} | keep users.acl
{
    cat "$config/redis.conf" "$config/replication.conf"
    echo "replica-announce-ip $me"
    [ "$master" = "$me" ] || echo "replicaof $master 6379"
} >/tmp/redis.conf # sentinels have it written anew
cd "$data"
exec sh "$config/serve.sh" /tmp/redis.conf

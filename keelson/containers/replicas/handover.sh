#!/bin/sh
# Hands the master's part over to a replica, if this instance is the master and has one: writes are refused until that has all.
set -eu
. /etc/keelson/common.sh
addresses=$(cat "$state/instance.addresses")

redis() {
    REDISCLI_AUTH=$(cat "$config/sentinel.password") timeout 3 redis-cli $tls --user sentinel --no-auth-warning "$@" 2>/dev/null
}

# equal: say whether all replicas have what the master had when it ceased to take writes.
equal() {
    redis info replication | tr -d '\r' | {
        offsets=''
        while IFS=: read -r name value; do
            case $name in slave[0-9]*) offsets="$offsets $(expr "$value" : '.*offset=\([0-9]*\)')" ;; esac
        done
        for each in $offsets; do [ "$each" -ge "$all" ] || exit 1; done
        [ -n "$offsets" ]
    }
}

# writes NUMBER: take writes while so many replicas follow. To pause them all would hold the sentinels' words up too.
writes() { redis config set min-replicas-to-write "$1" >/dev/null; }

fail() {
    echo "keelson: error: $1" >&2
    exit 1
}

# ask: have a sentinel choose another master; one beside another instance first, as the own may be ending.
ask() {
    for each in $(printf '%s\n' $members | grep -vx "$KEELSON_INSTANCE") "$KEELSON_INSTANCE"; do
        case $(sentinel "$each" failover "$part" || true) in OK* | INPROG*) return 0 ;; esac
    done
    return 1
}

# within SECONDS COMMAND: wait until it succeeds.
within() {
    left=$(($1 * 5))
    while ! "$2"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.2
    done
}

is_replica() { [ "$(redis role | head -n 1)" = slave ]; }
has_none() { redis info replication | grep -q '^connected_slaves:0'; }

! is_replica || exit 0
if has_none; then
    [ -z "${1:-}" ] || fail 'no replica follows'
    exit 0
fi
trap 'writes 1' EXIT
writes 1000
all=$(redis info replication | tr -d '\r' | sed -n 's/^master_repl_offset://p')
within 10 equal || fail 'a replica does not have all that was written'
ask || fail 'no sentinel chooses another master'
within 25 is_replica || fail 'another master was chosen, and it is not known here yet'

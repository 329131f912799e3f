# What the scripts of a Redis that has several instances share. They read it in.
config=/etc/keelson data=/data
. "$config/members"
state=$data/sentinel/$formation
domain=$(sed -n 's/^search \([^ ]*\).*/.\1/p' /etc/resolv.conf | head -n 1)

# resolve: set the addresses of all instances, of Services and so lasting: who looked names up while it works would
# stand still whenever these are not answered at once.
resolve() {
    until addresses=$(for each in $members; do
        found=$(getent hosts "$each$domain") || exit 1 # the bare name may be the pod's own
        echo "$each ${found%% *}"
    done); do sleep 1; done
    me=$(address "$KEELSON_INSTANCE")
}

# address INSTANCE: print its address.
address() { printf '%s\n' "$addresses" | sed -n "s/^$1 //p"; }

# renewed FILE: print a sed script that puts the addresses of now in place of those that FILE has, where Services were made anew.
renewed() {
    [ -e "$1" ] || return 0
    while read -r name old; do echo "s/ $(printf %s "$old" | sed 's/\./\\./g') / @$name@ /g"; done <"$1"
    printf '%s\n' "$addresses" | while read -r name new; do echo "s/ @$name@ / $new /g"; done
}

# sentinel INSTANCE WORD...: print what the sentinel beside an instance answers; fail where none does.
sentinel() {
    of=$(address "$1")
    shift
    [ -n "$of" ] || return 1
    REDISCLI_AUTH=$(cat "$config/sentinel.password") \
        timeout 3 redis-cli -h "$of" -p 26379 $tls --user sentinel --no-auth-warning sentinel "$@" 2>/dev/null
}

# look: ask all sentinels, and set how many answered, and what the newest word of them is.
look() {
    answered=0 epoch=-1 master='' flags='' replicas=0
    for each in $members; do
        told=$(sentinel "$each" master "$part") || continue
        case $told in
        *'No such master'*) answered=$((answered + 1)) ;;
        name*)
            answered=$((answered + 1))
            take
            ;;
        esac
    done
}

# take: keep what a sentinel told, where nothing newer is known.
take() {
    its_epoch=0 its_master='' its_flags='' its_replicas=0
    while read -r name && read -r value; do
        case $name in
        ip) its_master=$value ;;
        flags) its_flags=$value ;;
        num-slaves) its_replicas=$value ;;
        config-epoch) its_epoch=$value ;;
        esac
    done <<END
$told
END
    if [ "$its_epoch" -gt "$epoch" ]; then
        epoch=$its_epoch master=$its_master flags=$its_flags replicas=$its_replicas
    fi
}

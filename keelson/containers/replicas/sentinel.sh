#!/bin/sh
# Becomes the sentinel beside an instance, with the settings of now and what it knew before.
set -eu
trap 'exit 143' TERM INT # as the first process it would ignore them
umask 077
. /etc/keelson/common.sh

resolve
mkdir -p "$state"
file=$state/sentinel.conf
{
    cat "$config/sentinel.conf"
    echo "sentinel announce-ip $me"
    echo "sentinel myid $(printf %s "$formation $KEELSON_INSTANCE" | sha1sum | cut -c 1-40)" # the same on a new volume
    if grep -q '^sentinel monitor ' "$file" 2>/dev/null; then
        sed -n -e "s/^\(sentinel monitor .*\) [0-9]*\$/\1 $majority/p" \
            -e '/^sentinel known-replica .* 0$/d' \
            -e '/^sentinel \(config-epoch\|leader-epoch\|current-epoch\|known-replica\|known-sentinel\) /p' "$file" | sed -e 's/$/ /' -e "$(renewed "$state/sentinel.addresses")" -e 's/ $//'
        sed 's/^sentinel set \([^ ]*\) \([^ ]*\) /sentinel \2 \1 /' "$config/watched.conf"
    fi
} >"$file.new"
mv "$file.new" "$file"
printf '%s\n' "$addresses" >"$state/sentinel.addresses"
exec redis-server "$file" --sentinel

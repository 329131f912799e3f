#!/bin/sh
# Starts PostgreSQL and, where the data directory is empty, makes it first: the contract of the official image.
#
# It is made below $PGDATA/.making and moved up when it is whole, PG_VERSION last; so a kill at any time leaves either
# nothing that counts, or something that the next start completes.
set -eu

give_up() {
    echo "keelson: error: $1" >&2
    exit 1
}

# from_file NAME: take a variable's value from the file that NAME_FILE names.
from_file() {
    eval "given=\${$1:-} file=\${$1_FILE:-}"
    [ -n "$file" ] || return 0
    [ -z "$given" ] || give_up "both $1 and $1_FILE are set; set one of them"
    [ -r "$file" ] || give_up "cannot read $file, which $1_FILE names; mount it so that user $(id -u) may read it"
    eval "$1=\$(cat \"\$file\")"
    unset "$1_FILE"
}

check_place() {
    [ "$(id -u)" != 0 ] || give_up "PostgreSQL does not run as root; start the container as user $KEELSON_USER"
    mkdir -p "$PGDATA" 2>/dev/null && chmod 700 "$PGDATA" 2>/dev/null ||
        give_up "$PGDATA does not belong to user $(id -u); give it to that user or mount another volume"
}

check_password() {
    [ -n "${POSTGRES_PASSWORD:-}" ] ||
        give_up "the data directory is empty and no password is given; set POSTGRES_PASSWORD_FILE or POSTGRES_PASSWORD"
}

check_empty() {
    strange=$(find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name .making ! -name lost+found -print -quit)
    [ -z "$strange" ] ||
        give_up "$PGDATA holds $(basename "$strange") but no database; mount an empty volume, or the right one"
}

ask() {
    psql --quiet --no-psqlrc --no-password --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$@"
}

# Runs in a subshell: what it exports ends with it.
make_database() (
    export PGDATA="$making" PGHOST="$making"
    printf '%s\n' "$POSTGRES_PASSWORD" |
        eval 'initdb --username="$POSTGRES_USER" --pwfile=/dev/stdin --auth-local=trust --auth-host=scram-sha-256' \
            "--set=listen_addresses='*'" \
            ${POSTGRES_PRELOAD_LIBRARIES:+'--set=shared_preload_libraries="$POSTGRES_PRELOAD_LIBRARIES"'} \
            "${POSTGRES_INITDB_ARGS:-}" || give_up "initdb failed; its words are above"
    printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    pg_ctl --silent --wait start -o "-c listen_addresses='' -k '$making'" ||
        give_up "PostgreSQL does not start on the new data directory; its words are above"
    if [ "$POSTGRES_DB" != postgres ]; then
        echo 'CREATE DATABASE :"name"' | ask --dbname postgres --set name="$POSTGRES_DB"
    fi
    export POSTGRES_USER POSTGRES_DB
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
        *.sh) if [ -x "$script" ]; then "$script"; else sh "$script"; fi ;;
        *.sql) ask --dbname "$POSTGRES_DB" --file "$script" ;;
        *.sql.gz) gzip -dc "$script" | ask --dbname "$POSTGRES_DB" ;;
        */'*') continue ;;
        *) echo "keelson: $script is neither .sh nor .sql nor .sql.gz and was left out" ;;
        esac || give_up "$script failed; its words are above. The data directory is made anew at the next start"
    done
    pg_ctl --silent --wait --mode fast stop
    touch .whole && sync pg_hba.conf .whole . # initdb and the server's stop have written the rest to disk
)

make() {
    if [ ! -e "$making/.whole" ]; then
        check_empty
        check_password
        rm -rf "$making" && mkdir -m 700 "$making"
        (cd "$making" && make_database)
    fi
    find "$making" -mindepth 1 -maxdepth 1 ! -name PG_VERSION ! -name .whole -exec mv -t "$PGDATA" {} +
    sync "$PGDATA"
    mv "$making/PG_VERSION" "$PGDATA"
    sync "$PGDATA"
    rm -rf "$making"
    echo "keelson: the data directory is ready"
}

case ${1:-} in
'' | -*) set -- postgres "$@" ;;
esac
if [ "$1" = postgres ]; then
    making=$PGDATA/.making
    check_place
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        from_file POSTGRES_PASSWORD
        from_file POSTGRES_USER
        from_file POSTGRES_DB
        from_file POSTGRES_INITDB_ARGS
        POSTGRES_USER=${POSTGRES_USER:-postgres}
        POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
        make
    fi
    unset POSTGRES_PASSWORD
fi
exec "$@"

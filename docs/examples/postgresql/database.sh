# What the three programs share; not run by itself. The settings come from the file that is their first argument.
set -u

settings=${1:?the first argument is the file of settings}
. "$settings"
: "${PGBIN:?}" "${PGDATA:?}" "${PGPORT:?}" "${PGUSER:?}" "${SYSTEM_USER:?}" "${PEERS=}" "${WAIT:=20}" "${MUST_ANSWER:=0}"
export PGPORT PGUSER PGCONNECT_TIMEOUT=2
# A local connection, so that it works whoever has the public address.
export PGHOST="${SOCKETS:-/var/run/postgresql}"
log=$PGDATA.log

say() { echo "$*"; }

# PostgreSQL refuses to run as root.
as_database() {
    if [ "$(id -u)" = 0 ]; then
        runuser -u "$SYSTEM_USER" -- "$@"
    else
        "$@"
    fi
}

# One question to a server: host port question. Fails where nobody answers.
ask() { PGHOST=$1 PGPORT=$2 as_database "$PGBIN/psql" -XAtq -d postgres -c "$3"; }
ask_here() { ask "$PGHOST" "$PGPORT" "$1"; }

is_running() { as_database "$PGBIN/pg_ctl" -D "$PGDATA" status >/dev/null 2>&1; }

# "f|..." for a primary. For a standby "t", the timeline of its newest log, and how far it has it. Nothing where nobody answers.
# The control file would not do: it tells the timeline as it was at the last checkpoint.
standing="select pg_is_in_recovery(),
    (select max(substr(name, 1, 8)) from pg_ls_waldir() where name ~ '^[0-9A-F]{24}\$'),
    greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"
standing_of() { ask "${1%:*}" "${1##*:}" "$standing" 2>/dev/null; }
standing_here() { ask_here "$standing" 2>/dev/null; }

# Starts it as what its folder says. It must hold neither our lock (9) nor our output.
start() {
    as_database "$PGBIN/pg_ctl" -D "$PGDATA" -w -t 60 -l "$log" \
        -o "-p $PGPORT" start </dev/null >/dev/null 2>&1 9>&-
}

# From here on, whatever starts this folder starts a standby.
mark_standby() { as_database touch "$PGDATA/standby.signal"; }

# One of the three at a time; kept until the program ends.
lock() {
    exec 9>>"$PGDATA.lock"
    flock -w "$WAIT" 9 || { say "another program works on $PGDATA for more than $WAIT s"; exit 1; }
}

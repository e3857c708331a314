# A PostgreSQL server that lives until this script's standard input closes.
#
# It reads commands, a line each (restart), and answers each, and its own start, with
# "ready FOLDER" once the server accepts connections. Anything else on its output is an error.
set -eu

# The end of the input is the only end: a Ctrl-C or a closed pipe must not come before the tidying.
trap '' PIPE INT TERM HUP

if [ "$(id -u)" = 0 ]; then
    if ! id postgres >/dev/null 2>&1; then
        echo "there is no user postgres: install the Debian package postgresql"
        exit 1
    fi
    if command -v runuser >/dev/null; then
        exec runuser -u postgres -- sh -c "$1" throwaway "$1"
    fi
    exec su postgres -s /bin/sh -c 'exec sh -c "$0" throwaway "$0"' "$1"
fi

if initdb=$(command -v initdb); then
    bin=$(dirname "$initdb")
else
    bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
fi
if ! [ -x "${bin:-}/initdb" ]; then
    echo "initdb is neither on PATH nor under /usr/lib/postgresql: install the Debian package postgresql"
    exit 1
fi

folder=$(mktemp -d /tmp/standing-postgres-XXXXXX) # short: the path of a socket has 107 bytes at most
cd "$folder"

stop() {
    "$bin/pg_ctl" -D data -m immediate -w -t 60 stop >/dev/null 2>&1 || :
}
start() {
    if ! "$bin/pg_ctl" -D data -l log -w -t 60 start >start.log 2>&1; then
        cat start.log
        tail -n 20 log
        exit 1
    fi
    echo "ready $folder"
}
trap 'stop; cd /; rm -rf "$folder"' EXIT

if ! "$bin/initdb" -D data -U standing -A trust -E UTF8 --locale=C --no-sync >initdb.log 2>&1; then
    tail -n 20 initdb.log
    exit 1
fi
# What is committed has left the server for the operating system, which keeps it through a crash of
# the server; waiting for the disk would only guard against a crash of the machine.
cat >>data/postgresql.conf <<CONF
listen_addresses = ''
port = 5432
unix_socket_directories = '$folder'
max_connections = 200
shared_buffers = 256MB
fsync = off
full_page_writes = off
synchronous_commit = on
wal_level = minimal
max_wal_senders = 0
max_wal_size = 4GB
checkpoint_timeout = 1h
shared_preload_libraries = 'pg_stat_statements,auto_explain'
timezone = 'UTC'
log_timezone = 'UTC'
CONF
start

while read -r command; do
    case $command in
    restart)
        stop
        start
        ;;
    *) echo "unknown command $command" ;;
    esac
done

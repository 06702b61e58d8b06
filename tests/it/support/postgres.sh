# Runs one PostgreSQL cluster for the tests: each line on stdin is a thing to do, answered by its exit status.
#
# When stdin ends, the tests have ended, killed ones too: then the server is stopped and its directory removed.
# What is done is done here, one thing after the other, so that no start can overtake the removal.
#
# Arguments: the directory of PostgreSQL's programs, the directory to use, settings for postgresql.conf.

bin=$1
dir=$2
settings=$3

# An answer that nobody reads any more must not keep us from tidying up.
trap '' PIPE

# What the process $1 has started.
children() {
    ps -A -o ppid= -o pid= | awk -v of="$1" '$1 == of { print $2 }'
}

start() {
    # What was killed may hold on to shared memory for a moment more.
    for _ in 1 2 3 4 5 6 7 8 9; do
        "$bin/pg_ctl" start --pgdata="$dir/data" --log="$dir/log" --wait --timeout=300 && return
        sleep 1
    done
    return 1
}

run() {
    case $1 in
    init)
        "$bin/initdb" --pgdata="$dir/data" --username=portcullis --auth=trust --encoding=UTF8 --locale=C --no-sync &&
            printf '%s\n' "$settings" >>"$dir/data/postgresql.conf"
        ;;
    follow)
        # A cluster that was never started is a backup of itself.
        cp -R "$2/data" "$dir/data" && printf '%s\n' "$settings" >>"$dir/data/postgresql.conf" &&
            touch "$dir/data/standby.signal"
        ;;
    start) start ;;
    promote) "$bin/pg_ctl" promote --pgdata="$dir/data" --wait --timeout=300 ;;
    kill)
        postmaster=$(head -n 1 "$dir/data/postmaster.pid")
        # At a halt it starts no more of them.
        kill -STOP "$postmaster"
        # shellcheck disable=SC2046
        kill -KILL $(children "$postmaster") "$postmaster"
        # The number of a dead process may be somebody else's by the next start.
        rm -f "$dir/data/postmaster.pid" "$dir/.s.PGSQL.5432.lock"
        ;;
    stop) "$bin/pg_ctl" stop --pgdata="$dir/data" --mode=immediate --wait --timeout=300 ;;
    esac
} >>"$dir/log" 2>&1 </dev/null

while read -r word about; do
    run "$word" "$about"
    echo $?
done

run stop
rm -rf "$dir"

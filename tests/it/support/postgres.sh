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

run() {
    case $1 in
    init)
        "$bin/initdb" --pgdata="$dir/data" --username=portcullis --auth=trust --encoding=UTF8 --locale=C --no-sync &&
            printf '%s\n' "$settings" >>"$dir/data/postgresql.conf"
        ;;
    start) "$bin/pg_ctl" start --pgdata="$dir/data" --log="$dir/log" --wait --timeout=300 ;;
    stop) "$bin/pg_ctl" stop --pgdata="$dir/data" --mode=immediate --wait --timeout=300 ;;
    esac
} >>"$dir/log" 2>&1 </dev/null

while read -r word; do
    run "$word"
    echo $?
done

run stop
rm -rf "$dir"

# Looks after one server when its users cannot: removes it when they are gone, however they went.
#   stop DIRECTORY                          at once
#   owner DIRECTORY                         at the end of the input, that is of the process that holds its other side
#   users DIRECTORY START USERS SECONDS     when nobody has held the lock USERS for so long; START is held by who starts

# A process may have ended and its number belong to somebody else: ours has its directory in its command line. A process
# that ended and that nobody has waited for has none.
runs() {
    if [ -d /proc/self ]; then
        tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF -- "$2/"
    else
        ps -ww -o stat=,args= -p "$1" | grep -v '^Z' | grep -qF -- "$2/"
    fi
} 2>/dev/null

end() {
    runs "$1" "$2" || return 0
    kill -QUIT "$1"
    tries=0
    while runs "$1" "$2"; do
        [ "$tries" -lt 200 ] || kill -KILL "$1"
        tries=$((tries + 1))
        sleep 0.05
    done
}

# The system keeps a segment of shared memory for a server that was killed. Line 7 names it, key and number.
free_memory() {
    sed -n 7p "$1" 2>/dev/null | while read -r key id; do
        if ipcs -m | grep -qi "^0x$(printf %08x "$key") *$id "; then ipcrm -m "$id"; fi
    done
}

stop() {
    for file in "$1/data/postmaster.pid" "$1/pgbouncer.pid"; do
        if [ -r "$file" ] && read -r pid <"$file"; then end "$pid" "$1"; fi
    done
    free_memory "$1/data/postmaster.pid"
    # The last process of a killed server may still write.
    rm -rf "$1" || { sleep 1; rm -rf "$1"; }
}

# A user that came and went between two looks has left the mark `used`.
is_used() {
    if [ -e "$1/used" ]; then rm -f "$1/used"; return 0; fi
    ! flock -n -x "$2" true
}

wait_until_unused() {
    idle=0
    while [ "$idle" -lt "$3" ] && [ -d "$1" ]; do
        # Our input is the lock that says we live: it must not live on in a `sleep`.
        sleep 1 </dev/null
        idle=$((idle + 1))
        if is_used "$1" "$2"; then idle=0; fi
    done
}

case "$1" in
stop) stop "$2" ;;
owner)
    cat >/dev/null
    stop "$2"
    ;;
users)
    while [ -d "$2" ]; do
        wait_until_unused "$2" "$4" "$5"
        exec 9>"$3"
        flock 9
        if ! is_used "$2" "$4"; then stop "$2"; fi
        exec 9>&-
    done
    ;;
esac

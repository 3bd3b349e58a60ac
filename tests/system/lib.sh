# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# What the scripts of this folder share.  Sourced in dom0, where the lab's
# "guest" command makes guests and asks them; what a guest can be asked stands
# at the head of tools/lab/guest/labguest.c.
#
# A test is a function, run by t() with "set -e" in a process of its own: the
# first command that fails ends it, and everything that was printed is shown.

set -u
PASSED=0
FAILED=0
SKIPPED=0
LAST=1
STORE=/var/lib/xen/snapshots
BOOT_LIMIT=${BOOT_LIMIT:-120} # seconds; an HVM guest takes a minute and more
WORK=$(mktemp -d /root/test.XXXXXX) || exit 1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/lab/bin

# Waiting without a process: one that only sleeps costs the emulated dom0 a
# tenth of a second of work.  Nothing ever comes from this pipe.
exec {NOTHING}<> <(:)

nap() { # SECONDS
    read -rt "$1" -u "$NOTHING" || true
}

# The same for questions to guests, without the shell script of that name.
guest() {
    case $1 in
    ask) shift; local name=$1; shift
         /lab/boot/guest-ask "$name" "${GUEST_TIMEOUT:-60}" "$@" ;;
    start) local from=$SECONDS
           command guest "$@" || return
           took "start of $2" "$from" ;;
    dir) echo "/root/guest/$2" ;;
    cfg) echo "/root/guest/$2/$2.cfg" ;;
    *)   command guest "$@" ;;
    esac
}

# How long a part of a test took; t() says it with the test.
took() { # WHAT SINCE
    echo "# time: $1 $((SECONDS - $2)) s" >>"$WORK/times"
}

# t NAME [-s SECONDS] COMMAND...
#   Runs one test, prints its one line.  Never call it where the shell looks at
#   its status ("t … &&", "if t"): "set -e" would then be off inside the test.
#   passed() says how it went.
t() {
    local what=$1 limit=600 pid status end started=$SECONDS n
    shift
    if [ "$1" = -s ]; then
        limit=$2
        shift 2
    fi
    echo "step: $what"
    n=$((PASSED + FAILED + SKIPPED + 1))
    : >"$WORK/started" >"$WORK/times"
    set -m
    (
        set -eE
        trap 'echo "failed: line $LINENO, $BASH_COMMAND"' ERR
        "$@"
    ) >"$WORK/out" 2>&1 </dev/null &
    pid=$!
    set +m
    end=$((SECONDS + limit))
    while kill -0 $pid 2>/dev/null; do
        if [ $SECONDS -ge $end ]; then
            echo "not done after $limit s:" >>"$WORK/out"
            ps -eo pgid,pid,stat,wchan:20,args --forest |
                awk -v g=$pid '$1 == g' >>"$WORK/out"
            kill -9 -- -$pid
            break
        fi
        nap 0.1
    done
    wait $pid 2>/dev/null
    status=$?
    case $status in
    0)  echo "ok $n - $what ($((SECONDS - started)) s)"
        PASSED=$((PASSED + 1)) ;;
    77) echo "ok $n - $what # SKIP $(tail -n 1 "$WORK/out")"
        SKIPPED=$((SKIPPED + 1)) ;;
    *)  echo "not ok $n - $what"
        tail -n 40 "$WORK/out" | tr -d '\r' | sed 's/^/# /'
        guests_said "$WORK/started"
        FAILED=$((FAILED + 1)) ;;
    esac
    cat "$WORK/times"
    cp "$WORK/out" "/root/lab-logs/${what//[^A-Za-z0-9]/_}.log" 2>/dev/null
    LAST=$status
}

# The last that guests, and who watches them, said since then, but for ticks
# and answers.
guests_said() { # FILE-OF-THAT-TIME
    local f
    while read -r f; do
        echo "# ${f##*/}:"
        tr -d '\r' <"$f" | grep -avE '^(.*: )?(tick [0-9]|@|guest: (ready|answers))' |
            cut -c 1-160 | tail -n 5 | sed 's/^/#   /'
    done < <(find /var/log/xen -newer "$1" \( -name 'guest-*.log' -o \
        -name 'xl-*.log' -o -name 'qemu-dm-*.log' \) | sort)
}

# As t(), in `make check-all` and not in `make check`: a faster tier shows the
# same, or another test of the lab nearly does (docs/testing.md).
rare() { # NAME [-s SECONDS] COMMAND...
    if everything; then
        t "$@"
    else
        echo "# only in check-all: $1"
        LAST=0
    fi
}

everything() {
    [ -n "${EVERYTHING:-}" ]
}

passed() { # did the last test pass?
    [ "$LAST" -eq 0 ]
}

# The last line of a script: how many tests there should have been, as prove(1)
# wants it.
verdict() {
    echo "1..$((PASSED + FAILED + SKIPPED))"
    rm -rf "$WORK"
    [ $FAILED -eq 0 ] && [ $PASSED -gt 0 ]
}

# --- in tests -----------------------------------------------------------

# Show a command, and run it.
run() {
    echo "\$ $*"
    "$@"
}

fail() {
    echo "$*"
    return 1
}

eq() { # WHAT EXPECTED GOT
    [ "$2" = "$3" ] && return 0
    echo "$1: expected '$2', got '$3'"
    return 1
}

has() { # TEXT PATTERN (extended regular expression)
    grep -qiE -- "$2" <<<"$1" && return 0
    echo "expected /$2/ in:"
    echo "$1"
    return 1
}

hasnt() {
    grep -qiE -- "$2" <<<"$1" || return 0
    echo "did not expect /$2/ in:"
    echo "$1"
    return 1
}

# refused STATUS PATTERN COMMAND...
#   It must end with STATUS (or one of [12]) and say PATTERN on stderr; sets
#   $SAID.
refused() {
    local want=$1 pattern=$2 status=0
    shift 2
    echo "\$ $*"
    SAID=$("$@" 2>&1 >/dev/null) || status=$?
    echo "$SAID"
    has "status $status" "^status $want\$" || return 1
    has "$SAID" "$pattern"
}

# field NAME TEXT -> value of "NAME=value"
field() {
    local v=" $2 "
    [[ $v == *" $1="* ]] || { echo "no $1= in '$2'" >&2; return 1; }
    v=${v#* "$1"=}
    echo "${v%% *}"
}

# --- guests -------------------------------------------------------------

ask() { # NAME COMMAND... ; shows the answer on stderr, gives it on stdout
    local a status=0
    a=$(GUEST_TIMEOUT=${GUEST_TIMEOUT:-90} guest ask "$@") || status=$?
    echo "$1 $2 ${3:-}: $a" >&2
    echo "$a"
    return $status
}

tick_of() { # NAME
    local s
    s=$(ask "$1" status) || return 1
    field tick "$s"
}

boot_of() { # NAME
    local s
    s=$(ask "$1" status) || return 1
    field boot "$s"
}

sums_of() { # NAME -> "a=… b=…"
    local s
    s=$(ask "$1" sum) || return 1
    echo "a=$(field a "$s") b=$(field b "$s") abad=$(field abad "$s") bbad=$(field bbad "$s")"
}

# The same for what "fill SEED MB" leaves on both disks.
expected_sums() { # NAME SEED MB
    local s
    s=$(ask "$1" expect "$2" "$3") || return 1
    s=$(field sum "$s")
    echo "a=$s b=$s abad=0 bbad=0"
}

# Memory and both disks are of one instant, no tick is missing.
one_instant() { # NAME [FIELD=VALUE]...
    local s want tick
    s=$(ask "$1" status) || return 1
    tick=$(field tick "$s") || return 1
    for want in "a=$tick" "b=$tick" ahole=0 bhole=0 "${@:2}"; do
        [[ " $s " == *" $want "* ]] || {
            fail "memory and disks differ: expected $want in '$s'"
            return 1
        }
    done
}

# The guest runs: its ticks go on.
ticks_go_on() { # NAME
    local before now end=$((SECONDS + 30))
    before=$(tick_of "$1") || return 1
    while [ $SECONDS -lt $end ]; do
        now=$(tick_of "$1") || continue
        [ "$now" -lt $((before + 3)) ] || return 0
        nap 0.2
    done
    fail "$1 stands at tick $before"
}

state_of() { # NAME -> the letters of "xl list"
    xl list "$1" | awk 'NR == 2 { print $5 }'
}

is_paused() { # NAME
    has "$(state_of "$1")" p
}

uuid_of() { # NAME
    local line
    while read -r line; do
        [[ $line != 'uuid = "'*'"' ]] || { line=${line#*\"}; echo "${line%\"}"; }
    done <"$(guest cfg "$1")"
}

store_of() { # NAME
    echo "$STORE/$(uuid_of "$1")"
}

# The daemon of xl that watches the domain, as xl's own log has it.
monitor_of() { # NAME
    local pid
    pid=$(sed -n "s/.*Waiting for domain $1 (domid $(xl domid "$1")) to die \[pid \([0-9]*\)\].*/\1/p" \
        "/var/log/xen/xl-$1.log" | tail -n 1)
    [ -n "$pid" ] && [ -d "/proc/$pid" ] || return 1
    echo "$pid"
}

# Images that the domain writes to now, one a line, as libxl has them.
images_of() { # NAME
    xl list -l "$1" | jq -r '.[].config.disks[]?.pdev_path'
}

# A new boot of the guest, and only then.
boots_anew() { # NAME OLD-BOOT
    local end=$((SECONDS + BOOT_LIMIT)) boot from=$SECONDS
    while [ $SECONDS -lt $end ]; do
        boot=$(GUEST_TIMEOUT=5 boot_of "$1" 2>/dev/null) || continue
        [ ${#boot} -eq 16 ] && [ "$boot" != "$2" ] &&
            took "new boot of $1" "$from" && return 0
        nap 0.5
    done
    fail "$1 did not boot again after boot $2"
}

# "reboot" in the guest: somebody must act on it.
reboot_inside() { # NAME
    local boot domid
    boot=$(boot_of "$1") || return 1
    domid=$(xl domid "$1") || return 1
    ask "$1" reboot >/dev/null || return 1
    boots_anew "$1" "$boot" || return 1
    [ "$(xl domid "$1")" != "$domid" ] || fail "$1 has its old number $domid"
}

poweroff_inside() { # NAME
    ask "$1" poweroff >/dev/null || return 1
    guest gone "$1" 120 && return 0
    # Stands the guest, or he who should act on it?
    xl list
    tail -n 3 "/var/log/xen/console/guest-$1.log" "/var/log/xen/xl-$1.log"
    return 1
}

# As a user does after a power cut: the disks that the domain had last go into
# its xl.cfg, and it is started.
start_from_disks() {
    local cfg state vdev path format
    cfg=$(guest cfg "$g")
    state=$(store_of "$g")/state.json
    if [ -e "$state" ]; then
        while read -r vdev path format; do
            sed -i "s|format=[a-z0-9]*,vdev=$vdev,\(.*\),target=[^\"]*|format=$format,vdev=$vdev,\1,target=$path|" "$cfg"
        done < <(jq -r '.disks[] | "\(.vdev) \(.active.id) \(.active.format)"' "$state")
    fi
    guest start "$g"
    one_instant "$g"
}

# Every image in the guest's folder, with the domain gone: no error and no
# leaked cluster (but with LEAKS those are only said).
images_clean() { # NAME [LEAKS]
    local f out status bad=0
    if xl domid "$1" >/dev/null 2>&1; then
        fail "images_clean: $1 runs"
        return 1
    fi
    while read -r f; do
        status=0
        out=$(qemu-img check "$f" 2>&1) || status=$?
        # 63: this format has nothing to check
        case $status in
        0|63) ;;
        3) tail -n 1 <<<"$out" | sed "s|^|$f: |"
           [ "${2:-}" = leaks ] || bad=1 ;;
        *) echo "qemu-img check $f: status $status"; echo "$out"; bad=1 ;;
        esac
    done < <(find "$(guest dir "$1")" -type f \
        \( -name '*.qcow2*' -o -name '*.vhd' \) | sort)
    return $bad
}

# Nothing of the domain, its images and its snapshots stays.
wipe() { # NAME...
    local g uuid
    for g; do
        guest destroy "$g" >/dev/null 2>&1
        [ -f "$(guest cfg "$g")" ] || continue
        uuid=$(uuid_of "$g")
        # It complains of links.
        chattr -R -i "$(guest dir "$g")" 2>/dev/null || true
        rm -rf "$(guest dir "$g")" "/root/guest/$g.cfg"
        [ -z "$uuid" ] || rm -rf "${STORE:?}/$uuid"
    done
    return 0
}

# A guest of this type, running and ready, with "fill 1" on its disks.
fresh() { # NAME TYPE [MAKE-OPTION...]
    wipe "$1"
    run guest make "$1" --type "$2" "${@:3}" || return 1
    run guest start "$1" || return 1
}

# snapshot NAME-OF-GUEST OPTION... : sets $REPORT (JSON)
snapshot() {
    local g=$1
    shift
    echo "\$ xl snapshot-create --json $* $g"
    REPORT=$(xl snapshot-create --json "$@" "$g") || {
        local status=$?
        echo "$REPORT"
        return $status
    }
}

report() { # JQ-EXPRESSION
    jq -r "$1" <<<"$REPORT"
}

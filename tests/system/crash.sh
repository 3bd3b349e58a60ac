# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# For test_killed.sh, test_faults.sh and what host_power.sh runs in dom0: the
# commands that are hit, and all that must hold once they were.
#
# A guest has two qcow2 disks, filled with the seed that is in the name of its
# newest snapshot, so the name of a snapshot tells what data belongs to it.

# shellcheck source=tests/system/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tests/system/moments.sh
. "$(dirname "${BASH_SOURCE[0]}")/moments.sh"

g=crash
MB=1 # that fill writes to each disk

# command_of KIND NUMBER : sets $CMD
command_of() {
    local kind=$1 name=$1-$2
    CMD=(xl snapshot-create -n "$name")
    case $kind in
    revert)     CMD=(xl snapshot-revert "$g" "$(newest)"); return ;;
    revert-old) CMD=(xl snapshot-revert "$g" "$(oldest)"); return ;;
    # Not the first one: there is always one to go back to.
    delete)     CMD=(xl snapshot-delete "$g" "$(newest)"); return ;;
    l-*)        CMD+=(--live) ;;
    d-*)        CMD+=(-D) ;;
    esac
    case $kind in
    *-mixed) CMD+=(--disk "xvda,type=internal" --disk "xvdb,type=external") ;;
    *)       CMD+=(--type "${kind#*-}") ;;
    esac
    CMD+=("$g")
}

records() { # NAME : snapshots, the oldest first
    local f
    f=("$(store_of "$1")"/records/*.json)
    [ -e "${f[0]}" ] || return 0
    jq -r '"\(.created) \(.name)"' "${f[@]}" | sort -n -s | cut -d' ' -f2
}

newest() { records $g | tail -n 1; }
oldest() { records $g | head -n 1; }

record() { # JQ-EXPRESSION SNAPSHOT
    jq -r "$1" "$(store_of $g)/records/$2.json"
}

data_is() { # SEED...: both disks hold what fill wrote of one of these
    local s sum want=
    sum=$(sums_of $g)
    for s; do
        s=$(expected_sums $g "$s" $MB)
        [ "$sum" != "$s" ] || return 0
        want+=" $s"
    done
    fail "the disks hold $sum, and not one of:$want"
}

seed_of() { echo "${1##*-}"; } # SNAPSHOT

# A guest with its first snapshot, base-1.
new_guest() {
    fresh $g pvh --disk xvda:qcow2:192M --disk xvdb:qcow2:192M
    ask $g fill 1 $MB >/dev/null
    run xl snapshot-create -n base-1 $g
}

# before KIND NUMBER : everything that the command needs; the guest runs.
# LAST becomes the seed that its disks hold.
before() {
    local kind=$1 n=$2
    if [ "$(records $g | wc -l)" -gt 6 ]; then
        echo "a new guest: the chains are long enough"
        new_guest
    fi
    case $kind in
    delete|revert-old)
        if [ "$(records $g | wc -l)" -lt 2 ]; then
            ask $g fill "$n" $MB >/dev/null
            run xl snapshot-create --type external -n "extra-$n" $g
        fi ;;
    esac
    ask $g fill "$n" $MB >/dev/null
    # Writes to both disks all the time, which a snapshot of the disks alone
    # must cut at one instant.
    case $kind in
    d-*) ask $g load start >/dev/null; nap 0.5 ;;
    esac
}

journal() { # the last step that was written down
    local f
    f=$(store_of $g)/journal
    [ -s "$f" ] || { echo "no journal"; return 0; }
    tail -n 1 "$f" | grep -o '"step":"[^"]*"' || echo "a journal"
}

# recover, and once more.
recovered() {
    local out
    run xl snapshot-recover $g
    out=$(xl snapshot-recover $g)
    eq "a second recover" "nothing to recover" "$out"
    eq "the journal" "no journal" "$(journal)"
}

# Every file is one that somebody names, every snapshot in an image one that
# has a record.  With the domain on or off.
no_orphans() {
    local dir f tag store bad=0
    dir=$(guest dir $g)
    store=$(store_of $g)
    { jq -r '.disks[].active.id' "$store/state.json"
      jq -r '.disks[] | .frozen.id' "$store"/records/*.json
      # The user's own.
      printf '%s\n' "$dir/$g.cfg" "$dir/xvda.qcow2" "$dir/xvdb.qcow2"
    } 2>/dev/null | sort -u >"$WORK/named"
    for f in "$dir"/*; do
        grep -qxF "$f" "$WORK/named" || { echo "nobody owns $f"; bad=1; }
    done
    { jq -r '.memory.path // empty' "$store"/records/*.json
      printf '%s\n' "$store/lock" "$store/state.json"
      for f in $(records $g); do echo "$store/records/$f.json"; done
    } 2>/dev/null | sort -u >"$WORK/named"
    while read -r f; do
        grep -qxF "$f" "$WORK/named" || { echo "nobody owns $f"; bad=1; }
    done < <(find "$store" -type f)
    jq -r '.name as $n | .disks[] | select(.type == "internal") |
        "\(.frozen.id) \($n)"' "$store"/records/*.json 2>/dev/null >"$WORK/named"
    for f in "$dir"/*.qcow2; do
        for tag in $(qemu-img info -U --output=json "$f" |
            jq -r '.snapshots[]?.name'); do
            grep -qxF "$f $tag" "$WORK/named" || {
                echo "nobody owns snapshot $tag in $f"
                bad=1
            }
        done
    done
    return $bad
}

# The domain is ended, and everything is looked at.  A QEMU that was killed
# may leave clusters behind that nobody uses, snapshot or not: "leaks".
all_clean() { # strictly|leaks
    guest destroy $g
    images_clean $g "$@"
    no_orphans
}

# back_to SNAPSHOT : what it holds is of one instant, and is what it held
back_to() {
    local boot=none
    xl domid $g >/dev/null 2>&1 && boot=$(boot_of $g)
    run xl snapshot-revert $g "$1"
    case $(record .consistency "$1") in
    memory) one_instant $g ;;
    *)  boots_anew $g "$boot"
        one_instant $g
        case $1 in d-*) ask $g load scan >/dev/null ;; esac ;;
    esac
    data_is "$(seed_of "$1")"
    monitor_of $g >/dev/null || fail "no xl daemon watches $g"
}

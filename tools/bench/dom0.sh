#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The measuring part of "make bench", in the lab's dom0.
#
#   dom0.sh ROUNDS [TYPE:MB]...

set -u
here=$(dirname "$(readlink -f "$0")")
rounds=${1:-3}
shift
[ $# -gt 0 ] || set -- pv:128 pvh:128 pv:512 pvh:512
work=/root/bench
mkdir -p $work

# "1.0 2.0 …" for each thing measured: what dom0 saw, what the tool says.  The
# guest itself is no witness: its clock stands still while it does.
declare -A seen said disks beside
broken=0

field() { # NAME TEXT
    local v=" $2 "
    [[ $v == *" $1="* ]] || return 1
    v=${v#* "$1"=}
    echo "${v%% *}"
}

median() { # VALUE...
    [ $# -gt 0 ] || { echo -; return; }
    printf '%s\n' "$@" | sort -n | awk '{ v[NR] = $1 }
        END { m = int((NR + 1) / 2)
              printf "%.0f\n", NR % 2 ? v[m] : (v[m] + v[m + 1]) / 2 }'
}

# once WHAT COMMAND... : measure it once
once() {
    local what=$1 out s d status=0
    shift
    rm -f $work/x.*
    sync
    sleep 1
    "$here/standstill" "$(xl domid bench)" "$@" \
        >$work/out.stdout 2>$work/out.stderr || status=$?
    out=$(grep '^standstill ' $work/out.stderr)
    if [ $status -ne 0 ] || [ -z "$out" ] || [[ $out == *gone=1* ]]; then
        echo "$what FAILED with status $status: $*"
        grep -v '^standstill ' $work/out.stderr | tail -n 5
        broken=1
        return
    fi
    seen[$what]+=" $(field total "$out")"
    s=$(jq -r '.window_ms // empty' <$work/out.stdout 2>/dev/null)
    d=$(jq -r '.disks_ms // empty' <$work/out.stdout 2>/dev/null)
    if [ -n "$s" ]; then
        said[$what]+=" $s"
        disks[$what]+=" $d"
        beside[$what]+=" $(awk -v w="$(field total "$out")" -v d="$d" \
            'BEGIN { printf "%.1f", w - d }')"
    fi
    printf '  %-20s %s%s\n' "$what" "${out#standstill }" \
        "${s:+, tool says $s ms, of that $d for the disks}"
}

create() { # WHAT OPTION...
    local what=$1
    shift
    count=$((count + 1))
    once "$what" xl snapshot-create --json -n "b$count" --no-metadata \
        --output $work/x.cfg "$@" bench
}

one_round() { # TYPE
    once "xl save -c" xl save -c bench $work/x.save
    create "create" --memory $work/x.save
    [ "$1" = pv ] || create "create --live" --live --memory $work/x.save
    once "suspend+resume" "$here/suspend_resume" suspend "$(xl domid bench)"
    create "create --disk-only" --disk-only
    once "pause+unpause" "$here/suspend_resume" pause "$(xl domid bench)"
}

table=$work/table
: >$table
row() { # GUEST WHAT COMPARISON-TEXT
    local what=$2 s
    [ -z "$what" ] || [ -n "${seen[$what]:-}" ] || return 0
    if [ -z "$what" ]; then
        printf '%-11s %-19s %9s %9s  %s\n' "" "" "" "" "$3" >>$table
        return
    fi
    s=${said[$what]:-}
    # shellcheck disable=SC2086 # lists of numbers
    printf '%-11s %-19s %9s %9s  %s\n' "$1" "$what" \
        "$(median ${seen[$what]})" "$(median $s)" "${3:-}" >>$table
}

# verdict LIMIT NUMERATOR DENOMINATOR TEXT
verdict() {
    awk -v l="$1" -v a="$2" -v b="$3" -v t="$4" 'BEGIN {
        if (a + 0 <= 0 || b + 0 <= 0) { print "not measured"; exit }
        r = a / b
        printf "%.2f x %s, required <= %s: %s\n", r, t, l,
            r <= l ? "met" : "MISSED" }'
}

of() { # WHAT -> median of what dom0 saw; 0 if it never worked
    # shellcheck disable=SC2086
    median ${seen[$1]:-0}
}

# The live window beside the disks is that of each run less its own disk
# transaction: from one run to the next that varies by more than all the rest.
# The second line is the plain sum of the parts, each done on its own.
summary() { # GUEST
    local sum
    row "$1" "xl save -c" "1.00"
    row "" "create" "$(verdict 1.1 "$(of create)" "$(of "xl save -c")" \
        "xl save -c")"
    if [ -n "${seen["create --live"]:-}" ]; then
        # shellcheck disable=SC2086 # lists of numbers
        row "" "create --live" "$(verdict 1.5 \
            "$(median ${beside["create --live"]})" "$(of suspend+resume)" \
            "suspend+resume, beside its disks' $(median \
                ${disks["create --live"]}) ms")"
        sum=$(($(of suspend+resume) + $(of "create --disk-only") - \
            $(of pause+unpause)))
        row "" "" "(suspend+resume and --disk-only's disks one by one: $sum ms)"
    fi
    row "" "suspend+resume"
    row "" "create --disk-only"
    row "" "pause+unpause"
    echo >>$table
}

for one; do
    type=${one%:*} mb=${one#*:}
    echo "step: ${type^^} guest of $mb MB"
    guest make bench --type "$type" --mem "$mb" --disk xvda:qcow2:256M \
        --disk xvdb:qcow2:256M && guest start bench || exit 1
    guest ask bench mem fill 32 >/dev/null
    sleep 3
    seen=() said=() disks=() beside=()
    count=0
    for ((i = 1; i <= rounds; i++)); do
        one_round "$type"
    done
    summary "${type^^} $mb MB"
    guest destroy bench
    rm -rf /root/guest/bench /var/lib/xen/snapshots/*
done

echo
echo "How long the guest stands still, in ms; medians of $rounds"
echo
printf '%-11s %-19s %9s %9s\n' guest what "measured" "tool says"
cat $table
echo "measured: Xen asked in dom0 every 0.5 ms, the same way for all.  What is"
echo "written goes to the same folder of the same disk."
exit $broken

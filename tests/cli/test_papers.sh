#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# What the papers say of the tree is so: the drawing in docs/architecture.md, the
# code in docs/first-driver.md, the files in MAINTAINERS.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# ---- who includes whom ----

files_of() {    # folder
    case $1 in
    front) ls tools/front/*.[ch] ;;
    *) find xl-snapshot/"$1" -name '*.[ch]' ;;
    esac
}
# The headers of folder $2 that folder $1 includes.
headers() {
    # shellcheck disable=SC2046  # no blanks in our names
    grep -hoE "^#include \"$2/[a-z0-9_/]+\.h" $(files_of "$1") |
        sed 's|.*/||' | LC_ALL=C sort -u | tr '\n' ' '
}
# A folder whose headers are used by name: at most so many are written out.
FEW=3
drawing() {
    local from to line few h n
    for from in front cli op hyp store disk model lib; do
        line=$(printf '%-5s ──►' $from) few=
        for to in cli op hyp store disk model lib; do
            h=$(headers $from $to)
            n=$(wc -w <<<"$h")
            if [ $from = $to ] || [ "$n" = 0 ]; then
                line+='       '
            else
                line+=$(printf '  %-5s' $to)
                [ "$n" -gt $FEW ] || [ $to = lib ] ||
                    few+="  $to/{${h% }}"
            fi
        done
        printf '%s%s\n' "$line" "$few"
    done | sed 's/ *$//'
}
drawing >"$T/drawing"
# shellcheck disable=SC2016  # no command: the ends of a block
sed -n '/^```includes$/,/^```$/p' docs/architecture.md | sed '1d;$d' \
    >"$T/drawn"
is "the drawing of who includes whom" "$(cat "$T/drawn")" \
    "$(cat "$T/drawing")"
is "and there are no other folders" \
    "$(cd xl-snapshot && printf '%s\n' */ | tr -d / | tr '\n' ' ')" \
    "cli disk hyp lib model op store "
is "nor any below disk/" \
    "$(cd xl-snapshot/disk && printf '%s\n' */ | tr -d / | tr '\n' ' ')" \
    "external file format internal qemu "

# ---- the code in docs/first-driver.md ----

# Each block, in a file of its own; its lines follow each other in one of these.
paper=docs/first-driver.md
sources=(tests/toy/toy.c tests/toy/toy.h tests/tools/test_conformance_toy.c
    xl-snapshot/disk/table.c)
awk -v dir="$T" '/^```c$/ { n++; in_it = 1; next }
    /^```$/ { in_it = 0 }
    in_it { print > (dir "/block." n) }' $paper
stale=
for b in "$T"/block.*; do
    text=$(cat "$b")
    found=no
    for s in "${sources[@]}"; do
        case $'\n'$(cat "$s")$'\n' in *$'\n'"$text"$'\n'*) found=yes ;; esac
    done
    [ $found = yes ] || stale+="$(head -n 3 "$b")"$'\n'
done
is "each block of code is in the toy" "$stale" ""
# Those that a reader has to write are all there; the rest are one-liners.
missing=
while read -r f; do
    grep -q "\\b$f(" $paper || missing+=" $f"
done < <(grep -oE '\btoy_[a-z_]+\((struct|const)' tests/toy/toy.c |
    sed 's/(.*//' | sort -u)
is "each slot is shown" "$missing" ""

# ---- MAINTAINERS ----

sed -n 's/^F:\t//p' MAINTAINERS >"$T/patterns"
lost=
while read -r pattern; do
    [ -n "$(git ls-files -- "$pattern")" ] || lost+="$pattern "
done <"$T/patterns"
is "each F: is a file" "$lost" ""
mapfile -t patterns < <(grep -vx '\*' "$T/patterns")
is "each file of code is in an area" \
    "$(git ls-files xl-snapshot tools tests | sort |
        comm -23 - <(git ls-files -- "${patterns[@]}" | sort))" ""

# ---- docs/features/xl-snapshot.pandoc ----

is "the sections of Xen's own form" \
    "$(sed -n 's/^# //p' docs/features/xl-snapshot.pandoc)" \
"Basics
Overview
User details
Technical details
Limitations
Testing
Areas for improvement
Known issues
References
History"

finish

#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# Table, --help, manual page, completion and the list in `xl help` agree.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
. tests/cli/fake.sh
MAN=docs/man/xl-snapshot.1.pod

for cmd in $("$FAKE" --complete commands); do
    section=$(tr '[:lower:]' '[:upper:]' <<<"snapshot-$cmd")
    "$FAKE" "$cmd" --help | grep -oE '^(-[a-zA-Z][^,]*, )?--[a-z-]+' |
        sed 's/.*--/--/' | LC_ALL=C sort >"$T/help"
    sed -n "/^=head1 $section\$/,/^=head1/p" $MAN | grep '^=item' |
        grep -oE -e '--[a-z-]+' | LC_ALL=C sort >"$T/man"
    "$FAKE" --complete options "$cmd" | cut -d' ' -f1 | grep -e '^--' |
        LC_ALL=C sort >"$T/completion"
    is "$cmd: --help and the manual page" \
        "$(diff "$T/help" "$T/man")" ""
    is "$cmd: --help and completion" "$(diff "$T/help" "$T/completion")" ""

    "$FAKE" "$cmd" --help | grep -oE '^-[a-zA-Z]' | LC_ALL=C sort >"$T/help"
    sed -n "/^=head1 $section\$/,/^=head1/p" $MAN |
        grep -oE '^=item B<-[a-zA-Z]>' | grep -oE -e '-[a-zA-Z]' |
        LC_ALL=C sort >"$T/man"
    is "$cmd: short options too" "$(diff "$T/help" "$T/man")" ""
    has "$cmd: in the synopsis" "$(cat $MAN)" "B<xl snapshot-$cmd>"
    # [options] DOMAIN NAME | DOMAIN --config FILE, and a line for each in the
    # synopsis: B<xl snapshot-revert> [I<OPTIONS>] I<DOMAIN> I<NAME>
    is "$cmd: the operands in the synopsis" \
        "$(sed -n "s/^B<xl snapshot-$cmd> //p" $MAN |
            sed -E -e 's/\[I<OPTIONS>\] //' -e 's/[BI]<([^>]*)>/\1/g')" \
        "$("$FAKE" "$cmd" --help | sed -n '1s/.*\[options\] //p' |
            sed 's/ | /\n/g')"
    is "$cmd: each option does something" "$(
        "$FAKE" --complete options "$cmd" | grep -e '^--' |
            while read -r option kind; do
                [ "$kind" = none ] || option+=" x"
                # shellcheck disable=SC2086 # two words
                XLFAKE_NOXEN=1 "$FAKE" "$cmd" $option vm1 s1 new 2>&1 |
                    grep "is not handled"
                # shellcheck disable=SC2086
                XLFAKE_NOXEN=1 "$FAKE" "$cmd" $option vm1 s1 2>&1 |
                    grep "is not handled"
                # shellcheck disable=SC2086
                XLFAKE_NOXEN=1 "$FAKE" "$cmd" $option vm1 2>&1 |
                    grep "is not handled"
            done)" ""
    is "$cmd: the line in xl help" \
        "$(printf ' %-19s' "snapshot-$cmd")" \
        "$(grep -o "^ snapshot-$cmd *" tests/cli/golden/front-help.txt |
            cut -c-20)"
done
is "every command section is a command" \
    "$(grep -c '^=head1 SNAPSHOT-' $MAN)" \
    "$("$FAKE" --complete commands | wc -l)"
is "no line of --help is too long" \
    "$(for c in $("$FAKE" --complete commands); do "$FAKE" "$c" --help; done |
        awk 'length > 79')" ""

# Every code of a failure is in the manual page.
codes=$(sed -n 's/^ *\[-SNAP_[A-Z]*\] = "\(.*\)",/\1/p' \
    xl-snapshot/lib/rc.c | grep -v '^ok$')
missing=
for c in $codes; do
    grep -q "C<$c>" $MAN || missing+=" $c"
done
is "every code of a failure is explained" "$missing" ""

# And every key of the JSON.
missing=
for k in $(sed -e '/"data": {/,/}/d' -e '/"domain_config": {/,/^    }/d' \
    tests/cli/golden/{json,list,info}*.txt |
    grep -oE '"[a-z_]+": ' | tr -d '": ' | LC_ALL=C sort -u); do
    grep -qE "\\b$k\\b" $MAN || missing+=" $k"
done
is "every key of the JSON is explained" "$missing" ""

if command -v podchecker >/dev/null && command -v pod2man >/dev/null; then
    run podchecker -warnings -warnings docs/man/*.pod
    is "the manual pages are clean" "$status" 0
else
    skip "the manual pages" "perl's pod tools are not installed"
fi

finish

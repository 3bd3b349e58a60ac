#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The progress line, and messages that nobody takes.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
. tests/cli/fake.sh

run "$FAKE" --self-test
tr '\033' '^' <"$T/out" >"$T/plain"
golden terminal.txt "$T/plain"

run "$FAKE" --show-progress
is "no terminal: only messages" "$err" \
    "xl snapshot-create: note: a message in between"

if command -v script >/dev/null; then
    run script -qec "stty cols 60; '$FAKE' --show-progress" /dev/null
    if [ "$status" = 0 ]; then
        # What a terminal shows in the end.
        perl -e '
            local $/; my @rows = ([]); my $c = 0;
            for (split //, <STDIN>) {
                if ($_ eq "\r") { $c = 0 }
                elsif ($_ eq "\n") { push @rows, []; $c = 0 }
                else { $rows[-1][$c++] = $_; $m = $c if $c > ($m // 0) }
            }
            for (@rows) { my $t = join "", map { $_ // " " } @$_;
                          $t =~ s/ +$//; print "$t\n" if length $t }
            print "widest: ", $m < 60 ? "fits" : $m, "\n";
        ' <"$T/out" >"$T/shown"
        is "a terminal: the line is gone in the end" "$(cat "$T/shown")" \
            "xl snapshot-create: note: a message in between
widest: fits"
        has "but was there" "$out" "saving memory: 1 MB of 5 MB"
    else
        skip "a terminal" "script(1) cannot make one here"
    fi
else
    skip "a terminal" "script(1) is not installed"
fi

finish

#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# How the tests are run (tests/run, tests/one, tests/lib/Report.pm): in a tree of
# its own, with small tests of every kind that end badly.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
if ! command -v prove >/dev/null; then
    skip "how tests are run" "prove (perl) is not installed"
    finish
fi

R=$T/tree
mkdir -p "$R"/tests/{lib,cli,unit,system} "$R/tools/lab" "$R/build/tests/unit" "$T/bin"
cp tests/run tests/one "$R/tests/"
cp tests/lib/{Report.pm,tap.sh} "$R/tests/lib/"
printf 'build:\n%%: ;\n\t@[ ! -e broken ] || { echo no such thing; exit 1; }\n' >"$R/Makefile"
printf '#!/bin/sh\necho 2\n' >"$T/bin/nproc"
printf '#!/bin/sh\necho "$*" >>labs\n' >"$R/tools/lab/lab"
chmod 755 "$T/bin/nproc" "$R/tools/lab/lab"

test_sh() {     # name, its lines on stdin
    { echo '#!/bin/bash'; cat; } >"$R/tests/cli/test_$1.sh"
    chmod 755 "$R/tests/cli/test_$1.sh"
}
# A tests/run of that tree, asked for nothing that this one was asked for.
tests_run() {   # NAME=VALUE... WHAT...
    run env -u V -u FAILED -u JUNIT -u T -u TIERS -u CRASH_ALL -u SAN -u MAKEFLAGS \
        -u MAKELEVEL -u LABS -u LAB_KEPT -u TEST_SECONDS BUILD=build \
        PATH="$T/bin:$PATH" "$@"
}
last() {
    tail -n 1 <<<"$out"
}
failed() {      # what is said of a test that failed, at the end
    sed -n "/^the slowest/,\$s/^FAILED: //p" <<<"$out"
}

# --- tests in shell ----------------------------------------------------------

test_sh good <<'E'
. tests/lib/tap.sh
ok one; ok "two (12 s)"; skip three "it cannot"; finish
E
tests_run "$R/tests/run" good
is "what passes passes" "$status $(last)" "0 2 passed, 0 failed, 1 skipped"
has "what was skipped is said, and why" "$out" \
    "SKIPPED: cli/test_good: three: it cannot"
has "the slowest steps are said" "$out" "   12.0 s  cli/test_good: two"

# A tool that is killed while it speaks.
test_sh torn <<'E'
. tests/lib/tap.sh
ok one; printf 'qemu-io: ' >&2; sleep 0.3; ok two; finish
E
tests_run "$R/tests/run" torn
is "half a line on stderr hides no test" "$status $(last)" "0 2 passed, 0 failed"

test_sh bad <<'E'
. tests/lib/tap.sh
ok one; not_ok two "it is
not so"; ok three; finish
E
tests_run "$R/tests/run" bad
is "what fails fails" "$status $(last)" "1 2 passed, 1 failed"
has "and why is said at the end" "$(sed -n '/^the slowest/,$p' <<<"$out")" \
    "    | not ok 2 - two
    | # it is
    | # not so"

test_sh died <<'E'
. tests/lib/tap.sh
ok one; kill -9 $$
E
test_sh no_plan <<'E'
echo 'ok 1 - one'
E
test_sh too_few <<'E'
echo '1..3'; echo 'ok 1 - one'; echo 'ok 2 - two'
E
test_sh status <<'E'
. tests/lib/tap.sh
trap 'exit 3' EXIT
ok one; finish
E
test_sh nothing <<'E'
exit 0
E
test_sh none <<'E'
. tests/lib/tap.sh
finish
E
test_sh in_a_subshell <<'E'
. tests/lib/tap.sh
ok one; (not_ok two); ok three; finish
E
fails() {       # name, what is said, the last line
    tests_run "$R/tests/run" "$1"
    is "$1: a failure" "$status $(failed) $(last)" "1 cli/test_$1 ($2) $3"
}
fails died "No plan found in TAP output; ended with status 137" "1 passed, 1 failed"
fails no_plan "No plan found in TAP output" "1 passed, 1 failed"
fails too_few "Bad plan.  You planned 3 tests but ran 2." "2 passed, 1 failed"
fails status "ended with status 3" "1 passed, 1 failed"
fails nothing "No plan found in TAP output" "0 passed, 1 failed"
fails none "ended with status 1" "0 passed, 1 failed"
tests_run "$R/tests/run" in_a_subshell
is "a failure that nobody counts" "$status $(last)" "1 2 passed, 1 failed"

test_sh hangs <<'E'
. tests/lib/tap.sh
ok one; echo $BASHPID >hung; sleep 1000
finish
E
tests_run TEST_SECONDS=1 "$R/tests/run" hangs
is "one that hangs is ended" "$status $(last)" "1 1 passed, 1 failed"
has "that is said" "$out" "not done after 1 s"
is "and it is gone" "$(kill -0 "$(cat "$R/hung")" 2>&1 | grep -c 'No such')" 1

# Who stays behind holds nobody up.
test_sh leaves <<'E'
. tests/lib/tap.sh
setsid sleep 20 & echo $! >left
ok one; finish
E
from=$SECONDS
tests_run "$R/tests/run" leaves
kill "$(cat "$R/left")"
is "one that leaves a process behind passes" "$status $(last)" "0 1 passed, 0 failed"
is "at once" "$((SECONDS - from < 15))" 1

# --- cmocka's ----------------------------------------------------------------

cat >"$T/c.c" <<'E'
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <cmocka.h>
static int is(const char *s) { return !strcmp(getenv("KIND"), s); }
static void first(void **s) { (void)s; printf("# SKIP a part: not here\n"); }
static void second(void **s)
{
    (void)s;
    if (is("skips")) { print_message("# SKIP all of it: nor here\n"); skip(); }
    if (is("fails")) { print_error("so it is\n"); assert_int_equal(1, 2); }
    if (is("segv")) raise(SIGSEGV);
    if (is("kill")) raise(SIGKILL);
    if (is("exit")) exit(0);
}
static int up(void **s) { (void)s; return is("setup") ? -1 : 0; }
static int down(void **s) { (void)s; return is("teardown") ? -1 : 0; }
int main(void)
{
    const struct CMUnitTest t[] = { cmocka_unit_test(first),
                                    cmocka_unit_test(second) };
    if (is("none"))
        cmocka_set_test_filter("nobody");
    return cmocka_run_group_tests(t, up, down);
}
E
: >"$R/tests/unit/test_c.c"
cmocka() {      # KIND
    tests_run KIND="$1" "$R/tests/run" unit/test_c
    echo "$status $(last)"
}
if cc -o "$R/build/tests/unit/test_c" "$T/c.c" -lcmocka 2>/dev/null; then
    is "cmocka: what passes, and a part skipped" "$(cmocka passes)" \
        "0 2 passed, 0 failed, 1 skipped"
    is "cmocka: skipped" "$(cmocka skips)" "0 1 passed, 0 failed, 2 skipped"
    tests_run KIND=skips "$R/tests/run" c
    is "cmocka: with its reason, once" "$(grep SKIPPED <<<"$out")" \
        "SKIPPED: unit/test_c: a part: not here
SKIPPED: unit/test_c: all of it: nor here"
    is "cmocka: failed" "$(cmocka fails)" "1 1 passed, 1 failed, 1 skipped"
    tests_run KIND=fails "$R/tests/run" c
    has "cmocka: with what it said before and after" \
        "$(sed -n '/^the slowest/,$p' <<<"$out")" "    | so it is
    | not ok 2 - second
    | # 0x1 != 0x2"
    is "cmocka: SIGSEGV" "$(cmocka segv)" "1 1 passed, 1 failed, 1 skipped"
    is "cmocka: SIGKILL" "$(cmocka kill)" "1 1 passed, 1 failed, 1 skipped"
    is "cmocka: exit in a test" "$(cmocka exit)" "1 1 passed, 1 failed, 1 skipped"
    is "cmocka: a group's setup" "$(cmocka setup)" "1 0 passed, 1 failed"
    is "cmocka: a group's teardown" "$(cmocka teardown)" \
        "1 2 passed, 1 failed, 1 skipped"
    is "cmocka: no test" "$(cmocka none)" "1 0 passed, 1 failed"
else
    skip "cmocka's programs" "it cannot be built with here"
fi
printf '#!/bin/sh\necho "1..0 # SKIP no such tool"\n' >"$R/build/tests/unit/test_c"
chmod 755 "$R/build/tests/unit/test_c"
tests_run "$R/tests/run" c good
is "all of a program skipped" "$status $(last)" "0 2 passed, 0 failed, 2 skipped"
has "that is said as well" "$out" "SKIPPED: unit/test_c: no such tool"
tests_run "$R/tests/run" c
is "nothing passed is no success" "$status $(last)" "1 0 passed, 0 failed, 1 skipped"

# --- what is run -------------------------------------------------------------

tests_run "$R/tests/run" nobody
is "a test that is not there" "$status $err" "2 tests/run: no test 'nobody'"
tests_run "$R/tests/run" good test_good cli/good cli/test_good \
    tests/cli/test_good.sh
is "a test has these names, and is run once" "$(last)" \
    "2 passed, 0 failed, 1 skipped"
tests_run "$R/tests/run" bad good too_few
is "some tests" "$(last)" "6 passed, 2 failed, 1 skipped"
tests_run TEST_SECONDS=2 JUNIT="$T/junit.xml" FAILED=1 "$R/tests/run"
is "those that failed last" "$(failed | cut -d' ' -f1 | sort)" \
    "cli/test_bad
cli/test_died
cli/test_hangs
cli/test_in_a_subshell
cli/test_no_plan
cli/test_none
cli/test_nothing
cli/test_status
cli/test_too_few"
is "JUnit has them all" "$(grep -c '<testsuite ' "$T/junit.xml") $(last)" \
    "$(failed | wc -l) 10 passed, 9 failed"
has "and why" "$(cat "$T/junit.xml")" "    | # it is"
if perl -MXML::Parser -e 1 2>/dev/null; then
    is "and is XML" "$(perl -MXML::Parser -e \
        'XML::Parser->new->parsefile(shift)' "$T/junit.xml" 2>&1)" ""
fi

touch "$R/broken"
printf '#!/bin/sh\necho "ok 1 - lint"; echo 1..1\n' >"$R/tests/lint"
chmod 755 "$R/tests/lint"
tests_run "$R/tests/run" lint good
is "what cannot be built fails, and the rest is run" "$status $(last)" \
    "1 1 passed, 1 failed"
has "with what make said" "$(sed -n '/^the slowest/,$p' <<<"$out")" \
    "    | # no such thing"
rm "$R/broken"

# --- the lab -----------------------------------------------------------------

# Each says when it began and which lab it has; there are two.
script() {      # name, limit
    printf '# limit: %s\n' "$2" >"$R/tests/system/$1.sh"
}
script test_long 300
script test_middle 200
script host_any 5
# What it takes is less than what it may take.
script test_short 1000
sed -i '1i # takes: 10' "$R/tests/system/test_short.sh"
cat >"$R/tests/system/run" <<'E'
#!/bin/bash
echo "${1##*/} ${LAB_KEPT##*-}" >>began
sleep 100 & echo $! >>beside    # as the QEMU of a lab
sleep 1
echo "ok 1 - it (1 s)"
echo "# time: start of vm1 7 s"
echo 1..1
E
chmod 755 "$R/tests/system/run"
tests_run "$R/tests/run" system
xargs kill <"$R/beside"
is "scripts are run in labs" "$status $(last)" "0 4 passed, 0 failed"
is "with the host's first, then the longest" \
    "$(head -n 2 "$R/began" | sort | cut -d' ' -f1
       tail -n 2 "$R/began" | sort | cut -d' ' -f1)" \
    "host_any.sh
test_long.sh
test_middle.sh
test_short.sh"
is "each of two labs has two of them" \
    "$(cut -d' ' -f2 "$R/began" | sort | uniq -c | xargs)" "2 1 2 2"
is "the image is made before, and the labs end" \
    "$(sed 's/check-[0-9]*/check/' "$R/labs")" "image
kill --name check-1
kill --name check-2"
has "where the time went" "$out" "          7 s    start of vm1"

# One that wants another Debian: its image, and the module for its Xen, are made
# before as well.  If they cannot be made, that is its own failure.
rm "$R/began" "$R/beside" "$R/labs"
echo '# release: trixie' >>"$R/tests/system/test_short.sh"
printf '#!/bin/sh\necho "$*" >>labs\n[ "$*" != "image --release trixie" ]\n' >"$R/tools/lab/lab"
tests_run "$R/tests/run" system
xargs kill <"$R/beside"
is "a script of another release is run, too" "$status $(last)" \
    "0 4 passed, 0 failed"
is "and its image is made before" "$(sed -n 1,2p "$R/labs" | sort)" "image
image --release trixie"
is "it has a lab of its own, and is among the first" \
    "$(head -n 2 "$R/began" | grep -c test_short)" 1
sed -i '/^# release/d' "$R/tests/system/test_short.sh"

# --- an interrupted run ------------------------------------------------------

# One that does not end when it is asked to, and its child.
cat >"$R/tests/system/run" <<'E'
#!/bin/bash
trap '' TERM
echo $BASHPID >>pids
sleep 1000 & echo $! >>pids
wait
sleep 1000
E
sed -i 's/grace=30/grace=1/' "$R/tests/one"
for how in TERM INT HUP; do
    rm -f "$R/pids" "$R/labs"
    # shellcheck disable=SC2016 # of the other shell
    tests_run env -C "$R" --default-signal=INT bash -c '
        env --default-signal=INT tests/run system & pid=$!
        until [ "$(grep -sc . pids)" = 4 ]; do sleep 0.1; done
        kill -$0 $pid; wait $pid' $how
    is "ended by SIG$how: no test stays" \
        "$status $(wc -l <"$R/pids") $(xargs ps -o args= -p <"$R/pids")" "143 4 "
    is "and no lab" "$(grep -c kill "$R/labs")" 2
    xargs kill -9 <"$R/pids" 2>/dev/null # if there are any
done
finish

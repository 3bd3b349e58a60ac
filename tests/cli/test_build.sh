#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# What a packager relies on: flags that can be set, pages that are the same each
# time; and what an editor reads, compile_commands.json.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2317  # called by run
mk() {
    make -s --no-print-directory "$@"
}

# A warning that the code has, so that it counts: -Wtraditional.
object=obj/xl-snapshot/lib/parallel.o
run mk BUILD="$T/strict" CFLAGS=-Wtraditional "$T/strict/$object"
has "a warning is an error" "$err" "Werror"
is "and there is no object" "$(ls "$T/strict/$object" 2>/dev/null)" ""
run mk BUILD="$T/lax" CFLAGS=-Wtraditional WERROR= "$T/lax/$object"
is "make WERROR= goes on" "$status" 0
has "and shows it" "$err" "Wtraditional"
run mk BUILD="$T/own" CPPFLAGS=-DPACKAGERS_OWN -n "$T/own/$object"
has "CPPFLAGS of a packager's" "$out" " -DPACKAGERS_OWN "
has "beside ours" "$out" " -Ixl-snapshot "
run mk BUILD="$T/own" LDFLAGS=-Wl,--packagers-own -n "$T/own/xl-snapshot"
has "LDFLAGS of a packager's" "$out" "-Wl,-z,relro,-z,now -Wl,--packagers-own"

# make help: a line for each target, and each line is whole.
help=$(mk help)
unsaid=
# shellcheck disable=SC2013  # words
for target in $(sed -n 's/^\.PHONY: *//p' Makefile ./*/Makefile.inc |
    sed 's/\$.*//'); do
    case $target in
    all | build | deps | test-programs | test-binaries) continue ;; # make's own
    esac
    grep -qwe "$target" <<<"$help" || unsaid+=" $target"
done
is "make help names each target" "$unsaid" ""
is "and ends no line in its middle" "$(grep -E '[;:,]$|^.{80}' <<<"$help")" ""

# The same sources, unpacked on another day.
pages() {       # folder, when its files were written
    mkdir -p "$1"
    cp --parents Makefile Config.mk CHANGELOG.md docs/man/*.pod \
        {docs,tools,tests}/Makefile.inc "$1"
    [ -z "${3:-}" ] || sed -i "$3" "$1/CHANGELOG.md"
    find "$1" -exec touch -d "$2" {} +
    make -s --no-print-directory -C "$1" BUILD=out docs >/dev/null
    cat "$1"/out/man/*
}
if command -v pod2man >/dev/null; then
    unset SOURCE_DATE_EPOCH POD_MAN_DATE
    pages "$T/a" 2001-01-01 >"$T/pages.a"
    pages "$T/b" 2011-11-11 >"$T/pages.b"
    is "two builds, the same pages" "$(cmp "$T/pages.a" "$T/pages.b" 2>&1)" ""
    is "there are pages" "$(grep -c '^\.TH ' "$T/pages.a")" \
        "$(find docs/man -name '*.pod' | wc -l)"
    version=$(sed -n 's/^VERSION *:= *//p' Config.mk)
    # podlators 5 and later leave the quotes away.
    heads() { pages "$@" | grep '^\.TH ' | tr -d '"'; }
    has "the day of the release" "$(heads "$T/c" 2011-11-11 \
        "s/^## \\[Unreleased\\]/&\n\n## [$version] - 2027-03-04/")" \
        ' 2027-03-04 '
    export SOURCE_DATE_EPOCH=86400
    has "SOURCE_DATE_EPOCH" "$(heads "$T/d" 2011-11-11)" ' 1970-01-02 '
    unset SOURCE_DATE_EPOCH
else
    skip "manual pages" "pod2man is not installed"
fi

# Each source is in it, and each command compiles.
db=$T/compile_commands.json
run mk compdb COMPDB="$db"
is "make compdb" "$status" 0
listed() {
    sed -n 's/.*"file": "\([^"]*\)".*/\1/p' "$db"
}
# Built by scripts of their own, or for another system.
elsewhere='^tests/(fuzz|system)/|^tools/(lab|bench)/'
without_xen='^xl-snapshot/hyp/[^l]|^tests/unit/test_hyp_'
[ -n "$(pkg-config --modversion xenlight 2>/dev/null)" ] && without_xen='^$'
is "every source is there, once" "$(listed | sort)" \
    "$(git ls-files '*.c' | grep -vE "$elsewhere" | grep -vE "$without_xen" |
        sort)"
compiles() {
    local command
    command=$(grep -F "\"file\": \"$1\"" "$db" |
        sed -e 's/.*"command": "//' -e 's/"},\{0,1\}$//' -e 's/\\"/"/g')
    run sh -c "$command -fsyntax-only"
    is "its command compiles $1" "$status $err" "0 "
}
compiles xl-snapshot/cli/main.c
compiles tests/tools/conformance.c
compiles tools/front/xl.c
if command -v jq >/dev/null; then
    run jq -e 'map(.directory and .file and .command) | all' "$db"
    is "it is JSON" "$status" 0
fi

finish

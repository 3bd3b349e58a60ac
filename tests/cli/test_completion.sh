#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck disable=SC2031  # each file is sourced in a subshell on purpose
#
# bash completion, with the functions called as bash calls them.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
. tests/cli/fake.sh

new_world
mkdir "$T/bin" "$T/files"
ln -s "$FAKE" "$T/bin/xl-snapshot"
cat >"$T/bin/xl" <<'END'
#!/bin/sh
[ "$1" = list ] && printf '%s\n' "Name ID Mem" "Domain-0 0 1" "vm1 1 1" \
    "vm2 2 1" "other 3 1"
END
chmod 755 "$T/bin/xl"
PATH=$T/bin:$PATH
cd "$T/files" || exit 1
touch one.cfg two.cfg
"$FAKE" create vm1 -n monday >/dev/null 2>&1
"$FAKE" create vm1 -n friday -D >/dev/null 2>&1

# complete_at FILE WORDS...: what is offered for the last word
complete_at() {
    local file=$1
    shift
    (
        # shellcheck disable=SC1090
        . "$TOP/tools/completion/$file"
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        fn=$(complete -p "$1" | sed 's/.*-F \([^ ]*\).*/\1/')
        "$fn" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | tr '\n' ' '
    )
}
offers() {      # name, expected, words
    local name=$1 want=$2
    shift 2
    is "$name" "$(complete_at xl-snapshot.bash "$@")" "$want "
}

offers "commands" "clone create delete help info list recover revert" xl-snapshot ''
offers "the beginning of a command" "create" xl-snapshot cr
offers "global options" "--store" xl-snapshot --s
offers "help on a command" "clone create delete info list recover revert" xl-snapshot help ''
offers "domains" "other vm1 vm2" xl-snapshot create ''
offers "domains behind options" "vm1 vm2" xl-snapshot -v create -n x -D v
offers "a configuration file" "one.cfg two.cfg" xl-snapshot create vm1 ''
offers "a configuration file first" "./one.cfg" xl-snapshot create ./o
offers "then the domain" "vm1 vm2" xl-snapshot create ./one.cfg v
offers "options" "--memory" xl-snapshot create --m
offers "a type" "external internal" xl-snapshot create --type ''
offers "a type behind =" "internal" xl-snapshot create --type = i
offers "a file" "one.cfg" xl-snapshot create --memory on
offers "nothing for a name" "" xl-snapshot create --name ''
offers "disks of a domain" "xvda xvdb xvdc" xl-snapshot create vm1 --no-disk x
offers "domains to list" "vm1 vm2" xl-snapshot list v
offers "snapshots to look at" "friday monday" xl-snapshot info vm1 ''
offers "a domain to look at" "vm1 vm2" xl-snapshot info v
offers "options of list" "--long" xl-snapshot list --l
offers "no domain after the domain" "" xl-snapshot list vm1 ''
offers "snapshots" "friday monday" xl-snapshot revert vm1 ''
offers "snapshots to delete" "friday monday" xl-snapshot delete vm1 ''
offers "snapshots to clone" "friday monday" xl-snapshot clone vm1 ''
offers "a domain to clone" "vm1 vm2" xl-snapshot clone v
offers "no word for the new name" "" xl-snapshot clone vm1 monday ''
offers "the beginning of one" "monday" xl-snapshot revert vm1 m
offers "no snapshots with --config" "" xl-snapshot revert vm1 --config one.cfg ''
offers "a file behind --config" "one.cfg two.cfg" xl-snapshot revert vm1 --config ''
offers "snapshots of another store" "friday monday" \
    xl-snapshot --store "$XLFAKE_STORE" revert vm1 ''
offers "no snapshots of nobody" "" xl-snapshot revert nobody ''
offers "no snapshot to recover" "" xl-snapshot recover vm1 ''

is "every option is offered" \
    "$(complete_at xl-snapshot.bash xl-snapshot create -- | tr ' ' '\n' |
        grep -c .)" \
    "$("$FAKE" create --help | grep -cE '^(-., |-. [A-Z]+, )?--')"

# xl's own completion, and ours beside it.
mkdir -p "$T/user/completions"
cat >"$T/user/completions/xl" <<'END'
_xl() { COMPREPLY=("theirs "); }
complete -F _xl -o nospace -o default xl xen
END
ln -s "$TOP/tools/completion/xl-snapshot.bash" "$T/user/completions/xl-snapshot"
export BASH_COMPLETION_USER_DIR=$T/user
is "xl: the command is xl's to complete" \
    "$(complete_at xl.bash xl sn)" "theirs  "
is "xl: other commands too" "$(complete_at xl.bash xl create a)" "theirs  "
is "xl: behind snapshot-create it is ours" \
    "$(complete_at xl.bash xl -v snapshot-create v)" "vm1 vm2 "
is "xl: behind snapshot-revert" \
    "$(complete_at xl.bash xl snapshot-revert vm1 '')" "friday monday "
is "xl: theirs is read once, and ours stays in charge" "$(
    . "$TOP/tools/completion/xl.bash"
    COMP_WORDS=(xl l) COMP_CWORD=1
    _xl_snapshot_xl xl l xl
    _xl_snapshot_xl xl l xl
    complete -p xl)" "complete -o default -o nospace -F _xl_snapshot_xl xl"
is "xl: if theirs was read before ours" "$(
    . "$T/user/completions/xl"
    . "$TOP/tools/completion/xl.bash"
    rm "$T/user/completions/xl"
    COMP_WORDS=(xl l) COMP_CWORD=1
    _xl_snapshot_xl xl l xl
    echo "${COMPREPLY[*]}")" "theirs "
is "xl: without any of theirs nothing breaks" \
    "$(complete_at xl.bash xl create a 2>&1)" " "

finish

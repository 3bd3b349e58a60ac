# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# xl's own completion stays in charge of xl: it lists the snapshot commands
# by itself, since `xl help` shows them.  This adds what comes behind them.
# Read when a shell starts; xl's own is read when it is first needed.

_xl_snapshot_theirs=

# The function that xl's own completion registered, if any has.
_xl_snapshot_registered() {
    local spec

    spec=$(complete -p xl 2>/dev/null) || return 0
    [[ $spec =~ -F\ ([^ ]+) ]] || return 0
    [[ ${BASH_REMATCH[1]} == _xl_snapshot_* ]] ||
        _xl_snapshot_theirs=${BASH_REMATCH[1]}
}

# Read the first of these files that is there; then register ourselves again.
_xl_snapshot_read() {
    local dir file=$1

    for dir in "${BASH_COMPLETION_USER_DIR:-$HOME/.local/share/bash-completion}/completions" \
               /usr/local/share/bash-completion/completions \
               /usr/share/bash-completion/completions; do
        if [[ -r $dir/$file ]]; then
            # shellcheck disable=SC1090
            . "$dir/$file"
            break
        fi
    done
    [[ $file == xl ]] && _xl_snapshot_registered
    complete -F _xl_snapshot_xl -o nospace -o default xl
}

_xl_snapshot_xl() {
    local i

    for (( i = 1; i < COMP_CWORD; i++ )); do
        [[ ${COMP_WORDS[i]} == -* ]] || break
    done
    if (( i < COMP_CWORD )) && [[ ${COMP_WORDS[i]} == snapshot-* ]]; then
        declare -F _xl_snapshot_at >/dev/null ||
            _xl_snapshot_read xl-snapshot
        declare -F _xl_snapshot_at >/dev/null && _xl_snapshot_at "$i"
        return 0
    fi
    [[ $_xl_snapshot_theirs ]] || _xl_snapshot_read xl
    [[ $_xl_snapshot_theirs ]] && "$_xl_snapshot_theirs" "$@"
}

_xl_snapshot_registered
complete -F _xl_snapshot_xl -o nospace -o default xl

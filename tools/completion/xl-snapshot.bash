# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# Completion for xl-snapshot, and for xl's snapshot commands (xl.bash).  The
# options and the operands come from the program itself, so nothing here can
# go stale.

# Candidates, one a line, on standard input.
_xl_snapshot_reply() {
    local IFS=$'\n'
    mapfile -t COMPREPLY < <(compgen -W "$(cat)" -- "$1")
}

_xl_snapshot_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_xl_snapshot_domains() {
    xl list 2>/dev/null |
        awk 'NR > 1 && $1 != "Domain-0" { print $1 }'
}

# _xl_snapshot_at INDEX: the command is word INDEX; complete what comes after.
_xl_snapshot_at() {
    local cur=${COMP_WORDS[COMP_CWORD]} at=$1 i word kind='' given=' '
    local -A kinds=()
    local -a operands=() store=() rows=()

    compopt +o nospace 2>/dev/null
    COMPREPLY=()
    while read -r word kind; do
        [[ $word ]] && kinds[$word]=$kind
    done < <(xl-snapshot --complete options "${COMP_WORDS[at]}" 2>/dev/null)
    (( ${#kinds[@]} )) || return 0
    mapfile -t rows < <(
        xl-snapshot --complete operands "${COMP_WORDS[at]}" 2>/dev/null)

    # What is before the word at the cursor; kind: what that one has to be.
    # Bash makes three words of --name=x.
    kind=
    for (( i = 1; i < COMP_CWORD; i++ )); do
        (( i == at )) && continue
        word=${COMP_WORDS[i]}
        if [[ $kind ]]; then
            [[ $word == = ]] && continue
            [[ $kind == dir ]] && store=(--store "$word")
            kind=
        elif [[ $word == --store ]]; then
            kind=dir
        elif (( i < at )); then
            continue
        elif [[ $word == -* ]]; then
            given+="$word "
            kind=${kinds[$word]:-none}
            [[ $kind == none ]] && kind=
        elif [[ $word != = ]]; then
            operands+=("$word")
        fi
    done
    [[ $kind && $cur == = ]] && cur=

    case $kind in
    text) return 0 ;;
    file) _xl_snapshot_files "$cur"; return 0 ;;
    dir)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return 0
        ;;
    type) _xl_snapshot_reply "$cur" <<<$'internal\nexternal'; return 0 ;;
    vdev)
        # The domain may come later; then there is nothing to offer.
        [[ ${operands[0]:-} ]] || operands=("$(_xl_snapshot_later "$at")")
        [[ ${operands[0]} ]] && _xl_snapshot_reply "$cur" < <(
            xl-snapshot --complete vdevs "${operands[0]}" 2>/dev/null)
        return 0
        ;;
    esac

    if [[ $cur == -* ]]; then
        _xl_snapshot_reply "$cur" < <(
            printf '%s\n' "${!kinds[@]}" | grep -e '^--' | LC_ALL=C sort)
        return 0
    fi
    word=${rows[${#operands[@]}]:-}
    # A file may come before the domain, and has a slash then.
    if [[ ${rows[1]:-} == config ]]; then
        [[ ${#operands[@]} == 0 && $cur == [./]* ]] && word=config
        [[ ${#operands[@]} == 1 && ${operands[0]} == */* ]] && word=domain
    fi
    # An option takes its place.
    [[ $word == *' '* && $given == *" ${word#* } "* ]] && word=
    case ${word% *} in
    domain) _xl_snapshot_reply "$cur" < <(_xl_snapshot_domains) ;;
    config) _xl_snapshot_files "$cur" ;;
    snapshot)
        _xl_snapshot_reply "$cur" < <(
            xl-snapshot --complete snapshots "${operands[0]}" "${store[@]}" \
                2>/dev/null)
        ;;
    esac
    return 0
}

# The first word behind the cursor that is no option: the domain, if the user
# went back to add an option.
_xl_snapshot_later() {
    local i

    for (( i = COMP_CWORD + 1; i < ${#COMP_WORDS[@]}; i++ )); do
        if [[ ${COMP_WORDS[i]} != -* && ${COMP_WORDS[i]} != = ]]; then
            printf '%s\n' "${COMP_WORDS[i]}"
            return
        fi
    done
}

_xl_snapshot() {
    local i cur=${COMP_WORDS[COMP_CWORD]}

    for (( i = 1; i < COMP_CWORD; i++ )); do
        case ${COMP_WORDS[i]} in
        --store) (( i++ )) ;;
        -*) ;;
        *) break ;;
        esac
    done
    COMPREPLY=()
    if (( i < COMP_CWORD )); then
        if [[ ${COMP_WORDS[i]} == help ]]; then
            _xl_snapshot_reply "$cur" < <(
                xl-snapshot --complete commands 2>/dev/null)
        else
            _xl_snapshot_at "$i"
        fi
    elif (( i > COMP_CWORD )); then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    elif [[ $cur == -* ]]; then
        _xl_snapshot_reply "$cur" <<<$'--help\n--version\n--store\n--dry-run
--json\n--verbose'
    else
        _xl_snapshot_reply "$cur" < <(
            xl-snapshot --complete commands 2>/dev/null
            echo help)
    fi
}

complete -F _xl_snapshot xl-snapshot

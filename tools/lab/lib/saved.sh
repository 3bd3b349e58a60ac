# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# A machine that was saved when dom0 was up: starting from it takes seconds, a
# boot takes most of a minute.  It is made once, like the image, by QEMU's
# migration to a file, and kept under a hash of all that is in it.
#
# While the shared folder is mounted QEMU cannot be migrated, so the agent lets
# go of it first, and mounts the one of the new machine afterwards.

LAB_SAVED_MEM=3072

# Only if it is asked for (LAB_SAVED=1), and only this one machine is saved.
saved_fits() { # MEM
    [ -n "${LAB_SAVED:-}" ] && [ "$1" = $LAB_SAVED_MEM ] &&
        [ "$LAB_INIT" = lab ] && [ "${LAB_CPUS:-1}" = 1 ] && [ "${LAB_ACCEL:-tcg}" = tcg ]
}

ensure_saved() {
    local hash
    hash=$(hash_of "$LAB_TOP"/dom0/{init,common.sh} \
        "$LAB_TOP/lib/machine.sh" "${BASH_SOURCE[0]}" - < <(echo "$LAB_IMAGE $LAB_PARTS"
            qemu-system-x86_64 --version)) || exit 1
    build_once saved "$hash" build_saved
    LAB_STATE=$built
}

# The machine is gone afterwards, whatever happens.
build_saved() { # FOLDER
    say "saving a machine with dom0 up: once, about a minute"
    (
        LAB_NAME=saved-$$
        lab_find
        trap '[ -z "$LAB_QEMU" ] || machine_kill; rm -rf "$LAB_RUN"' EXIT
        machine_folder
        qemu-img create -q -f qcow2 -F raw -b "$LAB_IMAGE/root.img" \
            "$1/root.qcow2" || exit 1
        machine_boot "file=$1/root.qcow2,format=qcow2,cache=unsafe" \
            $LAB_SAVED_MEM $((SECONDS + 180))
        echo away >"$LAB_RUN/agent.in"
        machine_says 'the share is away' $((SECONDS + 20))
        saved_migrate "$1/memory"
    )
}

# It runs meanwhile, so that it will run when it comes back.
saved_migrate() { # FILE
    local end=$((SECONDS + 120)) answer status=1
    coproc QMP { exec socat - "UNIX-CONNECT:$LAB_RUN/qmp"; }
    printf '%s\n' '{"execute": "qmp_capabilities"}' \
        '{"execute": "migrate-set-parameters", "arguments": {"max-bandwidth": 10000000000}}' \
        "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"exec:cat >$1\"}}" \
        >&"${QMP[1]}"
    while [ $SECONDS -lt $end ]; do
        echo '{"execute": "query-migrate"}' >&"${QMP[1]}" || break
        read -rt 0.2 -u "${QMP[0]}" answer || continue
        case $answer in
        *'"status": "completed"'*) status=0; break ;;
        *'"status": "failed"'*|*'"error"'*) echo "$answer" >&2; break ;;
        esac
    done
    kill "$QMP_PID" 2>/dev/null
    return $status
}

saved_up() { # MEM END
    machine_start \
        "file=$LAB_STATE/root.qcow2,format=qcow2,cache=unsafe,snapshot=on" \
        "$1" "$2" -incoming "exec:cat $LAB_STATE/memory"
    # Read when it runs.
    echo "back $(date +%s)" >"$LAB_RUN/agent.in"
    machine_says 'the share is back' "$2"
    machine_answers
}

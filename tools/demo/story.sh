#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The story that "make demo" tells, in the lab's dom0.
#
#   story.sh plain|colour
#
# Every command is shown as typed and really run; what it says is what was
# printed.  At the end all that the guest says is compared, and the exit
# status is 1 if memory and disks are not back at one instant.

set -u
bold='' red='' green='' cyan='' off=''
if [ "${1:-plain}" = colour ]; then
    bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m'
    cyan=$'\e[36m' off=$'\e[0m'
fi
wrong=0

chapter() {
    printf '\n%s%s%s\n' "$bold" "$*" "$off"
}

tell() {
    if [ -z "$1" ]; then
        echo
        shift
    fi
    printf '%s\n' "$*" | tr -s ' ' | fold -s -w 76 | sed 's/ *$//'
}

# A command that must succeed: the prompt, the command, what it prints.
dom0() {
    printf '%sdom0#%s %s\n' "$cyan" "$off" "$*"
    if ! "$@" 2>&1; then
        printf '%sThis failed, and the story ends here.%s\n' "$red" "$off"
        exit 1
    fi
}

# One that is expected to fail.
dom0_fails() {
    printf '%sdom0#%s %s\n' "$cyan" "$off" "$*"
    if "$@" 2>&1; then
        printf '%sThis should have failed.%s\n' "$red" "$off"
        wrong=1
    fi
}

# The guest is asked on its console.
ask() {
    local answer
    if ! answer=$(GUEST_TIMEOUT=60 guest ask demo "$@" 2>&1); then
        echo "the guest says: $answer"
        printf '%sThe story ends here.%s\n' "$red" "$off"
        exit 1
    fi
    echo "$answer"
}

field() { # NAME ANSWER
    local v=" $2 "
    v=${v#* "$1"=}
    echo "${v%% *}"
}

guest_says() {
    printf '  %sguest:%s %s\n' "$green" "$off" "$*"
}

# Sets T A B HOLES BOOT SA SB MEM, and says them.
look() {
    local s
    s=$(ask status) || { echo "$s"; exit 1; }
    T=$(field tick "$s")
    A=$(field a "$s")
    B=$(field b "$s")
    HOLES=$(($(field ahole "$s") + $(field bhole "$s")))
    BOOT=$(field boot "$s")
    s=$(ask sum) || { echo "$s"; exit 1; }
    SA=$(field a "$s")
    SB=$(field b "$s")
    s=$(guest ask demo mem check 2>&1)
    case $s in
    ok\ *) MEM="$(field mb "$s") MB, all as written" ;;
    *)     MEM="not as written: $s" ;;
    esac
    guest_says "tick $T in memory, $A on xvda, $B on xvdb; ticks missing: $HOLES"
    guest_says "pattern in memory: $MEM"
    guest_says "data on xvda: $SA"
    guest_says "data on xvdb: $SB"
}

same() { # WHAT WANTED GOT
    if [ "$2" = "$3" ]; then
        printf '  %-34s %s  %sas it was%s\n' "$1" "$3" "$green" "$off"
    else
        printf '  %-34s %s  %sNOT %s%s\n' "$1" "$3" "$red" "$2" "$off"
        wrong=1
    fi
}

agrees() { # WHAT TEXT COMMAND...
    if "${@:3}"; then
        printf '  %-34s %s  %sgood%s\n' "$1" "$2" "$green" "$off"
    else
        printf '  %-34s %s  %sWRONG%s\n' "$1" "$2" "$red" "$off"
        wrong=1
    fi
}

cd /root/guest || exit 1

chapter "1. A guest with two disks"
guest make demo --type pvh --mem 128 --disk xvda:qcow2:256M \
    --disk xvdb:raw:256M || exit 1
dom0 grep -e '^type' -e '^memory' -e target= demo.cfg
dom0 xl create demo.cfg
guest ready demo || exit 1
dom0 xl list
tell "Twice a second and more the guest counts a tick in its memory and writes it to" \
    "both disks.  It also gets 8 MB of data on each disk, and a pattern in memory:"
ask fill 2015 8 >/dev/null
ask mem fill 8 >/dev/null
look
boot=$BOOT sa=$SA sb=$SB mem=$MEM
before=$T

chapter "2. A snapshot: memory, and each disk in its own way"
tell "Default: inside the image where the format can (qcow2); else a new image" \
    "takes the writes and the old one is frozen (raw)."
dom0 xl snapshot-create -n good demo
after=$(field tick "$(ask status)")
guest_says "tick $after"

chapter "3. The guest goes on, and ruins everything"
ask mem fill 3 >/dev/null
ask fill 666 8 >/dev/null
ask damage >/dev/null
look
ruined=$T
if [ "$SA" = "$sa" ] || [ "$SB" = "$sb" ]; then
    tell "The data should be gone, and is not: there is nothing to show."
    exit 1
fi

chapter "4. Back"
domid=$(xl domid demo)
dom0 xl snapshot-revert demo good
look
dom0 xl list

chapter "5. Is it one instant?"
tell "The snapshot was taken between tick $before and tick $after; the guest was at" \
    "tick $ruined when it was reverted."
same "boot of the guest" "$boot" "$BOOT"
same "pattern in memory" "$mem" "$MEM"
same "data on xvda (qcow2, internal)" "$sa" "$SA"
same "data on xvdb (raw, external)" "$sb" "$SB"
agrees "memory, xvda, xvdb agree" "$T $A $B" [ "$T $T" = "$A $B" ]
agrees "no tick is missing on a disk" "$HOLES missing" [ "$HOLES" = 0 ]
agrees "it went on from the snapshot" "tick $T" [ "$T" -ge "$before" ]
now=$(xl domid demo)
agrees "it is another domain" "number $now, was $domid" [ "$now" != "$domid" ]

chapter "6. And it lives on"
tell "The guest reboots itself; xl's daemon must notice and start it again."
ask reboot >/dev/null
end=$((SECONDS + 90))
while [ $SECONDS -lt $end ]; do
    s=$(GUEST_TIMEOUT=5 guest ask demo status 2>/dev/null) || continue
    [ "$(field boot "$s")" != "$boot" ] && break
    sleep 0.5
done
look
agrees "it booted again" "$BOOT" [ "$BOOT" != "$boot" ]
same "data on xvda" "$sa" "$SA"
same "data on xvdb" "$sb" "$SB"
tell "" "The memory image cannot be restored by accident onto the wrong disks:"
dom0_fails xl restore "/var/lib/xen/snapshots/$(sed -n \
    's/^uuid = "\(.*\)"/\1/p' demo.cfg)/memory/good.save"
ask poweroff >/dev/null
guest gone demo 40
dom0 qemu-img check demo/xvda.qcow2

echo
if [ $wrong -eq 0 ]; then
    printf '%sMemory and both disks are back at the same instant.%s\n' \
        "$bold$green" "$off"
else
    printf '%sMemory and disks are NOT back at the same instant.%s\n' \
        "$bold$red" "$off"
fi
exit $wrong

#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-only
#
# xl-snapshot-setup: put the front of xl-snapshot where xl is, so that
# `xl snapshot-create` works, and let systemd run the recovery at boot; and take
# both away again.
#
# The real xl stays in its folder under another name (Debian's is a relative
# symbolic link that must not change its depth), diverted by dpkg where a
# package owns it, so that upgrades go there as well.  At no moment is there
# no xl: the front and the real one change places by rename(2).  Every step
# may be the last; running the command again finishes it.
#
# XL_SNAPSHOT_ROOT is for tests: all paths are below it.
set -eu

PKGLIBDIR='@PKGLIBDIR@'
SBINDIR='@SBINDIR@'
UNIT='@UNITDIR@/xl-snapshot-recover.service'
ROOT=${XL_SNAPSHOT_ROOT:-}

FRONT=$PKGLIBDIR/front/xl
ORIG=$PKGLIBDIR/orig/xl
STATE=$PKGLIBDIR/orig/state

say() {
    echo "xl-snapshot-setup: $*"
}

die() {
    echo "xl-snapshot-setup: $*" >&2
    exit 1
}

usage() {
    cat <<END
Usage: xl-snapshot-setup enable [--if-present] | disable | status

  enable    let 'xl' know the snapshot commands, and systemd run the recovery
            at boot; harmless to repeat, and to be repeated after a Xen built
            from source was installed anew.  With --if-present it is no
            failure if there is no xl yet.
  disable   put everything back as it was
  status    say which it is; exit status 0 if enabled
END
}

# The relative path of $2 as seen from folder $1; both absolute.
relative() {
    from=${1#/}
    to=${2#/}
    while [ -n "$from" ] && [ "${from%%/*}" = "${to%%/*}" ] &&
          [ "$to" != "${to#*/}" ]; do
        case $from in
        */*) from=${from#*/} ;;
        *) from= ;;
        esac
        to=${to#*/}
    done
    up=
    while [ -n "$from" ]; do
        up=../$up
        case $from in
        */*) from=${from#*/} ;;
        *) from= ;;
        esac
    done
    echo "$up$to"
}

exists() {
    [ -e "$ROOT$1" ] || [ -L "$ROOT$1" ]
}

# Is $1 the link that we put there?
is_front() {
    [ -L "$ROOT$1" ] &&
        [ "$(readlink "$ROOT$1")" = "$(relative "${1%/*}" "$FRONT")" ]
}

# Replace $2 by a symbolic link to $1, in one step.
place_link() {
    rm -f "$ROOT$2.xl-snapshot"
    ln -s "$(relative "${2%/*}" "$1")" "$ROOT$2.xl-snapshot"
    mv -f "$ROOT$2.xl-snapshot" "$ROOT$2"
}

same() {
    if [ -L "$ROOT$1" ] || [ -L "$ROOT$2" ]; then
        [ -L "$ROOT$1" ] && [ -L "$ROOT$2" ] &&
            [ "$(readlink "$ROOT$1")" = "$(readlink "$ROOT$2")" ]
    else
        cmp -s "$ROOT$1" "$ROOT$2"
    fi
}

divert() {
    if [ -n "$ROOT" ]; then
        dpkg-divert --root "$ROOT" "$@"
    else
        dpkg-divert "$@"
    fi
}

# Does a package own this path?
packaged() {
    command -v dpkg-divert >/dev/null 2>&1 || return 1
    if [ -n "$ROOT" ]; then
        set -- --admindir "$ROOT/var/lib/dpkg" -S "$1"
    else
        set -- -S "$1"
    fi
    dpkg-query "$@" 2>/dev/null | grep -qv '^diversion by '
}

# Sets XL, KEPT and MODE from what enable wrote; fails if it never ran.
load_state() {
    [ -f "$ROOT$STATE" ] || return 1
    XL=$(sed -n 's/^xl=//p' "$ROOT$STATE")
    KEPT=$(sed -n 's/^kept=//p' "$ROOT$STATE")
    MODE=$(sed -n 's/^mode=//p' "$ROOT$STATE")
    case $XL,$KEPT,$MODE in
    /*,/*,diverted | /*,/*,moved) ;;
    *) die "$STATE is damaged; it has three lines, such as" \
        "xl=/usr/sbin/xl, kept=/usr/sbin/xl.distrib and mode=diverted" \
        "(mode=moved if 'dpkg-divert --list' has no such xl):" \
        "write it so and try again" ;;
    esac
}

# The xl that root's shell finds first.
choose() {
    for XL in /usr/local/sbin/xl "$SBINDIR/xl" /usr/sbin/xl; do
        if exists "$XL" && ! is_front "$XL"; then
            KEPT=$XL.distrib
            return 0
        fi
    done
    return 1
}

diverted_by() {
    command -v dpkg-divert >/dev/null 2>&1 || return 0
    divert --listpackage "$1"
}

has_unit() {
    [ -d "$ROOT/run/systemd/system" ] && exists "$UNIT"
}

# enable or disable the unit, where there is systemd.  It comes after the front:
# whoever has that has what he asked for.
at_boot() {
    has_unit || return 0
    systemctl --quiet "$1" "${UNIT##*/}" ||
        say "warning: the recovery at boot is as it was;" \
            "'systemctl $1 ${UNIT##*/}' once that works"
}

do_enable() {
    if_present=no
    case ${1:-} in
    --if-present) if_present=yes ;;
    ?*) usage >&2; exit 2 ;;
    esac
    put_front
    at_boot enable
}

put_front() {
    [ -x "$ROOT$FRONT" ] || die "$FRONT is missing; install xl-snapshot first"

    if ! load_state; then
        if ! choose; then
            [ $if_present = yes ] ||
                die "there is no xl here; install Xen's tools first"
            say "there is no xl here; 'xl-snapshot-setup enable' once" \
                "there is (xl-snapshot itself works without)"
            return 0
        fi
        if packaged "$XL"; then MODE=diverted; else MODE=moved; fi
        by=$(diverted_by "$XL")
        [ -z "$by" ] ||
            die "$XL is diverted already (by $by, to" \
                "$(divert --truename "$XL")); nothing was changed;" \
                "let 'dpkg-divert --remove $XL' end that first"
        ! exists "$KEPT" ||
            die "$KEPT is in the way; nothing was changed; move it elsewhere" \
                "and try again"
    fi

    mkdir -p "$ROOT$PKGLIBDIR/orig"
    printf 'xl=%s\nkept=%s\nmode=%s\n' "$XL" "$KEPT" "$MODE" \
        >"$ROOT$STATE.new"
    mv -f "$ROOT$STATE.new" "$ROOT$STATE"
    place_link "$KEPT" "$ORIG"

    if [ "$MODE" = diverted ]; then
        divert --quiet --local --no-rename --divert "$KEPT" --add "$XL"
    fi
    if is_front "$XL"; then
        exists "$KEPT" || say "warning: the real xl, $KEPT, is gone"
        return 0
    fi
    if ! exists "$XL"; then
        exists "$KEPT" || die "there is no xl any more, at $XL or $KEPT"
    elif ! exists "$KEPT"; then
        cp -P -p "$ROOT$XL" "$ROOT$KEPT.xl-snapshot"
        mv -f "$ROOT$KEPT.xl-snapshot" "$ROOT$KEPT"
    elif [ "$MODE" = moved ]; then
        # Somebody installed a newer one over the front.
        mv -f "$ROOT$XL" "$ROOT$KEPT"
    elif ! same "$XL" "$KEPT"; then
        die "$XL is neither the front nor the packaged xl; move it away"
    fi
    place_link "$FRONT" "$XL"
    say "$XL is now the front; the real xl is $KEPT"
}

do_disable() {
    [ $# = 0 ] || { usage >&2; exit 2; }
    take_front
    at_boot disable
}

take_front() {
    if ! load_state; then
        say "it is not enabled"
        return 0
    fi
    if is_front "$XL"; then
        if exists "$KEPT"; then
            mv -f "$ROOT$KEPT" "$ROOT$XL"
        else
            rm -f "$ROOT$XL"
        fi
    elif ! exists "$XL" && exists "$KEPT"; then
        mv -f "$ROOT$KEPT" "$ROOT$XL"
    elif exists "$KEPT"; then
        if [ "$MODE" = moved ] || same "$XL" "$KEPT"; then
            rm -f "$ROOT$KEPT"
        else
            say "warning: $XL is not the front and stays; the packaged one" \
                "is left at $KEPT"
        fi
    fi
    if [ "$MODE" = diverted ]; then
        divert --quiet --local --no-rename --divert "$KEPT" --remove "$XL"
    fi
    rm -f "$ROOT$ORIG" "$ROOT$STATE"
    rmdir "$ROOT$PKGLIBDIR/orig" 2>/dev/null || :
    say "$XL is the real xl again"
}

# Does systemd run the recovery at boot?  Nothing is said where it cannot.
say_at_boot() {
    has_unit || return 0
    if systemctl --quiet is-enabled "${UNIT##*/}" 2>/dev/null; then
        say "the recovery at boot is enabled (${UNIT##*/})"
    else
        say "the recovery at boot is not enabled;" \
            "'systemctl enable ${UNIT##*/}' lets it run"
    fi
}

do_status() {
    if load_state && is_front "$XL" && exists "$KEPT"; then
        say "enabled: $XL is the front, $KEPT the real xl ($MODE)"
        say_at_boot
        return 0
    fi
    if load_state; then
        say "not whole: 'xl-snapshot-setup enable' or 'disable' mends it"
    else
        say "not enabled: 'xl-snapshot-setup enable' lets xl know the" \
            "snapshot commands"
    fi
    return 1
}

command=${1:-}
[ $# = 0 ] || shift
case $command in
enable) do_enable "$@" ;;
disable) do_disable "$@" ;;
status) do_status ;;
-h | --help | help) usage ;;
*) usage >&2; exit 2 ;;
esac

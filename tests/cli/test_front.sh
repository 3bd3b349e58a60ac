#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The front that takes the place of xl, and the program that puts it there:
# in a tree of its own that looks as Debian's, with the real dpkg where it is
# installed, and once as on a system without dpkg.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

R=$T/root
XL=$R/usr/sbin/xl
PKG=$R/usr/lib/xl-snapshot
setup() {
    XL_SNAPSHOT_ROOT=$R "$BUILD/front/xl-snapshot-setup" "$@"
}

# What the "real" xl does is in this file, so that every test can change it.
make_real() {
    mkdir -p "$1"
    cat >"$1/real" <<END
#!/bin/bash
case "\$*" in
*crash*) kill -SEGV \$\$ ;;
*term*) kill -TERM \$\$ ;;
*stdin*) cat; exit 0 ;;
*status*) exit 42 ;;
esac
while [[ \${1:-} == -* ]]; do opts+=("\$1"); shift; done
case \${1:-none} in
help | none)
    if [ -z "\${2:-}" ] || [ "\$2" = help ]; then
        echo "Usage xl [-vfNtT] <subcommand> [args]"
        echo
        echo "xl full list of subcommands:"
        echo
        printf ' %-19s %s\n' create "Create a domain" list "List domains" \
            shutdown "Stop one" sysrq "Send sysrq"
        [ ! -e "$T/more" ] || cat "$T/more"
        [ "\${1:-}" ] || exit 1
        exit 0
    fi
    ;;
esac
printf 'real:'
printf ' <%s>' "\${opts[@]}" "\$@"
echo
END
    chmod 755 "$1/real"
}

# Debian's wrapper: it goes by its own name.
make_wrapper() {        # file, what it says with --version
    mkdir -p "${1%/*}"
    cat >"$1" <<END
#!/bin/sh
COMMAND="\${0##*/}"
[ "\$COMMAND" = xl ] || { echo "Unable to execute \$COMMAND" >&2; exit 127; }
[ "\${1:-}" != -which ] || { echo "wrapper $2"; exit 0; }
exec "$T/real" "\$@"
END
    chmod 755 "$1"
}

make_ours() {
    mkdir -p "$R/usr/sbin" "$PKG/front"
    install -m 755 "$BUILD/front/xl" "$PKG/front/xl"
    cat >"$R/usr/sbin/xl-snapshot" <<'END'
#!/bin/bash
printf 'ours:'
printf ' <%s>' "$@"
echo
END
    chmod 755 "$R/usr/sbin/xl-snapshot"
    ln -s ../../sbin/xl-snapshot "$PKG/xl-snapshot"
}

tree() {        # everything there is, but dpkg's own files
    (cd "$R" && find . -path ./var -prune -o ! -type d \
        -printf '%p %y %m %l\n' -type f -exec cksum {} + | LC_ALL=C sort)
}

make_real "$T"

# --- the front itself -------------------------------------------------------

mkdir -p "$R/usr/sbin"
make_wrapper "$R/usr/lib/xen-common/bin/xen-utils-wrapper" 1
ln -s ../lib/xen-common/bin/xen-utils-wrapper "$XL"
make_ours
mkdir -p "$PKG/orig"
mv "$XL" "$XL.distrib"
ln -s ../../../sbin/xl.distrib "$PKG/orig/xl"
ln -s ../lib/xl-snapshot/front/xl "$XL"

run "$XL" list
is "a command of xl's goes to xl" "$status $out" "0 real: <list>"
run "$XL" -v create '' ' two  words ' '*' "it's" '"q"' $'new\nline' '--' -N
is "arguments arrive as they are" "$out" \
    "real: <-v> <create> <> < two  words > <*> <it's> <\"q\"> <new
line> <--> <-N>"
run "$XL" status
is "the exit status is passed on" "$status" 42
run bash -c '"$0" term; echo "$?"' "$XL"
is "death by a signal is passed on" "$out" 143
run "$XL" stdin <<<"hello there"
is "standard input is passed on" "$out" "hello there"
run "$XL" -x list
is "an unknown global option is xl's to refuse" "$out" "real: <-x> <list>"
run "$XL" '' x
is "an empty word is xl's" "$out" "real: <> <x>"
run "$XL" lists
is "an unknown word is xl's" "$out" "real: <lists>"

run "$XL" snapshot-create vm1 '' 'a b'
is "snapshot-create is ours" "$out" "ours: <snapshot-create> <vm1> <> <a b>"
run "$XL" -vvvN -t -T -f snapshot-revert vm1 s1
is "global options come along" "$out" \
    "ours: <-vvvN> <-t> <-T> <-f> <snapshot-revert> <vm1> <s1>"
run "$XL" -N -- snapshot-create vm1
is "-- before the command" "$out" "ours: <-N> <--> <snapshot-create> <vm1>"
run "$XL" snapshot-cr vm1
is "the beginning of ours is enough" "$out" "ours: <snapshot-create> <vm1>"
run "$XL" snapshot-rev vm1 s
is "also of the other" "$out" "ours: <snapshot-revert> <vm1> <s>"
run "$XL" s
is "the beginning of many goes to xl, as before" "$status $err" \
    "1 command not implemented"
run "$XL" snap vm1
is "the beginning of ours only: xl-snapshot says it is ambiguous" "$out" \
    "ours: <snapshot-> <vm1>"
run "$XL" sys
is "the beginning of one of xl's is xl's" "$out" "real: <sys>"
run "$XL" snapshot-theirs
is "an unknown snapshot command is ours to refuse" "$out" \
    "ours: <snapshot-theirs>"

printf ' %-19s %s\n' snapshot-crunch "Theirs" snapshot-theirs "Theirs" >"$T/more"
run "$XL" snapshot-c vm1
is "both have it: as xl would say" "$status $err" "1 command not implemented"
run "$XL" help snapshot-c
is "both have it: as xl's help would say" "$status $out" \
    '0 command "snapshot-c" not implemented'
run "$XL" snapshot-create vm1
is "an exact name is ours all the same" "$out" "ours: <snapshot-create> <vm1>"
run "$XL" snapshot-theirs
is "a command that only xl has is xl's" "$out" "real: <snapshot-theirs>"
run "$XL" snapshot-th
is "and its beginning" "$out" "real: <snapshot-th>"
printf ' %-19s %s\n' snapshot-create "Theirs" >"$T/more"
run "$XL" help
is "a command that xl has as well is listed once" \
    "$(grep -c snapshot-create <<<"$out")" 1
rm "$T/more"

run "$XL" help
golden front-help.txt "$T/out"
is "xl help succeeds" "$status" 0
is "osstest's check finds it" \
    "$(grep -cE '^[[:space:]]*snapshot-create( |$)' <<<"$out")" 1
run "$XL" -v help help
has "xl -v help help lists ours too" "$out" " snapshot-revert     "
run "$XL"
has "xl alone lists ours too" "$out" " snapshot-create     "
is "and fails as xl does" "$status" 1
run "$XL" help list
is "help on a command of xl's" "$out" "real: <help> <list>"
run "$XL" -v help snapshot-create
is "help on one of ours" "$out" "ours: <-v> <help> <snapshot-create>"
run "$XL" help snapshot-rev
is "help on the beginning of one" "$out" "ours: <help> <snapshot-revert>"

if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
    strace -f -o "$T/trace" "$XL" list >/dev/null
    is "a command of xl's costs no fork" \
        "$(sed '/execve.*orig\/xl/q' "$T/trace" |
            grep -cE '(fork|clone3?)\(')" 0
else
    skip "the cost of the front" "strace is not installed or not allowed"
fi

mv "$XL.distrib" "$T/away"
run "$XL" list
is "a missing xl: the status" "$status" 127
has "a missing xl: the message" "$err" \
    "cannot run the real xl, $PKG/orig/xl: No such file or directory"
run "$XL" help
is "a missing xl: help" "$status" 127
run "$XL" snapshot-create vm1
is "a missing xl: ours still works" "$out" "ours: <snapshot-create> <vm1>"
ln -s ../lib/xl-snapshot/front/xl "$XL.distrib"
run timeout 10 "$XL" list
is "a real xl that is the front: no endless loop" "$status" 127
has "and it says so" "$err" "leads back to the front"
rm "$XL.distrib"
mv "$T/away" "$XL.distrib"
printf '#!/bin/sh\nexit 0\n' >"$T/real"
run "$XL" help
is "an xl that lists nothing gets nothing added" "$status $out" "0 "
make_real "$T"

# --- setup, without dpkg ----------------------------------------------------

rm -rf "$R"
mkdir -p "$T/bin"
for p in sh sed mkdir mv rm rmdir ln readlink cp cmp cat grep; do
    ln -sf "$(command -v $p)" "$T/bin/$p"
done
plain_setup() {
    XL_SNAPSHOT_ROOT=$R PATH=$T/bin sh "$BUILD/front/xl-snapshot-setup" "$@"
}
make_ours
tree >"$T/empty"
run plain_setup enable
is "no xl: enable fails" "$status" 1
run plain_setup enable --if-present
is "no xl: with --if-present it does not" "$status" 0
tree >"$T/now"
is "no xl: nothing changed" "$(diff "$T/empty" "$T/now")" ""
run plain_setup status
is "status: not enabled" "$status" 1

cp "$T/real" "$XL"
chmod 750 "$XL"
tree >"$T/before"
run plain_setup enable
is "a real file as xl: enable" "$status" 0
run "$XL" list
is "xl works" "$out" "real: <list>"
run "$XL" snapshot-create a
is "snapshot-create works" "$out" "ours: <snapshot-create> <a>"
run plain_setup status
is "status: enabled" "$status" 0
tree >"$T/on"
run plain_setup enable
tree >"$T/again"
is "enable again changes nothing" "$(diff "$T/on" "$T/again")" ""
run plain_setup disable
tree >"$T/after"
is "disable restores precisely" "$(diff "$T/before" "$T/after")" ""
run plain_setup disable
is "disable again is harmless" "$status" 0

plain_setup enable >/dev/null
rm "$XL"
sed 's/real:/newer:/' "$T/real" >"$XL"
chmod 755 "$XL"
run plain_setup status
is "a newer xl was installed over the front: status" "$status" 1
run plain_setup enable
run "$XL" list
is "enable again takes the newer one" "$out" "newer: <list>"
run plain_setup disable
run "$XL" list
is "and disable leaves the newer one" "$out" "newer: <list>"
is "nothing is left" "$(find "$R" -name '*.distrib' -o -name orig)" ""

echo foreign >"$XL.distrib"
tree >"$T/before"
run plain_setup enable
is "a foreign xl.distrib is not touched" "$status" 1
tree >"$T/after"
has "and what to do is said" "$err" "move it elsewhere and try again"
is "and nothing else" "$(diff "$T/before" "$T/after")" ""
rm "$XL.distrib"

mkdir -p "$R/usr/local/sbin"
cp "$T/real" "$R/usr/local/sbin/xl"
rm "$XL"
tree >"$T/before"
run plain_setup enable
run "$R/usr/local/sbin/xl" snapshot-create a
is "an xl in /usr/local" "$out" "ours: <snapshot-create> <a>"
run plain_setup disable
tree >"$T/after"
is "disable restores it" "$(diff "$T/before" "$T/after")" ""

# With systemd the recovery at boot goes with it, and keeps nobody from the front.
rm -rf "$R"
make_ours
cp "$T/real" "$XL"
printf '#!/bin/sh\necho "$*" >>"%s/called"\n' "$T" >"$T/bin/systemctl"
chmod 755 "$T/bin/systemctl"
unit=/usr/lib/systemd/system/xl-snapshot-recover.service
called() {
    cat "$T/called" 2>/dev/null
    rm -f "$T/called"
}
mkdir -p "$R${unit%/*}"
touch "$R$unit"
run plain_setup enable
is "without systemd nobody calls it" "$status $(called)" "0 "
mkdir -p "$R/run/systemd/system"
run plain_setup enable
is "enable: the recovery at boot, too" "$status $(called)" \
    "0 --quiet enable xl-snapshot-recover.service"
run plain_setup status
is "status: systemd is asked" "$status $(called)" \
    "0 --quiet is-enabled xl-snapshot-recover.service"
has "status: the recovery at boot" "$out" "the recovery at boot is enabled"
run plain_setup disable
is "disable: it as well" "$status $(called)" \
    "0 --quiet disable xl-snapshot-recover.service"
printf '#!/bin/sh\nexit 1\n' >"$T/bin/systemctl"
run plain_setup enable
is "enable: systemctl fails" "$status" 0
has "enable: and that is said" "$out" "systemctl enable xl-snapshot-recover"
run plain_setup status
is "status: enabled all the same" "$status" 0
has "status: but not the recovery at boot" "$out" \
    "not enabled; 'systemctl enable xl-snapshot-recover.service'"
run "$XL" list
is "enable: the front is there" "$out" "real: <list>"
rm "$R$unit"
run plain_setup status
is "status: there is no unit" "$(grep boot <<<"$out")" ""
run plain_setup disable
is "disable: there is no unit" "$status" 0
has "disable: nothing is said of it" "$out." "is the real xl again."
rm "$T/bin/systemctl"

# Each step of enable and disable may be the last.
interrupted() {         # command, the other
    local n f
    for f in mv ln mkdir rm cp; do
        # Each call twice: killed before it, and behind it.
        for n in $(case $f in mv | rm) seq 8 ;; ln) seq 4 ;; *) seq 2 ;; esac); do
            rm -rf "$R"
            make_ours
            cp "$T/real" "$XL"
            tree >"$T/before"
            [ "$1" = enable ] || plain_setup enable >/dev/null
            rm -f "$T/bin/$f"
            cat >"$T/bin/$f" <<END
#!/bin/sh
n=\$(cat "$T/n"); n=\$((n + 1)); echo \$n >"$T/n"
[ \$n -ne $(((n + 1) / 2)) ] || {
    kill -KILL \$PPID
    [ $((n % 2)) = 0 ] || exit 1
}
exec $(command -v $f) "\$@"
END
            chmod 755 "$T/bin/$f"
            echo 0 >"$T/n"
            (plain_setup "$1") >/dev/null 2>&1
            ln -sf "$(command -v $f)" "$T/bin/$f"
            "$XL" list >/dev/null || echo "no xl after $f $n"
            plain_setup "$1" >/dev/null || echo "no second try after $f $n"
            "$XL" list >/dev/null || echo "no xl then, $f $n"
            plain_setup disable >/dev/null || echo "no way back, $f $n"
            tree >"$T/after"
            diff "$T/before" "$T/after" || echo "left over, $f $n"
        done
    done
}
is "enable, killed at each step" "$(interrupted enable 2>&1)" ""
is "disable, killed at each step" "$(interrupted disable 2>&1)" ""

# --- setup, with the real dpkg ----------------------------------------------

deb() {         # version: makes $T/VERSION.deb
    local d=$T/deb-$1
    mkdir -p "$d/DEBIAN" "$d/usr/sbin"
    make_wrapper "$d/usr/lib/xen-common/bin/xen-utils-wrapper" "$1"
    ln -s ../lib/xen-common/bin/xen-utils-wrapper "$d/usr/sbin/xl"
    if [ "$1" = 3 ]; then
        rm "$d/usr/sbin/xl"
        cp "$T/real" "$d/usr/sbin/xl"
    fi
    cat >"$d/DEBIAN/control" <<END
Package: xen-utils-common
Version: $1
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: for a test
END
    dpkg-deb -b "$d" "$T/$1.deb" >/dev/null
}
in_root() {
    DEBIAN_FRONTEND=noninteractive dpkg --root="$R" --force-not-root \
        --force-bad-path --force-depends --force-unsafe-io "$@" >"$T/dpkg.log" 2>&1 ||
        cat "$T/dpkg.log"
}

with_dpkg() {
    rm -rf "$R"
    mkdir -p "$R/var/lib/dpkg/info" "$R/var/lib/dpkg/updates"
    touch "$R/var/lib/dpkg/status" "$R/var/lib/dpkg/available"
    local v
    for v in 1 2 3; do deb $v; done
    make_ours
    is "dpkg: the package installs" "$(in_root -i "$T/1.deb")" ""
    tree >"$T/before"

    run setup enable
    is "dpkg: enable" "$status" 0
    is "dpkg: the diversion is there" \
        "$(dpkg-divert --root "$R" --truename /usr/sbin/xl)" \
        /usr/sbin/xl.distrib
    run "$XL" list
    is "dpkg: xl works" "$out" "real: <list>"
    run "$XL" snapshot-create a
    is "dpkg: snapshot-create works" "$out" "ours: <snapshot-create> <a>"
    tree >"$T/on"
    run setup enable
    tree >"$T/again"
    is "dpkg: enable again changes nothing" "$(diff "$T/on" "$T/again")" ""

    is "dpkg: an upgrade" "$(in_root -i "$T/2.deb")" ""
    run "$XL" -which
    is "dpkg: the upgraded xl is used" "$out" "wrapper 2"
    run "$XL" snapshot-create a
    is "dpkg: and the front still there" "$out" "ours: <snapshot-create> <a>"
    is "dpkg: xl becomes a program in an upgrade" \
        "$(in_root -i "$T/3.deb")" ""
    run "$XL" list
    is "dpkg: it is used" "$out" "real: <list>"
    is "dpkg: back again" "$(in_root -i "$T/1.deb")" ""

    run setup disable
    is "dpkg: disable" "$status" 0
    tree >"$T/after"
    is "dpkg: disable restores precisely" "$(diff "$T/before" "$T/after")" ""
    is "dpkg: no diversion is left" \
        "$(dpkg-divert --root "$R" --list '*xl*')" ""

    setup enable >/dev/null
    is "dpkg: the package goes" "$(in_root -r xen-utils-common)" ""
    run "$XL" list
    is "dpkg: then there is no xl" "$status" 127
    is "dpkg: it comes back" "$(in_root -i "$T/1.deb")" ""
    run "$XL" list
    is "dpkg: and works" "$out" "real: <list>"
    setup disable >/dev/null
    is "dpkg: the package still owns a whole xl" \
        "$(in_root --verify xen-utils-common)" ""

    dpkg-divert --root "$R" --quiet --package other --rename \
        --divert /usr/sbin/xl.other --add /usr/sbin/xl
    tree >"$T/before"
    run setup enable --if-present
    is "dpkg: diverted away by another: there is no xl to take" "$status" 0
    cp "$T/real" "$XL"
    tree >"$T/before"
    run setup enable
    is "dpkg: diverted by another: refused" "$status" 1
    has "dpkg: and it is named" "$err" "by other"
    tree >"$T/after"
    is "dpkg: nothing changed" "$(diff "$T/before" "$T/after")" ""
}
if command -v dpkg-deb >/dev/null && command -v dpkg-divert >/dev/null; then
    with_dpkg
else
    skip "diversions" "dpkg is not installed"
fi

finish

#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# make install and make uninstall, into a folder.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

D=$T/dest
mk() {
    make -s --no-print-directory BUILD="${BUILD#"$TOP"/}" "$@"
}
run mk install DESTDIR="$D"
is "make install DESTDIR=…" "$status $err" "0 "
(cd "$D" && find . ! -type d -printf '%p %m %l\n') |
    sed -e 's/xen-[0-9.]*\.so/xen-X.Y.so/' | LC_ALL=C sort >"$T/list"
if ! command -v pod2man >/dev/null; then
    skip "installed manual pages" "pod2man is not installed"
    grep '/man/' "$GOLDEN/install.txt" >>"$T/list"
fi
grep -q xen-X "$T/list" || {
    skip "the installed module" "libxen-dev is not installed"
    grep xen-X "$GOLDEN/install.txt" >>"$T/list"
}
LC_ALL=C sort -o "$T/list" "$T/list"
golden install.txt "$T/list"
run "$D/usr/lib/xl-snapshot/xl-snapshot" --version
is "the installed program runs" "$status" 0
run "$D/usr/lib/xl-snapshot/front/xl" snapshot-create --help
has "the front finds it" "$out" "Usage: xl "

# The installed setup, on the installed tree.
printf '#!/bin/sh\necho "real: $*"\n' >"$D/usr/sbin/xl"
chmod 755 "$D/usr/sbin/xl"
XL_SNAPSHOT_ROOT=$D "$D/usr/sbin/xl-snapshot-setup" enable >/dev/null
run "$D/usr/sbin/xl" list
is "enabled: xl is xl" "$out" "real: list"
run "$D/usr/sbin/xl" help snapshot-revert
has "enabled: and ours" "$out" "Usage: xl [-vtTfN] snapshot-revert"
XL_SNAPSHOT_ROOT=$D "$D/usr/sbin/xl-snapshot-setup" disable >/dev/null
rm "$D/usr/sbin/xl"

# What the unit calls is there, and it comes before the domains are started.
unit=$D/usr/lib/systemd/system/xl-snapshot-recover.service
read -r program command _ < <(sed -n 's/^ExecStart=//p' "$unit")
run "$D$program" "$command" --help
has "the unit's command" "$out" "] recover [options]"
is "before the domains are started" "$(grep ^Before= "$unit")" \
    "Before=xendomains.service"
if command -v systemd-analyze >/dev/null; then
    # It looks for the program at its real place.
    sed "s|^ExecStart=.*|ExecStart=/bin/true|" "$unit" \
        >"$T/xl-snapshot-recover.service"
    run systemd-analyze verify --man=no "$T/xl-snapshot-recover.service"
    is "systemd takes the unit" "$status$out$err" "0"
else
    skip "systemd takes the unit" "systemd-analyze is not installed"
fi

run mk uninstall DESTDIR="$D"
is "make uninstall DESTDIR=…" "$status" 0
is "no file is left" "$(find "$D" ! -type d)" ""
is "no folder of ours is left" "$(find "$D" -name '*xl-snapshot*')" ""

# It adds files, and does nothing else: what is there stays what it is, and
# nobody is called who would change more.  With DESTDIR, and without.
H=$T/host
mkdir -p "$H/usr/sbin" "$H/usr/lib/systemd/system" "$H/etc/bash_completion.d" \
    "$H/run/systemd/system" "$T/bin"
printf '#!/bin/sh\n' >"$H/usr/sbin/xl"
ln -s xl "$H/usr/sbin/xm"
echo theirs >"$H/usr/lib/systemd/system/xendomains.service"
echo theirs >"$H/etc/bash_completion.d/xl.sh"
for p in systemctl dpkg-divert update-rc.d ldconfig apt-get; do
    printf '#!/bin/sh\necho "%s $*" >>"%s/called"\n' $p "$T" >"$T/bin/$p"
    chmod 755 "$T/bin/$p"
done
host_tree() {
    (cd "$H" && find . ! -type d -printf '%p %m %l %T@ %C@ %i ' \
        \( -type f -exec sha256sum {} \; -o -printf '\n' \)) | sort
}
places=(PREFIX="$H/usr" COMPATDIR="$H/etc/bash_completion.d"
    UNITDIR="$H/usr/lib/systemd/system")
adds_only() {   # name, make's arguments
    local name=$1
    shift
    host_tree >"$T/before"
    run env PATH="$T/bin:$PATH" XL_SNAPSHOT_ROOT="$H" \
        make -s --no-print-directory BUILD="${BUILD#"$TOP"/}" install "$@"
    is "$name: make install" "$status $err" "0 "
    is "$name: nothing that was there changed" \
        "$(host_tree | comm -23 "$T/before" -)" ""
    is "$name: what came" "$(host_tree | comm -13 "$T/before" - |
        sed -e 's|^\./||' -e 's| .*||' -e 's/xen-[0-9.]*\.so/xen-X.Y.so/')" \
        "$(sed -e 's|^\./||' -e 's| .*||' "$T/list")"
    is "$name: nobody was called" "$(cat "$T/called" 2>/dev/null)" ""
    run mk uninstall DESTDIR="$H"
    is "$name: and they went" \
        "$(host_tree | diff "$T/before" -)" ""
}
adds_only "with DESTDIR" DESTDIR="$H"
adds_only "without DESTDIR" DESTDIR= "${places[@]}"
has "it says what is left to do" "$(mk -n install DESTDIR=)" \
    "/usr/sbin/xl-snapshot-setup status"
has "what make uninstall does first of all" \
    "$(mk -n uninstall DESTDIR= | head -n 2)" \
    "/usr/sbin/xl-snapshot-setup disable"

# What can be written to later is not what can be jumped to.
if command -v readelf >/dev/null; then
    for f in "$BUILD/xl-snapshot" "$BUILD/front/xl" "$BUILD"/hyp-xen-*.so; do
        [ -e "$f" ] || continue
        name=$(basename "$f" | sed 's/xen-[0-9.]*/xen-X.Y/')
        has "$name: read-only relocations" "$(readelf -lW "$f")" "GNU_RELRO"
        has "$name: all bound at its start" "$(readelf -dW "$f")" "NOW"
        is "$name: no stack that can be run" \
            "$(readelf -lW "$f" | grep -c 'GNU_STACK.*RWE')" 0
        has "$name: runs at any address" "$(readelf -hW "$f")" "DYN"
    done
else
    skip "how programs are linked" "readelf is not installed"
fi

run mk install DESTDIR="$D" PREFIX=/opt/xen SBINDIR=/opt/xen/bin \
    BUILD="$(realpath --relative-to="$TOP" "$T")/build-opt" -n
has "another place" "$out" "$D/opt/xen/bin/xl-snapshot"

finish

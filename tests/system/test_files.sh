#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 900
# takes: 110
#
# Images and files that are not where one expects them: a path that is a link,
# and a snapshot that only the user's own file describes.

# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

g=files

linked() { # the second disk's path is a link to another folder
    local dir
    dir=$(guest dir $g)
    mkdir -p /srv/real
    mv "$dir/xvdb.qcow2" /srv/real/
    ln -s /srv/real/xvdb.qcow2 "$dir/xvdb.qcow2"
    guest start $g
    ask $g fill 61 4 >/dev/null
    snapshot $g -n linked --type external
    eq "frozen" "/srv/real/xvdb.qcow2" \
        "$(report '.disks[] | select(.vdev == "xvdb") | .frozen')"
    has "$(lsattr /srv/real/xvdb.qcow2)" '^[^ ]*i'
    eq "recover" "nothing to recover" "$(xl snapshot-recover $g)"
    ask $g fill 62 4 >/dev/null
    run xl snapshot-revert $g linked
    one_instant $g
    has "$(sums_of $g)" "a=$(field sum "$(ask $g expect 61 4)")"
    reboot_inside $g
    one_instant $g
}

# RFC V11: nothing but the file that create was given.
own_file() {
    local dir
    dir=$(guest dir $g)
    cat >"$WORK/v11.cfg" <<END
name = "v11"
memory = "$dir/v11.save"
disk = [ "format=qcow2,vdev=xvda,target=$dir/a.v11.qcow2",
         "format=qcow2,vdev=xvdb,target=$dir/b.v11.qcow2" ]
END
    ask $g fill 71 4 >/dev/null
    run xl snapshot-create $g "$WORK/v11.cfg"
    ask $g fill 72 4 >/dev/null
    rm -f "$(store_of $g)/records/v11.json"
    run xl snapshot-revert $g --config "$WORK/v11.cfg"
    one_instant $g
    has "$(sums_of $g)" "a=$(field sum "$(ask $g expect 71 4)")"
    monitor_of $g >/dev/null || fail "no xl daemon watches $g"
}

blank() {
    refused 1 'blank' xl snapshot-create -D -n sp \
        --disk "xvda,target=/srv/a b.qcow2" $g
    one_instant $g
}

# The ISO that the guest was installed from is gone: said before, refused, and
# the option goes on without it.
without_iso() {
    local dir cd domid
    dir=$(guest dir $g)
    cd=$dir/install.iso
    poweroff_inside $g
    truncate -s 1M "$cd"
    sed -i "s|^disk = \[|&\n    \"format=raw,vdev=xvdc,access=ro,devtype=cdrom,backendtype=qdisk,target=$cd\",|" \
        "$(guest cfg $g)"
    start_from_disks
    ask $g fill 81 4 >/dev/null
    run xl snapshot-create -D -n iso --type external $g
    ask $g fill 82 4 >/dev/null
    rm "$cd"
    refused 1 "not whole" xl snapshot-info --check $g iso
    has "$(xl snapshot-info --check $g iso 2>/dev/null || true)" install.iso
    domid=$(xl domid $g)
    refused 1 "install.iso.*--eject-missing" xl snapshot-revert $g iso
    eq "the domain's number" "$domid" "$(xl domid $g)"
    one_instant $g
    run xl snapshot-revert --eject-missing $g iso
    one_instant $g
    has "$(sums_of $g)" "a=$(field sum "$(ask $g expect 81 4)")"
    eq "its drive" 0 "$(xl list -l $g | jq \
        '[.[].config.disks[] | select(.vdev == "xvdc")] | length')"
}

ends_well() {
    poweroff_inside $g
    images_clean $g
    run qemu-img check /srv/real/xvdb.qcow2
}

wipe $g
guest make $g --type pvh --disk xvda:qcow2:256M --disk xvdb:qcow2:256M
t "a path that is a link: frozen, protected, brought back" -s 900 linked
passed || { verdict; exit; }
t "the user's own file is enough to go back (V11)" own_file
t "a target that qdisk could not open again is refused" blank
t "an ISO that is gone" -s 400 without_iso
t "poweroff is acted on, all images clean" ends_well
wipe $g
verdict

#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# Help, usage and everything that is refused before a domain is looked at.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
. tests/cli/fake.sh

export XLFAKE_NOXEN=1

: >"$T/help.txt"
into help.txt
xs
xs --help
xs help
xs help create
xs create --help
xs --version
as_xl help
as_xl help snapshot-create
as_xl snapshot-revert -h
golden help.txt "$T/help.txt"

into usage.txt
xs frobnicate
xs snapshot-
xs -x create vm1
xs --frob create vm1
xs --store
xs --store snaps create vm1
xs help nothing
xs help create revert recover
xs create
xs create ''
xs create vm1 cfg more
xs create ./a.cfg
xs create ./a.cfg /b.cfg
xs create vm1 ''
xs create vm1 --frob
xs create vm1 --d
xs create vm1 -x
xs create vm1 -n
xs create vm1 --name
xs create vm1 --live=yes
xs create vm1 -n a --name b
xs create vm1 --type sideways
xs create vm1 --type internal --type external
xs create vm1 --disk-only --memory /m
xs create vm1 --memory /m -D
xs create vm1 --no-disk ../x
xs create vm1 --disk xvda --no-disk xvda
xs create vm1 --store relative
xs --store /a create vm1 --store /b
as_xl snapshot-create
as_xl snapshot-revert vm1
xs revert
xs revert vm1
xs revert vm1 s1 more
xs revert vm1 s1 --config f
xs revert vm1 --config ''
xs revert vm1 ../../etc/passwd
xs revert vm1 --config a --config b
xs list vm1 vm2
xs list ''
xs list --long --tree
xs list --dry-run
xs -N list
xs info
xs info ''
xs info vm1
xs info vm1 s1 more
xs info vm1 ../../etc/passwd
xs info vm1 s1 --dry-run
xs clone
xs clone ''
xs clone vm1
xs clone vm1 s1
xs delete ''
xs recover ''
xs recover vm1 vm2
xs create --json
xs create vm1 --frob --json
golden usage.txt "$T/usage.txt"

into noxen.txt
xs create vm1
xs create vm1 --json
xs revert vm1 s1
xs --guardian
xs --monitor 1 log
golden noxen.txt "$T/noxen.txt"

unset XLFAKE_NOXEN
into conflicts.txt
xs create vm1 --disk-only --live
xs create vm1 --output /tmp/f
xs create vm1 --no-metadata
xs create vm1 --memory relative
xs create vm1 --disk xvda,type=internal,target=/x.qcow2
xs create vm1 --disk xvda,target=x.qcow2
xs create vm1 --disk xvda,colour=red
xs create vm1 --disk 'xv da'
xs create vm1 --name a/b
xs create vm1 --name ''
xs create vm1 --reuse-external
golden conflicts.txt "$T/conflicts.txt"

finish

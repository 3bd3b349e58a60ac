/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A control group that systemd makes for us: a transient scope, which does not
 * end with the unit that we were started from (systemd.scope(5)).  It is asked
 * for over D-Bus, so that it is made even where nobody may write to a group
 * (ProtectControlGroups=).
 */
#ifndef SNAP_LIB_SCOPE_H
#define SNAP_LIB_SCOPE_H

#include "lib/log.h"
#include "lib/rc.h"

/* The calling process, and what it starts from now on.  Each of the two waits,
 * for systemd's word and for the move, has limit_ms.  SNAP_NOTFOUND: systemd is
 * not process 1. */
int snap_scope_enter(const struct snap_log *log, const char *description,
                     int limit_ms, struct snap_err *err);

/* Set by tests: instead of what sd_booted(3) looks at. */
extern const char *snap_scope_systemd;

#endif /* SNAP_LIB_SCOPE_H */

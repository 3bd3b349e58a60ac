/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * While a running domain's own QEMU moves data for us somebody may begin to
 * save or to migrate it.  Its guest runs on for long then; when it has stopped
 * another QEMU opens the same images, and two that write to one tear it.  So
 * we look for such a one while we work, and end our work in time.
 */
#ifndef SNAP_OP_SAVER_H
#define SNAP_OP_SAVER_H

#include "model/env.h"

struct snap_saver {
    struct snap_env *env;
    const struct snap_domain *dom; /* NULL: it does not run */
    double looked_ms;
    struct snap_err why; /* of the last look; nobody: empty */
};

/* SNAP_BUSY: somebody saves or migrates it, and who. */
int snap_saver_look(struct snap_saver *s, struct snap_err *err);
/* For a tick: the same about once a second; true: stop. */
bool snap_saver_tick(struct snap_saver *s);
/* What a work that ended with rc and err ended for: if a tick stopped it,
 * that, and else rc. */
int snap_saver_verdict(const struct snap_saver *s, int rc,
                       struct snap_err *err);

#endif /* SNAP_OP_SAVER_H */

/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_FOREGROUND_H
#define SNAP_HYP_FOREGROUND_H

#include "hyp/hyp.h"

/* foreground.c: `xl create -F`, which has no such log. */
bool hyp_foreground_is(pid_t pid);
pid_t hyp_foreground_find(const char *name);

#endif /* SNAP_HYP_FOREGROUND_H */

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Which images are known to stand, or not to stand, on one frozen image.  A
 * plan asks that of each record's image, and all of them share the lower part
 * of their chains, which then is walked once and not once a record.  Good for
 * one plan: nothing is changed meanwhile, or it is looked at anew.
 */
#ifndef SNAP_LIB_SEEN_H
#define SNAP_LIB_SEEN_H

#include <stdbool.h>
#include <stddef.h>

struct snap_seen;

struct snap_seen *snap_seen_new(void);
void snap_seen_free(struct snap_seen *s); /* NULL is fine */
/* Is it known whether image stands on base?  All is forgotten when another
 * base is asked for.  s NULL: nothing is known. */
bool snap_seen_known(struct snap_seen *s, const char *base, const char *image,
                     bool *on_r);
/* Whatever else a plan has found out: one thing that its finder keeps here
 * until the end.  NULL: nothing yet, or s is NULL. */
void *snap_seen_memo(const struct snap_seen *s);
void snap_seen_keep(struct snap_seen *s, void *memo, void (*drop)(void *memo));
void snap_seen_add(struct snap_seen *s, const char *base, const char *image,
                   bool on);

#endif /* SNAP_LIB_SEEN_H */

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Something that is wanted before a guest goes on which stands, and that may
 * hang: Xen, QEMU, or the file system of the store or of an image.  It has a
 * process of its own and a limit; the guest does not wait for longer.
 */
#ifndef SNAP_OP_LIMITED_H
#define SNAP_OP_LIMITED_H

/*
 * Runs fn in a child and waits for its end, for ms at most; then ends it.  The
 * child has a copy of everything: fn makes connections of its own, and what
 * it changes in memory nobody sees.  Any guest state.  Returns 0 if fn did in
 * time, SNAP_FAIL if that failed, SNAP_TIMEOUT if it had to be ended, which
 * a child in a hung file system follows later and without doing more (as it does
 * if we end), and
 * SNAP_BUSY if no process could be started.
 */
int snap_limited(unsigned ms, int (*fn)(void *opaque), void *opaque);
/* What to say of that in a sentence on what Xen was to be told: "" or a
 * parenthesis, with a blank before it. */
const char *snap_limited_why(int rc);

#endif /* SNAP_OP_LIMITED_H */

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The journal of one operation under way: what it intends, written and synced
 * before it acts, so that snapshot-recover knows where to look.  It never
 * tells what is true: recovery looks at the images and the domain.
 *
 * Text, one entry a line: 16 hex digits (FNV-1a 64 of the rest), a space, and
 * a JSON object {"seq":N,"op":"create","step":"plan","data":{…}}.  A torn
 * last line is ignored; damage anywhere else is SNAP_CORRUPT.
 */
#ifndef SNAP_STORE_JOURNAL_H
#define SNAP_STORE_JOURNAL_H

#include <stdbool.h>

#include "lib/json.h"
#include "lib/rc.h"

#define SNAP_JOURNAL_MAX (32u << 20) /* bytes */

struct snap_journal {
    int fd; /* -1: none */
    char *path;
    const char *op; /* static */
    unsigned seq;
    bool torn; /* half a line is at its end: nothing may come behind it */
};
#define SNAP_JOURNAL_INIT \
    {                     \
        .fd = -1          \
    }

/* Begin: the file must not exist (SNAP_RECOVER if it does).  plan is written
 * as step "plan", durably, before this returns.  plan stays the caller's. */
int snap_journal_begin(struct snap_journal *j, const char *path,
                       const char *op, const struct snap_json *plan,
                       struct snap_err *err);
/* For recovery: go on with the file that a dead process left.  What it had
 * not written whole is cut off.  op: as its entries have it, static. */
int snap_journal_resume(struct snap_journal *j, const char *path,
                        const char *op, struct snap_err *err);
/* Add a step; data may be NULL and stays the caller's.  Durable on return.
 * What could not be written whole (a full disk) is taken back. */
int snap_journal_mark(struct snap_journal *j, const char *step,
                      const struct snap_json *data, struct snap_err *err);
/* Add a step that need not survive a power cut, only our own death: no sync,
 * so cheap enough for the window.  Cannot fail in a way that matters. */
void snap_journal_note(struct snap_journal *j, const char *step);
/* The same with data, which may be NULL and stays the caller's. */
void snap_journal_note_data(struct snap_journal *j, const char *step,
                            const struct snap_json *data);
/* The operation is over, one way or the other: remove the file. */
int snap_journal_end(struct snap_journal *j, struct snap_err *err);
/* Let go of it and leave the file for recovery. */
void snap_journal_dispose(struct snap_journal *j);

struct snap_journal_entry {
    char *op;
    char *step;
    struct snap_json *data; /* or NULL */
};
/* SNAP_NOTFOUND if there is none.  An empty or wholly torn one gives zero
 * entries: its operation had not begun to act. */
int snap_journal_read(const char *path, struct snap_journal_entry **e_r,
                      size_t *n_r, struct snap_err *err);
void snap_journal_entries_free(struct snap_journal_entry *e, size_t n);
const struct snap_journal_entry *
snap_journal_find(const struct snap_journal_entry *e, size_t n,
                  const char *step);

#endif /* SNAP_STORE_JOURNAL_H */

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The store: one folder a domain, by UUID, below a root (default
 * /var/lib/xen/snapshots), all 0700, files 0600.
 *
 *   UUID/records/NAME.json      one complete snapshot
 *   UUID/memory/NAME.save       its memory image
 *   UUID/state.json             where the domain is now (struct snap_state)
 *   UUID/journal                an operation under way
 *   UUID/lock                   flock'ed while one is; text names the owner
 *
 * A record exists only when the whole snapshot does.
 */
#ifndef SNAP_STORE_STORE_H
#define SNAP_STORE_STORE_H

#include "lib/log.h"
#include "model/disk_object.h"
#include "store/folder.h"
#include "store/record.h"

/* uuid must be well-formed.  create: make the folders; without it a domain
 * that has none reads as one without snapshots.  Refuses a folder that is not
 * a directory of ours (root-owned or owned by us, not group/other writable).
 * On failure s is as after snap_store_close(). */
int snap_store_open(struct snap_store *s, const char *root, const char *uuid,
                    bool create, struct snap_err *err);
void snap_store_close(struct snap_store *s);

bool snap_store_has(const struct snap_store *s, const char *name);
/* Commit: durable, exclusive.  SNAP_EXISTS if the name is taken. */
int snap_store_put(const struct snap_store *s, const struct snap_record *r,
                   struct snap_err *err);
/* Change in the record of r what may change, which is its parent and its
 * disks' "data"; all else, unknown keys too, stays as it stands in the file.
 * Atomic and durable. */
int snap_store_update(const struct snap_store *s, const struct snap_record *r,
                      const struct snap_disk_driver *const *drivers,
                      struct snap_err *err);
/* The snapshot does not exist any more: its record, and nothing else, is
 * removed, durably.  One that is gone is success. */
int snap_store_drop(const struct snap_store *s, const char *name,
                    struct snap_err *err);
int snap_store_get(const struct snap_store *s, const char *name,
                   const struct snap_disk_driver *const *drivers,
                   struct snap_record *r_out, struct snap_err *err);
/* All readable records by creation time; a damaged one is named in log (WARN)
 * and left out. */
int snap_store_all(const struct snap_store *s,
                   const struct snap_disk_driver *const *drivers,
                   const struct snap_log *log, struct snap_record **rs_r,
                   size_t *n_r, struct snap_err *err);
/* The same for who only wants to show them: config_json stays NULL and what is
 * in it is not checked, which is twice as fast. */
int snap_store_brief(const struct snap_store *s,
                     const struct snap_disk_driver *const *drivers,
                     const struct snap_log *log, struct snap_record **rs_r,
                     size_t *n_r, struct snap_err *err);
/* As snap_store_all(), and SNAP_REFUSED if there is one that cannot be read:
 * for whoever would harm what it does not know of. */
int snap_store_all_whole(const struct snap_store *s,
                         const struct snap_disk_driver *const *drivers,
                         struct snap_record **rs_r, size_t *n_r,
                         struct snap_err *err);
/* Both: as snap_store_brief(), and SNAP_REFUSED likewise. */
int snap_store_brief_whole(const struct snap_store *s,
                           const struct snap_disk_driver *const *drivers,
                           struct snap_record **rs_r, size_t *n_r,
                           struct snap_err *err);
/* How many files among the records snap_store_all() would leave out.  Nobody
 * knows what those need: remove no image while there are any. */
int snap_store_damaged(const struct snap_store *s,
                       const struct snap_disk_driver *const *drivers,
                       size_t *n_r, struct snap_err *err);
/* Is there any record, good or damaged?  What cannot be told may have one. */
bool snap_store_any(const struct snap_store *s);
/* UUIDs (36 characters) of the domains that root has an entry of, which may be
 * none that snap_store_open() takes: a link, say. */
int snap_store_domains(const char *root, char ***uuids_r, size_t *n_r,
                       struct snap_err *err);
/* Calls fn for each of them but except (may be NULL), in the order of their
 * UUIDs, until one fails; that is what comes back.  No store: no domains. */
int snap_store_each(const char *root, const char *except,
                    int (*fn)(void *opaque, const char *uuid,
                              struct snap_err *err),
                    void *opaque, struct snap_err *err);

/* Store locked: remove the folder if it holds nothing but its lock, which then
 * is let go of.  What holds anything stays, and that is no error. */
void snap_store_remove_empty(struct snap_store *s);

/* True if any record in rs freezes this object, keeps its data inside it, or
 * has it as its memory image, under whichever name. */
bool snap_records_need(const struct snap_disk_driver *const *drivers,
                       const struct snap_record *rs, size_t n,
                       struct snap_object o);
/* True if one of them moved its domain away from this object and froze it, so
 * that it must not be changed in place. */
bool snap_records_freeze(const struct snap_disk_driver *const *drivers,
                         const struct snap_record *rs, size_t n,
                         struct snap_object o);

#endif /* SNAP_STORE_STORE_H */

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What commands show of a record and of its domain, in the same words and
 * fields.
 */
#ifndef SNAP_CLI_SHOW_RECORD_H
#define SNAP_CLI_SHOW_RECORD_H

#include "cli/output.h"
#include "op/session.h"
#include "store/record.h"

/* "memory and 2 disks", "1 disk"; caller frees. */
char *snap_what(bool memory, size_t disks);
char *snap_record_what(const struct snap_record *rec);
/* A table "disks" with these columns, one row a disk of the record. */
typedef void snap_disk_row_fn(struct snap_report *r,
                              const struct snap_part *p);
void snap_report_disks(struct snap_report *r, const struct snap_column *cols,
                       size_t n, snap_disk_row_fn *row,
                       const struct snap_record *rec);
/* Its number; null if there is none now.  JSON only. */
void snap_report_domid(struct snap_report *r, bool there,
                       const struct snap_domain *d);
/* The fields of a record that every command shows. */
void snap_report_record(struct snap_report *r, const struct snap_record *rec);
/* "running", "paused", … */
const char *snap_domain_state(const struct snap_domain *d);
/* The same, or "off". */
const char *snap_session_state(const struct snap_session *ses);
/* "vm1 (id 3, running)" or "vm1 (does not exist now)", the name being that it
 * has in the latter case; caller frees. */
char *snap_session_text(const struct snap_session *ses, const char *name);

/* A whole snapshot, as snapshot-info and snapshot-list --long show it.
 * current: the domain descends from it; clones: all of the store, of which its
 * own are shown. */
struct snap_clone;
struct snap_report *snap_report_snapshot(const struct snap_record *rec,
                                         bool current,
                                         const struct snap_clone *clones,
                                         size_t n_clones);
/* What the domain was then: "running", "paused" or "shut down"; and in the
 * letters of `xl list` and the RFC, "r----". */
const char *snap_record_state(const struct snap_record *rec);
const char *snap_record_letters(const struct snap_record *rec);

#endif /* SNAP_CLI_SHOW_RECORD_H */

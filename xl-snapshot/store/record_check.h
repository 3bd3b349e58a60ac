/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The rules for a record (docs/formats.md).
 */
#ifndef SNAP_STORE_RECORD_CHECK_H
#define SNAP_STORE_RECORD_CHECK_H

#include "model/disk_object.h"
#include "store/record.h"

/*
 * Is this record whole and well-formed?  Every rule of docs/formats.md is
 * here; snap_store_put() begins with it and snap_store_get() ends in it.
 */
int snap_record_check(const struct snap_record *r, struct snap_err *err);
/* The two halves of it: what a record of a journal's plan must keep too, with
 * config_json given parsed (NULL: not looked at); and what it may lack until
 * its end, which is id, created, and the memory image's size and checksum. */
int snap_record_check_draft(const struct snap_record *r,
                            const struct snap_json *config,
                            struct snap_err *err);
int snap_record_complete(const struct snap_record *r, struct snap_err *err);
/* Can it be an object?  what names it.  Looks at no storage. */
int snap_object_check(struct snap_object o, const char *what,
                      struct snap_err *err);
int snap_part_check(const struct snap_part *p, struct snap_err *err);

#endif /* SNAP_STORE_RECORD_CHECK_H */

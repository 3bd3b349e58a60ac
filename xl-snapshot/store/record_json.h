/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A record in its JSON form (docs/formats.md), both ways.  Reading trusts
 * nothing: every path, name, size and enum is checked, an unknown major format
 * is refused.
 */
#ifndef SNAP_STORE_RECORD_JSON_H
#define SNAP_STORE_RECORD_JSON_H

#include "lib/json.h"
#include "model/disk_object.h"
#include "store/record.h"

#define SNAP_RECORD_FORMAT     2
#define SNAP_RECORD_FORMAT_OLD 1 /* had paths where there are objects now */
#define SNAP_RECORD_MAX        (8u << 20) /* bytes */

struct snap_json *snap_record_to_json(const struct snap_record *r);
/* what names the source in messages; drivers resolve part->drv.  Ends in
 * snap_record_check_draft(), since journals hold records too; who needs a
 * whole one asks snap_record_complete(). */
int snap_record_from_json(const struct snap_json *j, const char *what,
                          const struct snap_disk_driver *const *drivers,
                          struct snap_record *r_out, struct snap_err *err);
/* The same without the domain's configuration: config_json stays NULL, and
 * of domain_config nothing but its type is looked at. */
int snap_record_from_json_brief(const struct snap_json *j, const char *what,
                                const struct snap_disk_driver *const *drivers,
                                struct snap_record *r_out,
                                struct snap_err *err);
/* An object as a record, a state and a journal have it: the key is left out
 * where there is none.  Back again it is read, and not looked at: whoever reads
 * it asks snap_object_check().  The three are set where the key is there. */
void snap_object_to_json(struct snap_json *j, const char *key,
                         struct snap_object o);
int snap_object_from_json(const struct snap_json *j, const char *key,
                          bool needed, char **kind_r, char **id_r,
                          char **format_r, struct snap_err *err);
/* What a record says of one disk: the outcome, without progress and plan.
 * from_json() leaves tag and hvm to its caller; what names the disk. */
struct snap_json *snap_part_to_json(const struct snap_part *p);
int snap_part_from_json(const struct snap_json *j, const char *what,
                        const struct snap_disk_driver *const *drivers,
                        struct snap_part *p_out, struct snap_err *err);

#endif /* SNAP_STORE_RECORD_JSON_H */

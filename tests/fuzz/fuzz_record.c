/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Records from a damaged or hostile store.  What is believed keeps every
 * rule, and is the same when written and read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "model/disk_slots.h"
#include "model/name.h"
#include "store/record.h"
#include "store/record_cfg.h"
#include "store/record_check.h"
#include "store/record_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct snap_disk_driver internal = {
    .name = "s-int",
    .check = snap_slot_check_inside,
    .identity = snap_slot_no_identity,
};
static const struct snap_disk_driver external = {
    .name = "s-ext",
    .check = snap_slot_check_over,
    .identity = snap_slot_no_identity,
};
static const struct snap_disk_driver *const drivers[] = {
    &internal,
    &external,
    NULL,
};

static void must(bool yes)
{
    if (!yes)
        abort();
}

/* Nothing that may be followed leads anywhere else than it says. */
static void check(const struct snap_record *r)
{
    size_t i;

    must(!snap_name_check(r->name, NULL));
    must(!snap_uuid_check(r->domain_uuid, NULL));
    must(!r->has_memory || snap_path_ok(r->mem_path));
    must(r->n_parts <= SNAP_DISKS_MAX);
    for (i = 0; i < r->n_parts; i++) {
        const struct snap_part *p = &r->parts[i];

        must(p->drv && snap_path_ok(p->path) && snap_path_ok(p->frozen_path));
        must(snap_path_ok(p->active_path));
        must(!p->stem || !strchr(p->stem, '/'));
    }
    if (!snap_record_complete(r, NULL))
        must(!snap_record_check(r, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snap_record r = { .id = NULL }, again = { .id = NULL };
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j = NULL, *j2 = NULL;
    char *text = NULL, *text2 = NULL;
    int rc;

    if (snap_json_parse((const char *)data, size, &j, NULL))
        return 0;
    rc = snap_record_from_json(j, "fuzz", drivers, &r, &err);
    must(rc == err.rc);
    snap_json_free(j);
    if (rc)
        return 0;
    check(&r);
    j = snap_record_to_json(&r);
    text = snap_json_text(j, false);
    must(!snap_record_from_json(j, "again", drivers, &again, NULL));
    j2 = snap_record_to_json(&again);
    text2 = snap_json_text(j2, false);
    must(!strcmp(text, text2));
    free(text);
    text = NULL;
    if (!snap_record_to_cfg(&r, &text, NULL))
        must(strlen(text) <= SNAP_CFG_MAX);
    free(text);
    free(text2);
    snap_json_free(j);
    snap_json_free(j2);
    snap_record_dispose(&r);
    snap_record_dispose(&again);
    return 0;
}

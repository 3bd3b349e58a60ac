/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * One disk's words, as an option and as an entry of a file.  What is taken
 * is well-formed, whatever the form it was said in.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "model/diskspec.h"
#include "model/name.h"
#include "model/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool yes)
{
    if (!yes)
        abort();
}

static void try(const char *spec, bool from_file)
{
    struct snap_disk_choice c = { .vdev = NULL };
    struct snap_err err = SNAP_ERR_INIT;
    int rc;

    rc = snap_disk_choice_parse(spec, from_file, "fuzz", &c, &err);
    must(rc == err.rc && (rc == 0 || rc == SNAP_INVAL));
    if (rc) {
        must(!c.vdev && !strncmp(err.msg, "fuzz: ", 6));
        return;
    }
    must(!snap_vdev_check(c.vdev, NULL));
    must(!c.target ||
         (snap_path_ok(c.target) && c.type == SNAP_DISK_EXTERNAL &&
          !strchr(c.target, ',')));
    must(!c.image || (from_file && snap_path_ok(c.image)));
    must(!c.format || snap_format_known(c.format));
    must(!c.image_format || (c.image && snap_format_known(c.image_format)));
    must(!strcmp(c.origin, "fuzz"));
    snap_disk_choice_dispose(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *spec = snap_strndup((const char *)data, size);

    try(spec, true);
    try(spec, false);
    free(spec);
    return 0;
}

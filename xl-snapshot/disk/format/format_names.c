/* SPDX-License-Identifier: LGPL-2.1-only */
/* See format_names.h. */
#include "disk/format/format_names.h"

#include "lib/mem.h"

static const struct {
    const char *libxl, *qemu;
} formats[] = {
    { "raw", "raw" },
    { "qcow2", "qcow2" },
    { "vhd", "vpc" },
};

const char *snap_qemu_format(const char *libxl_format)
{
    size_t i;

    for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (snap_streq(formats[i].libxl, libxl_format))
            return formats[i].qemu;
    return NULL;
}

const char *snap_libxl_format(const char *qemu_format)
{
    size_t i;

    for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (snap_streq(formats[i].qemu, qemu_format))
            return formats[i].libxl;
    return NULL;
}

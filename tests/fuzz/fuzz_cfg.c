/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Configuration files from anywhere, through libxlutil.  The runner builds
 * hyp/cfg_xlu.c along with this; the scanner beside it is taken in here.
 */
#include "hyp/cfg_scan.c"

#include "hyp/cfg_xlu.h"

/* libxlutil loses a few bytes on some syntax errors; that is its own. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:xlu__cfg";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_cfg cfg = { 0 };
    size_t i, j;
    int rc;

    rc = hyp_cfg_parse("fuzz", (const char *)data, size, &cfg, &err);
    if (!rc != !err.rc)
        abort();
    for (i = 0; !rc && i < cfg.n; i++) {
        if (!cfg.entries[i].key[0] || cfg.entries[i].line < 1)
            abort();
        for (j = 0; j < cfg.entries[i].n; j++)
            if (!cfg.entries[i].values[j] ||
                cfg.entries[i].lines[j] < cfg.entries[i].line)
                abort();
    }
    snap_cfg_dispose(&cfg);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Journals.  The checksum of each line is put right here, or nothing would
 * ever get past it.  What was read must be read again after a resume, which
 * may only cut off what was not whole.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mem.h"
#include "store/journal.h"

static uint64_t sum(const uint8_t *p, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (; len; len--)
        h = (h ^ *p++) * 0x100000001b3u;
    return h;
}

static void put(const char *path, const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "w");

    if (!f)
        abort();
    while (size) {
        const uint8_t *nl = memchr(data, '\n', size);
        size_t len = nl ? (size_t)(nl - data) : size;

        fprintf(f, "%016" PRIx64 " ", sum(data, len));
        fwrite(data, 1, len, f);
        if (nl)
            fputc('\n', f);
        len += nl != NULL;
        data += len;
        size -= len;
    }
    if (fclose(f))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_journal_entry *e = NULL, *again = NULL;
    struct snap_journal j = SNAP_JOURNAL_INIT;
    char path[64];
    size_t n = 0, m = 0, i;

    snprintf(path, sizeof(path), "/dev/shm/snap-fuzz-journal-%ld",
             (long)getpid());
    put(path, data, size);
    if (snap_journal_read(path, &e, &n, &err)) {
        if (!err.rc || e)
            abort();
    } else {
        for (i = 0; i < n; i++)
            if (!e[i].op || !e[i].step)
                abort();
        snap_err_clear(&err);
        if (n && !snap_journal_resume(&j, path, "create", &err)) {
            if (snap_journal_mark(&j, "more", NULL, &err) ||
                snap_journal_read(path, &again, &m, &err) || m != n + 1 ||
                strcmp(again[n].step, "more"))
                abort();
            for (i = 0; i < n; i++)
                if (strcmp(e[i].op, again[i].op) ||
                    strcmp(e[i].step, again[i].step))
                    abort();
        }
    }
    snap_journal_dispose(&j);
    snap_journal_entries_free(again, m);
    snap_journal_entries_free(e, n);
    unlink(path);
    return 0;
}

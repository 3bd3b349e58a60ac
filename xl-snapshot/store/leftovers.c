/* SPDX-License-Identifier: LGPL-2.1-only */
/* See leftovers.h.  Touches only names that end as lib/file.c's do. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mem.h"
#include "store/leftovers.h"

/* "state.json.tmp-4711" and the like. */
static bool is_unfinished(const char *name)
{
    const char *p = strstr(name, ".tmp-");

    return p && p != name && p[5] && !p[5 + strspn(p + 5, "0123456789")];
}

static void sweep(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;

    if (!d)
        return;
    while ((e = readdir(d)))
        if (is_unfinished(e->d_name))
            (void)unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

void snap_store_sweep(const struct snap_store *s)
{
    char *records = snap_printf("%s/records", s->dir);

    sweep(s->dir);
    sweep(records);
    free(records);
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/* See folder.h. */
#include "store/folder.h"

#include "lib/mem.h"

static char *below(const struct snap_store *s, const char *dir,
                   const char *name, const char *suffix)
{
    return snap_printf("%s/%s/%s%s", s->dir, dir, name, suffix);
}

char *snap_store_record_path(const struct snap_store *s, const char *name)
{
    return below(s, "records", name, ".json");
}

char *snap_store_memory_path(const struct snap_store *s, const char *name)
{
    return below(s, "memory", name, ".save");
}

char *snap_store_journal_path(const struct snap_store *s)
{
    return snap_printf("%s/journal", s->dir);
}

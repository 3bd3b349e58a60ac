/* SPDX-License-Identifier: LGPL-2.1-only */
/* A domain's folder in the store (store/store.h), and what is in it. */
#ifndef SNAP_STORE_FOLDER_H
#define SNAP_STORE_FOLDER_H

#define SNAP_STORE_ROOT "/var/lib/xen/snapshots"

struct snap_store {
    char *root;
    char *dir; /* of this domain */
    char uuid[37];
    int lock_fd; /* -1 */
};
#define SNAP_STORE_INIT \
    {                   \
        .lock_fd = -1   \
    }

char *snap_store_record_path(const struct snap_store *s, const char *name);
char *snap_store_memory_path(const struct snap_store *s, const char *name);
char *snap_store_journal_path(const struct snap_store *s);

#endif /* SNAP_STORE_FOLDER_H */

/* SPDX-License-Identifier: LGPL-2.1-only */
/* state.json of a domain.  What is accepted must be what we would write. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/mem.h"
#include "store/state.h"
#include "store/store.h"

#define UUID "11111111-2222-3333-4444-555555555555"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct snap_store s = SNAP_STORE_INIT;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_state st = { 0 }, again = { 0 };
    char root[64], path[160];
    int fd;

    snprintf(root, sizeof(root), "/dev/shm/snap-fuzz-state-%ld",
             (long)getpid());
    if (s.lock_fd < 0 && !s.dir) {
        mkdir(root, 0700);
        if (snap_store_open(&s, root, UUID, true, &err))
            abort();
    }
    snprintf(path, sizeof(path), "%s/" UUID "/state.json", root);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
    if (snap_state_load(&s, &st, &err)) {
        if (!err.rc || st.n || st.current)
            abort();
    } else if (snap_state_save(&s, &st, &err) ||
               snap_state_load(&s, &again, &err) || again.n != st.n ||
               !snap_streq(again.current, st.current)) {
        abort();
    }
    snap_state_dispose(&st);
    snap_state_dispose(&again);
    return 0;
}

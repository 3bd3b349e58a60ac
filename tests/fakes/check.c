/* SPDX-License-Identifier: LGPL-2.1-only */
/* See check.h. */
#include "fakes/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "op/parts.h"
#include "store/memfile.h"
#include "store/state.h"
#include "store/store.h"

static char why[512];

#define WRONG(...)                               \
    do {                                         \
        snprintf(why, sizeof(why), __VA_ARGS__); \
        return why;                              \
    } while (0)

void before_take(struct before *b, struct fake_host *h)
{
    struct fake_domain *d = fake_domain_find(h->world, "vm1");

    b->a = fake_store_write(h->disks, d->domid, "xvda");
    b->b = fake_store_write(h->disks, d->domid, "xvdb");
    b->tick = d->tick;
}

static const char *check_disk(struct fake_host *h, const struct fake_domain *d,
                              const char *vdev, uint64_t content)
{
    const char *active = fake_store_active(h->disks, d->domid, vdev);
    char *named = fake_domain_path(d, vdev);
    bool same = snap_streq(active, named);

    free(named);
    if (!active)
        WRONG("%s is not open in QEMU", vdev);
    if (!same)
        WRONG("%s: QEMU writes to %s, Xen names another", vdev, active);
    if (content && fake_store_read(h->disks, d->domid, vdev) != content)
        WRONG("%s: the guest does not read what it wrote", vdev);
    return NULL;
}

const char *check_guest(struct fake_host *h, const struct before *b)
{
    struct fake_domain *d = fake_domain_find(h->world, "vm1");
    const char *w;
    char *path;

    if (h->world->bad)
        WRONG("the hypervisor was misused: %s", h->world->why_bad);
    if (h->disks->violation[0])
        WRONG("%s", h->disks->violation);
    if (!d)
        WRONG("vm1 is gone");
    if (!fake_domain_runs(d))
        WRONG("vm1 does not run (paused %d, suspended %d, monitor held %d)",
              d->paused, d->suspended, d->monitor_held);
    w = check_disk(h, d, "xvda", b ? b->a : 0);
    if (!w)
        w = check_disk(h, d, "xvdb", b ? b->b : 0);
    if (w)
        return w;
    path = snap_printf("%s/%s/journal", h->root, FAKE_UUID);
    if (snap_file_exists(path)) {
        free(path);
        WRONG("a journal is left");
    }
    free(path);
    return NULL;
}

/* The part's data is what the guest had. */
static const char *check_part(struct fake_host *h, const struct snap_part *p,
                              const struct before *b)
{
    uint64_t want = snap_streq(p->vdev, "xvda") ? b->a : b->b;
    uint64_t have = p->drv->inside
                        ? fake_store_snap(h->disks, p->frozen_path, p->tag)
                        : fake_store_content(h->disks, p->frozen_path);

    if (have != want)
        WRONG("%s: the snapshot holds %llu, the guest had %llu", p->vdev,
              (unsigned long long)have, (unsigned long long)want);
    return NULL;
}

static const char *check_memory(struct fake_host *h,
                                const struct snap_record *r)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct stat st;
    char hash[33], *data = NULL;
    size_t len;
    bool whole;
    int fd, rc;

    if (stat(r->mem_path, &st))
        WRONG("the memory image is missing");
    if ((uint64_t)st.st_size != r->mem_size)
        WRONG("the memory image has another size than recorded");
    if ((st.st_mode & 0777) != 0600)
        WRONG("the memory image has mode %o", st.st_mode & 0777);
    rc = snap_file_read(r->mem_path, 1 << 20, &data, &len, &err);
    whole = !rc && fake_image_whole(data, len);
    free(data);
    if (rc)
        WRONG("%s", err.msg);
    if (!whole)
        WRONG("the memory image is not whole, and its record says it is");
    fd = open(r->mem_path, O_RDONLY | O_CLOEXEC);
    rc = snap_memfile_hash(&h->env, fd, r->mem_path, st.st_size, hash, &err);
    close(fd);
    if (rc || strcmp(hash, r->mem_hash))
        WRONG("the memory image does not have its checksum");
    return NULL;
}

const char *check_record(struct fake_host *h, const char *name, bool memory,
                         const struct before *b, bool *there_r)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record r = { 0 }, *all = NULL;
    struct snap_state st = { 0 };
    size_t n_all = 0, o;
    struct fake_domain *d = fake_domain_find(h->world, "vm1");
    const char *w = NULL, *keep[16] = { 0 }, *tags[16] = { 0 };
    char *made[16] = { 0 }, *files = NULL;
    size_t i, k = 0, t = 0, m = 0;
    int rc;

    *there_r = false;
    if (snap_store_open(&s, h->root, FAKE_UUID, true, &err))
        WRONG("the store cannot be opened: %s", err.msg);
    rc = snap_store_get(&s, name, h->env.drivers, &r, &err);
    if (rc && rc != SNAP_NOTFOUND) {
        snprintf(why, sizeof(why), "the record cannot be read: %s", err.msg);
        w = why;
        goto out;
    }
    *there_r = !rc;
    files = fake_host_files(h);
    if (d) {
        keep[k++] = fake_store_active(h->disks, d->domid, "xvda");
        keep[k++] = fake_store_active(h->disks, d->domid, "xvdb");
    } else if (!snap_state_load(&s, &st, &err)) {
        for (i = 0; i < st.n && k < 2; i++)
            keep[k++] = st.leaves[i].path;
    }
    /* Other records own what they name, too. */
    if (snap_store_all(&s, h->env.drivers, NULL, &all, &n_all, &err))
        WRONG("the records cannot be read: %s", err.msg);
    for (o = 0; o < n_all; o++)
        for (i = 0; i < all[o].n_parts && k < 14; i++) {
            const struct snap_part *p = &all[o].parts[i];

            keep[k++] = p->frozen_path;
            if (p->drv->inside)
                tags[t++] = made[m++] = snap_printf("%s@%s", p->frozen_path,
                                                    p->tag);
        }
    if (!*there_r) {
        if (files[0] && strcmp(files, "records/s0.json")) {
            snprintf(why, sizeof(why), "no record, but the store holds %s",
                     files);
            w = why;
            goto out;
        }
    } else {
        for (i = 0; i < r.n_parts && !w; i++) {
            w = check_part(h, &r.parts[i], b);
        }
        if (!w && memory && r.has_memory)
            w = check_memory(h, &r);
        if (!w && !memory && r.has_memory) {
            snprintf(why, sizeof(why), "a memory image nobody wanted");
            w = why;
        }
        if (!w && (strstr(files, ".part") || strstr(files, ".tmp-"))) {
            snprintf(why, sizeof(why), "left over: %s", files);
            w = why;
        }
    }
    if (!w)
        w = fake_store_check(h->disks, keep, tags);

out:
    for (i = 0; i < m; i++)
        free(made[i]);
    free(files);
    snap_record_dispose(&r);
    snap_records_free(&all, &n_all);
    snap_state_dispose(&st);
    snap_store_close(&s);
    return w;
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/* See fake_store.h. */
#include "fakes/fake_store.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fakes/fake_disk_int.h"

struct fake_store *fake_store_current;

struct fake_store *fake_store_new(void)
{
    struct fake_store *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (s == MAP_FAILED)
        abort();
    s->free_bytes = s->pool_bytes = 1ull << 40;
    return s;
}

void fake_store_free(struct fake_store *s)
{
    munmap(s, sizeof(*s));
}

static void violate(struct fake_store *s, const char *what, const char *path)
{
    if (!s->violation[0])
        snprintf(s->violation, sizeof(s->violation), "%s: %s", path, what);
}

int fake_entry(const struct fake_store *s, const char *path)
{
    int i;

    for (i = 0; path && i < FAKE_IMAGES; i++)
        if (s->image[i].exists && !strcmp(s->image[i].path, path))
            return i;
    return -1;
}

/* The other name of a volume, as device-mapper makes it: /dev/mapper/vol-a--s1
 * of vol/a-s1, and of /vol/a-s1. */
static int by_mapper(const struct fake_store *s, const char *path)
{
    static const char prefix[] = "/dev/mapper/vol-";
    char name[FAKE_PATH] = "/vol/";
    size_t n = strlen(name);
    int i;

    if (!path || strncmp(path, prefix, strlen(prefix)) != 0)
        return -1;
    for (path += strlen(prefix); *path && n < sizeof(name) - 1; path++) {
        name[n++] = *path;
        if (path[0] == '-' && path[1] == '-')
            path++;
    }
    i = fake_entry(s, name);
    return i >= 0 ? i : fake_entry(s, name + 1);
}

int fake_lookup(const struct fake_store *s, const char *path)
{
    int i = fake_entry(s, path);

    if (i < 0)
        return by_mapper(s, path);
    return i >= 0 && s->image[i].alias >= 0 ? s->image[i].alias : i;
}

int fake_add_entry(struct fake_store *s, const char *path, const char *format,
                   uint64_t size)
{
    int i;

    for (i = 0; i < FAKE_IMAGES && s->image[i].exists; i++)
        ;
    if (i == FAKE_IMAGES || strlen(path) >= FAKE_PATH)
        abort();
    memset(&s->image[i], 0, sizeof(s->image[i]));
    snprintf(s->image[i].path, FAKE_PATH, "%s", path);
    snprintf(s->image[i].format, sizeof(s->image[i].format), "%s", format);
    s->image[i].size = size;
    s->image[i].backing = s->image[i].alias = s->image[i].origin = -1;
    s->image[i].whole = true;
    s->image[i].exists = true;
    return i;
}

void fake_drop_entry(struct fake_store *s, int i)
{
    int k;

    if (i < 0)
        return;
    for (k = 0; k < FAKE_OPEN; k++)
        if (s->open[k].used && s->open[k].image == i)
            violate(s, "removed while a QEMU writes to it", s->image[i].path);
    for (k = 0; k < FAKE_IMAGES; k++)
        if (s->image[k].exists && s->image[k].backing == i)
            violate(s, "removed while an overlay needs it", s->image[i].path);
    if (s->image[i].immutable)
        violate(s, "removed though it is immutable", s->image[i].path);
    s->image[i].exists = false;
    for (k = 0; k < FAKE_SNAPS; k++)
        if (s->snap[k].used && s->snap[k].image == i)
            s->snap[k].used = false;
}

uint64_t fake_content_of(const struct fake_store *s, int i)
{
    int depth;

    for (depth = 0; i >= 0 && depth < FAKE_IMAGES; depth++) {
        if (!s->image[i].exists || !s->image[i].whole || s->image[i].damaged)
            return 0;
        if (s->image[i].own)
            return s->image[i].content;
        i = s->image[i].backing;
    }
    return 0;
}

/* What was there goes into the frozen volumes first, as long as they have
 * room.  The writer does not notice. */
static void fill_up(struct fake_store *s, int origin)
{
    int i;

    for (i = 0; i < FAKE_IMAGES; i++)
        if (s->image[i].exists && s->image[i].origin == origin &&
            s->image[i].room && !--s->image[i].room)
            s->image[i].damaged = true;
}

void fake_write_to(struct fake_store *s, int i, uint64_t content)
{
    fill_up(s, i);
    if (s->image[i].frozen || s->image[i].immutable)
        violate(s, "a frozen image was written to", s->image[i].path);
    s->image[i].content = content;
    s->image[i].own = true;
    s->image[i].stamp = ++s->stamps;
    s->image[i].written = s->now;
}

struct fake_snap *fake_find_snap(struct fake_store *s, int image,
                                 const char *tag)
{
    int i;

    for (i = 0; i < FAKE_SNAPS; i++)
        if (s->snap[i].used && s->snap[i].image == image &&
            !strcmp(s->snap[i].tag, tag))
            return &s->snap[i];
    return NULL;
}

void fake_add_snap(struct fake_store *s, int image, const char *tag)
{
    int i;

    for (i = 0; i < FAKE_SNAPS && s->snap[i].used; i++)
        ;
    if (i == FAKE_SNAPS)
        abort();
    s->snap[i].image = image;
    s->snap[i].content = fake_content_of(s, image);
    s->snap[i].made = ++s->version;
    snprintf(s->snap[i].tag, sizeof(s->snap[i].tag), "%s", tag);
    s->snap[i].used = true;
}

struct fake_open *fake_opener(const struct fake_store *s, uint32_t domid,
                              const char *vdev)
{
    int i;

    for (i = 0; i < FAKE_OPEN; i++)
        if (s->open[i].used && s->open[i].domid == domid &&
            !strcmp(s->open[i].vdev, vdev))
            return (struct fake_open *)&s->open[i];
    return NULL;
}

bool fake_is_open(const struct fake_store *s, int image)
{
    int i;

    for (i = 0; i < FAKE_OPEN; i++)
        if (s->open[i].used && s->open[i].image == image)
            return true;
    return false;
}

/* ---- for tests ---- */

uint64_t fake_store_add(struct fake_store *s, const char *path,
                        const char *format, uint64_t size)
{
    int i = fake_add_entry(s, path, format, size);

    s->image[i].own = true;
    s->image[i].content = ++s->version;
    return s->image[i].content;
}

void fake_store_link(struct fake_store *s, const char *path, const char *to)
{
    int i = fake_lookup(s, to);
    int link = fake_add_entry(s, path, s->image[i].format, s->image[i].size);

    s->image[link].alias = i;
}

bool fake_store_exists(const struct fake_store *s, const char *path)
{
    return fake_entry(s, path) >= 0;
}

struct fake_image *fake_store_find(struct fake_store *s, const char *path)
{
    int i = fake_lookup(s, path);

    return i < 0 ? NULL : &s->image[i];
}

uint64_t fake_store_content(const struct fake_store *s, const char *path)
{
    return fake_content_of(s, fake_lookup(s, path));
}

uint64_t fake_store_snap(const struct fake_store *s, const char *path,
                         const char *tag)
{
    int i = fake_lookup(s, path);
    struct fake_snap *sn = fake_find_snap((struct fake_store *)s, i, tag);

    return i >= 0 && sn ? sn->content : 0;
}

void fake_store_remove(struct fake_store *s, const char *path)
{
    int i = fake_entry(s, path);

    if (i >= 0)
        s->image[i].exists = false;
}

bool fake_is_held(const struct fake_store *s, int image, pid_t by)
{
    int k;

    for (k = 0; k < FAKE_HOLDS; k++)
        if (image >= 0 && s->hold[k].pid && s->hold[k].image == image &&
            (by ? s->hold[k].pid == by && s->hold[k].looked
                : !kill(s->hold[k].pid, 0)))
            return true;
    return false;
}

bool fake_store_held(const struct fake_store *s, const char *path)
{
    return fake_is_held(s, fake_lookup(s, path), 0);
}

void fake_store_open(struct fake_store *s, uint32_t domid, const char *vdev,
                     const char *path, const char *format)
{
    int i = fake_lookup(s, path), k;

    if (i < 0 || !fake_content_of(s, i)) {
        violate(s, "opened, but it is not there or damaged", path);
        return;
    }
    if (s->image[i].frozen || s->image[i].immutable)
        violate(s, "a frozen image was opened for writing", path);
    if (strcmp(s->image[i].format, format))
        violate(s, "opened as another format than it has", path);
    if (fake_is_open(s, i))
        violate(s, "opened for writing twice", path);
    if (fake_store_held(s, path))
        violate(s, "opened though all are kept from it", path);
    if (s->image[i].changing && !kill(s->image[i].changing, 0))
        violate(s, "opened while a tool was changing it", path);
    for (k = 0; k < FAKE_OPEN && s->open[k].used; k++)
        ;
    if (k == FAKE_OPEN)
        abort();
    s->open[k].domid = domid;
    s->open[k].image = i;
    s->open[k].pends = false;
    snprintf(s->open[k].vdev, sizeof(s->open[k].vdev), "%s", vdev);
    s->image[i].taken = true;
    s->open[k].used = true;
}

void fake_store_close(struct fake_store *s, uint32_t domid)
{
    int i;

    for (i = 0; i < FAKE_OPEN; i++)
        if (s->open[i].domid == domid)
            s->open[i].used = false;
}

bool fake_store_answers(struct fake_store *s)
{
    struct fake_open *o;
    int i;

    if (!s->late_sent)
        return true;
    if (s->late && --s->late)
        return false;
    s->late_sent = false;
    for (i = 0; i < FAKE_OPEN; i++) {
        if (!s->to_do[i].used)
            continue;
        o = &s->open[s->to_do[i].open];
        s->to_do[i].used = false;
        if (!o->used)
            continue;
        if (!s->image[s->to_do[i].to].exists)
            violate(s, "was to be switched to, and was removed",
                    s->image[s->to_do[i].to].path);
        s->image[o->image].frozen = true;
        s->image[s->to_do[i].to].taken = true;
        o->image = s->to_do[i].to;
    }
    return true;
}

const char *fake_store_active(const struct fake_store *s, uint32_t domid,
                              const char *vdev)
{
    struct fake_open *o = fake_opener(s, domid, vdev);

    return o ? s->image[o->image].path : NULL;
}

uint64_t fake_store_write(struct fake_store *s, uint32_t domid,
                          const char *vdev)
{
    struct fake_open *o = fake_opener(s, domid, vdev);

    if (!o)
        return 0;
    fake_write_to(s, o->image, ++s->version);
    return s->version;
}

uint64_t fake_store_read(const struct fake_store *s, uint32_t domid,
                         const char *vdev)
{
    struct fake_open *o = fake_opener(s, domid, vdev);

    return o ? fake_content_of(s, o->image) : 0;
}

/* ---- what is left ---- */

static bool needed(const struct fake_store *s, int image,
                   const char *const *keep)
{
    int depth, i;

    for (; keep && *keep; keep++) {
        if (!strcmp(*keep, s->image[image].path))
            return true;
        for (i = fake_lookup(s, *keep), depth = 0;
             i >= 0 && depth < FAKE_IMAGES; i = s->image[i].backing, depth++)
            if (i == image)
                return true;
    }
    return false;
}

static bool tag_needed(const struct fake_store *s, const struct fake_snap *sn,
                       const char *const *keep)
{
    size_t len;

    for (; keep && *keep; keep++) {
        len = strcspn(*keep, "@");
        if (strlen(s->image[sn->image].path) == len &&
            !strncmp(*keep, s->image[sn->image].path, len) &&
            (*keep)[len] == '@' && !strcmp(*keep + len + 1, sn->tag))
            return true;
    }
    return false;
}

const char *fake_store_check(struct fake_store *s, const char *const *keep,
                             const char *const *keep_tags)
{
    static char why[FAKE_PATH * 3];
    int i;

    if (s->violation[0])
        return s->violation;
    for (i = 0; i < FAKE_IMAGES; i++) {
        if (!s->image[i].exists || !s->image[i].ours || fake_is_open(s, i) ||
            needed(s, i, keep))
            continue;
        snprintf(why, sizeof(why), "orphan image %s", s->image[i].path);
        return why;
    }
    for (i = 0; i < FAKE_SNAPS; i++) {
        if (!s->snap[i].used || tag_needed(s, &s->snap[i], keep_tags))
            continue;
        snprintf(why, sizeof(why), "orphan snapshot %s in %s", s->snap[i].tag,
                 s->image[s->snap[i].image].path);
        return why;
    }
    return NULL;
}

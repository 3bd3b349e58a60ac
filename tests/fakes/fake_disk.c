/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See fake_disk.h.  Written for reading: this is what a driver has to do,
 * without any storage in the way.
 */
#include "fakes/fake_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

struct fake_store *fake_store_current;
#define S fake_store_current

/* ---- the store ---- */

struct fake_store *fake_store_new(void)
{
    struct fake_store *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (s == MAP_FAILED)
        abort();
    s->free_bytes = 1ull << 40;
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

/* The entry of this very path, not following a link. */
static int entry(const struct fake_store *s, const char *path)
{
    int i;

    for (i = 0; path && i < FAKE_IMAGES; i++)
        if (s->image[i].exists && !strcmp(s->image[i].path, path))
            return i;
    return -1;
}

static int lookup(const struct fake_store *s, const char *path)
{
    int i = entry(s, path);

    return i >= 0 && s->image[i].alias >= 0 ? s->image[i].alias : i;
}

static int add_entry(struct fake_store *s, const char *path,
                     const char *format, uint64_t size)
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
    s->image[i].backing = s->image[i].alias = -1;
    s->image[i].whole = true;
    s->image[i].exists = true;
    return i;
}

static void drop_entry(struct fake_store *s, int i)
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

static uint64_t content_of(const struct fake_store *s, int i)
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

static void write_to(struct fake_store *s, int i, uint64_t content)
{
    if (s->image[i].frozen || s->image[i].immutable)
        violate(s, "a frozen image was written to", s->image[i].path);
    s->image[i].content = content;
    s->image[i].own = true;
    s->image[i].stamp++;
}

static struct fake_snap *find_snap(struct fake_store *s, int image,
                                   const char *tag)
{
    int i;

    for (i = 0; i < FAKE_SNAPS; i++)
        if (s->snap[i].used && s->snap[i].image == image &&
            !strcmp(s->snap[i].tag, tag))
            return &s->snap[i];
    return NULL;
}

static void add_snap(struct fake_store *s, int image, const char *tag)
{
    int i;

    for (i = 0; i < FAKE_SNAPS && s->snap[i].used; i++)
        ;
    if (i == FAKE_SNAPS)
        abort();
    s->snap[i].image = image;
    s->snap[i].content = content_of(s, image);
    s->snap[i].made = ++s->version;
    snprintf(s->snap[i].tag, sizeof(s->snap[i].tag), "%s", tag);
    s->snap[i].used = true;
}

static struct fake_open *opener(const struct fake_store *s, uint32_t domid,
                                const char *vdev)
{
    int i;

    for (i = 0; i < FAKE_OPEN; i++)
        if (s->open[i].used && s->open[i].domid == domid &&
            !strcmp(s->open[i].vdev, vdev))
            return (struct fake_open *)&s->open[i];
    return NULL;
}

static bool is_open(const struct fake_store *s, int image)
{
    int i;

    for (i = 0; i < FAKE_OPEN; i++)
        if (s->open[i].used && s->open[i].image == image)
            return true;
    return false;
}

uint64_t fake_store_add(struct fake_store *s, const char *path,
                        const char *format, uint64_t size)
{
    int i = add_entry(s, path, format, size);

    s->image[i].own = true;
    s->image[i].content = ++s->version;
    return s->image[i].content;
}

bool fake_store_exists(const struct fake_store *s, const char *path)
{
    return entry(s, path) >= 0;
}

struct fake_image *fake_store_find(struct fake_store *s, const char *path)
{
    int i = lookup(s, path);

    return i < 0 ? NULL : &s->image[i];
}

uint64_t fake_store_content(const struct fake_store *s, const char *path)
{
    return content_of(s, lookup(s, path));
}

uint64_t fake_store_snap(const struct fake_store *s, const char *path,
                         const char *tag)
{
    int i = lookup(s, path);
    struct fake_snap *sn = find_snap((struct fake_store *)s, i, tag);

    return i >= 0 && sn ? sn->content : 0;
}

void fake_store_remove(struct fake_store *s, const char *path)
{
    int i = entry(s, path);

    if (i >= 0)
        s->image[i].exists = false;
}

void fake_store_open(struct fake_store *s, uint32_t domid, const char *vdev,
                     const char *path, const char *format)
{
    int i = lookup(s, path), k;

    if (i < 0 || !content_of(s, i)) {
        violate(s, "opened, but it is not there or damaged", path);
        return;
    }
    if (s->image[i].frozen || s->image[i].immutable)
        violate(s, "a frozen image was opened for writing", path);
    if (strcmp(s->image[i].format, format))
        violate(s, "opened as another format than it has", path);
    if (is_open(s, i))
        violate(s, "opened for writing twice", path);
    for (k = 0; k < FAKE_OPEN && s->open[k].used; k++)
        ;
    if (k == FAKE_OPEN)
        abort();
    s->open[k].domid = domid;
    s->open[k].image = i;
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

const char *fake_store_active(const struct fake_store *s, uint32_t domid,
                              const char *vdev)
{
    struct fake_open *o = opener(s, domid, vdev);

    return o ? s->image[o->image].path : NULL;
}

uint64_t fake_store_write(struct fake_store *s, uint32_t domid,
                          const char *vdev)
{
    struct fake_open *o = opener(s, domid, vdev);

    if (!o)
        return 0;
    write_to(s, o->image, ++s->version);
    return s->version;
}

uint64_t fake_store_read(const struct fake_store *s, uint32_t domid,
                         const char *vdev)
{
    struct fake_open *o = opener(s, domid, vdev);

    return o ? content_of(s, o->image) : 0;
}

static bool needed(const struct fake_store *s, int image,
                   const char *const *keep)
{
    int depth, i;

    for (; keep && *keep; keep++) {
        if (!strcmp(*keep, s->image[image].path))
            return true;
        for (i = lookup(s, *keep), depth = 0; i >= 0 && depth < FAKE_IMAGES;
             i = s->image[i].backing, depth++)
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
        if (!s->image[i].exists || !s->image[i].ours || is_open(s, i) ||
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

/* ---- what the drivers share ---- */

static int fault(const char *what, const char *vdev, struct snap_err *err)
{
    char *s = snap_printf("%s %s", what, vdev);
    int e = snap_fault("disk", s), rc = 0;

    if (e)
        rc = snap_fail_errno(err, SNAP_IO, e, "%s", s);
    free(s);
    return rc;
}

/* This disk as it is open in the domain's QEMU, or NULL. */
static struct fake_open *live(const struct snap_disk_ctx *c,
                              const struct snap_part *p)
{
    return c->domid == UINT32_MAX ? NULL : opener(S, c->domid, p->vdev);
}

static int check_unused(struct snap_disk_ctx *c, const char *path,
                        struct snap_err *err)
{
    char *who = NULL;
    int rc = 0;

    if (c->image_user)
        rc = c->image_user(c->opaque, path, &who, err);
    if (!rc && who)
        rc = snap_fail(err, SNAP_BUSY, "%s is used by %s", path, who);
    else if (!rc && lookup(S, path) >= 0 && is_open(S, lookup(S, path)))
        rc = snap_fail(err, SNAP_BUSY, "%s is open", path);
    free(who);
    return rc;
}

static char *stem_of(const struct snap_part *p, const char *path)
{
    const char *base = snap_basename(path);

    return p->stem ? snap_strdup(p->stem)
                   : snap_strndup(base, strcspn(base, "."));
}

static char *sibling(const struct snap_part *p, const char *path,
                     const char *suffix)
{
    char *dir = snap_dirname(path), *stem = stem_of(p, path), *s;

    s = snap_printf("%s/%s.%s%s", dir, stem, p->tag, suffix);
    free(dir);
    free(stem);
    return s;
}

static int probe_image(struct snap_disk_ctx *c, struct snap_part *p,
                       struct snap_err *err)
{
    int i = lookup(S, p->path);
    struct fake_open *o = live(c, p);

    if (i < 0)
        return snap_fail(err, SNAP_NOTFOUND, "%s does not exist", p->path);
    if (S->image[i].damaged || strcmp(S->image[i].format, p->format))
        return snap_fail(err, SNAP_REFUSED, "%s is not a sound %s image",
                         p->path, p->format);
    if (c->domid != UINT32_MAX && (!o || o->image != i))
        return snap_fail(err, SNAP_REFUSED,
                         "%s: the domain does not write to %s", p->vdev,
                         p->path);
    if (c->domid == UINT32_MAX && is_open(S, i))
        return snap_fail(err, SNAP_BUSY, "%s is open", p->path);
    p->size = S->image[i].size;
    if (o)
        snap_set(&p->node, p->vdev);
    return 0;
}

static int verify_image(const struct snap_part *p, const char *path,
                        const char *format, struct snap_err *err)
{
    int i = lookup(S, path);

    if (i < 0)
        return snap_fail(err, SNAP_NOTFOUND, "%s does not exist", path);
    if (!content_of(S, i) || strcmp(S->image[i].format, format))
        return snap_fail(err, SNAP_CORRUPT, "%s is damaged", path);
    if (p->size && p->size != S->image[i].size)
        return snap_fail(err, SNAP_CORRUPT, "%s has another size than it had",
                         path);
    return 0;
}

static const char *group_qemu(const struct snap_part *p)
{
    (void)p;
    return "qemu";
}

static const char *group_volume(const struct snap_part *p)
{
    (void)p;
    return "volume";
}

static int nothing(struct snap_disk_ctx *c, struct snap_part *p,
                   struct snap_err *err)
{
    (void)c;
    (void)p;
    (void)err;
    return 0;
}

/* One group, any of the three drivers: all or none, as QEMU does it. */
static int f_take(struct snap_disk_ctx *c, struct snap_part *const *parts,
                  size_t n, struct snap_err *err)
{
    int rc;
    size_t i;

    for (i = 0; i < n; i++) {
        struct snap_part *p = parts[i];
        struct fake_open *o = live(c, p);
        int img = o ? o->image : lookup(S, p->path);

        rc = fault("take", p->vdev, err);
        if (rc)
            return rc;
        if (img < 0 || (p->type == SNAP_DISK_EXTERNAL
                            ? lookup(S, p->target) < 0
                            : find_snap(S, img, p->tag) != NULL))
            return snap_fail(err, SNAP_FAIL, "%s cannot be taken", p->vdev);
    }
    for (i = 0; i < n; i++) {
        struct snap_part *p = parts[i];
        struct fake_open *o = live(c, p);
        int img = o ? o->image : lookup(S, p->path);

        if (i && S->mortal && fault("take half", p->vdev, NULL))
            abort();
        if (p->type == SNAP_DISK_EXTERNAL) {
            int to = lookup(S, p->target);

            S->image[img].frozen = true;
            snap_json_set_int(p->data, "base_stamp",
                              (int64_t)S->image[img].stamp);
            S->image[to].taken = true;
            if (o)
                o->image = to;
            if (p->keep_path) {
                int link = entry(S, p->path);

                if (S->image[link].alias < 0) {
                    /* The base gets its other name, a link its old one. */
                    snprintf(S->image[img].path, FAKE_PATH, "%s",
                             p->frozen_path);
                    link = add_entry(S, p->path, "qcow2", p->size);
                }
                S->image[link].alias = to;
            }
        } else {
            add_snap(S, img, p->tag);
        }
        p->taken = true;
    }
    for (i = 0; i < n; i++) {
        rc = fault("take done", parts[i]->vdev, err);
        if (rc) {
            if (err)
                err->rc = SNAP_RECOVER;
            return SNAP_RECOVER;
        }
    }
    return 0;
}

/* ---- inside the image ---- */

static int i_match(const struct snap_part *p, enum snap_disk_type want)
{
    if (want == SNAP_DISK_EXTERNAL || p->target || p->keep_path ||
        !snap_streq(p->format, "qcow2"))
        return 0;
    return want == SNAP_DISK_AUTO && p->stem ? 5 : 20;
}

static int v_match(const struct snap_part *p, enum snap_disk_type want)
{
    if (want == SNAP_DISK_EXTERNAL || p->target ||
        !snap_has_prefix(p->path, "/vol/"))
        return 0;
    return 30;
}

static int i_probe(struct snap_disk_ctx *c, struct snap_part *p,
                   struct snap_err *err)
{
    int rc;

    rc = fault("probe", p->vdev, err);
    if (rc)
        return rc;
    p->type = SNAP_DISK_INTERNAL;
    rc = probe_image(c, p, err);
    if (rc)
        return rc;
    if (find_snap(S, lookup(S, p->path), p->tag))
        return snap_fail(err, SNAP_EXISTS, "%s: snapshot %s exists in it",
                         p->path, p->tag);
    snap_set(&p->frozen_path, p->path);
    snap_set(&p->frozen_format, p->format);
    snap_set(&p->active_path, p->path);
    snap_set(&p->active_format, p->format);
    if (!p->data)
        p->data = snap_json_object();
    snap_json_set_int(p->data, "since", (int64_t)S->version);
    return 0;
}

static int i_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                     struct snap_err *err)
{
    (void)c;
    p->prepared = true;
    return fault("prepare", p->vdev, err);
}

static int i_drop(const struct snap_part *p, const char *tag)
{
    int i = lookup(S, p->frozen_path);
    struct fake_snap *sn = find_snap(S, i, tag);

    if (i >= 0 && sn)
        sn->used = false;
    return 0;
}

static int i_undo(struct snap_disk_ctx *c, struct snap_part *p,
                  struct snap_err *err)
{
    int rc, i = lookup(S, p->frozen_path);
    struct fake_snap *sn = find_snap(S, i, p->tag);

    (void)c;
    rc = fault("undo", p->vdev, err);
    if (rc)
        return rc;
    /* Prepared by this process and not taken: whose is it, then?  In another
     * process only its age tells. */
    if (i >= 0 && sn && (p->taken || !p->prepared) &&
        (int64_t)sn->made > snap_json_get_int(p->data, "since", 0))
        sn->used = false;
    p->taken = p->prepared = false;
    return 0;
}

static int i_inspect(struct snap_disk_ctx *c, const struct snap_part *p,
                     enum snap_part_state *state_r, struct snap_err *err)
{
    int rc, i = lookup(S, p->frozen_path);

    (void)c;
    rc = fault("inspect", p->vdev, err);
    if (rc)
        return rc;
    *state_r = i >= 0 && find_snap(S, i, p->tag) ? SNAP_PART_PRESENT
                                                 : SNAP_PART_ABSENT;
    return 0;
}

static void plan_leaf(const struct snap_disk_ctx *c, struct snap_part *p)
{
    char *suffix = snap_printf("-r%s.qcow2", c->op_id);

    char *beside = p->leaf_dir ? snap_printf("%s/x", p->leaf_dir)
                               : snap_strdup(p->path);

    free(p->leaf_path);
    p->leaf_path = sibling(p, beside, suffix);
    free(beside);
    snap_set(&p->leaf_format, "qcow2");
    free(suffix);
}

/* Others need the image as it is: the snapshot is brought back as a copy. */
static bool is_copy(const struct snap_part *p)
{
    return p->leaf_path && !snap_streq(p->leaf_path, p->frozen_path);
}

static bool has_child(int image)
{
    int i;

    for (i = 0; i < FAKE_IMAGES; i++)
        if (S->image[i].exists && S->image[i].backing == image)
            return true;
    return false;
}

static void i_plan_leaf(struct snap_disk_ctx *c, struct snap_part *p)
{
    int i = lookup(S, p->frozen_path);

    if (p->leaf_dir || p->shared || S->image[i].immutable || has_child(i)) {
        plan_leaf(c, p);
    } else {
        snap_set(&p->leaf_path, p->frozen_path);
        snap_set(&p->leaf_format, p->frozen_format);
    }
}

static int make_copy(struct snap_part *p, struct snap_err *err)
{
    int rc, i, from = lookup(S, p->frozen_path);
    const struct fake_snap *sn = find_snap(S, from, p->tag);

    if (!sn || entry(S, p->leaf_path) >= 0)
        return snap_fail(err, SNAP_EXISTS, "%s exists", p->leaf_path);
    i = add_entry(S, p->leaf_path, "qcow2", S->image[from].size);
    S->image[i].ours = S->image[i].copy = true;
    S->image[i].whole = false;
    rc = fault("revert_prepare half", p->vdev, err);
    if (rc)
        return rc;
    S->image[i].content = sn->content;
    S->image[i].own = S->image[i].whole = true;
    return 0;
}

static int drop_leaf(struct snap_disk_ctx *c, const char *path,
                     struct snap_err *err);

static int i_verify(struct snap_disk_ctx *c, struct snap_part *p,
                    struct snap_err *err)
{
    int rc;

    rc = fault("verify", p->vdev, err);
    if (rc)
        return rc;
    rc = verify_image(p, p->frozen_path, p->frozen_format, err);
    if (rc)
        return rc;
    if (!find_snap(S, lookup(S, p->frozen_path), p->tag))
        return snap_fail(err, SNAP_NOTFOUND, "%s: no snapshot %s in it",
                         p->frozen_path, p->tag);
    i_plan_leaf(c, p);
    return 0;
}

static int i_revert_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                            struct snap_err *err)
{
    int rc;

    rc = fault("revert_prepare", p->vdev, err);
    if (rc)
        return rc;
    if (!p->leaf_path)
        i_plan_leaf(c, p);
    return is_copy(p) ? make_copy(p, err) : 0;
}

static void undo_tag(const struct snap_disk_ctx *c, char *buf, size_t len)
{
    snprintf(buf, len, "xlsnap-undo-%s", c->op_id);
}

static int i_revert_switch(struct snap_disk_ctx *c, struct snap_part *p,
                           struct snap_err *err)
{
    int rc, i = lookup(S, p->frozen_path);
    char undo[40];
    struct fake_snap *sn;

    rc = fault("revert_switch", p->vdev, err);
    if (!rc)
        rc = check_unused(c, p->leaf_path, err);
    if (rc)
        return rc;
    if (is_copy(p)) {
        p->switched = true;
        return fault("revert_switch done", p->vdev, err);
    }
    undo_tag(c, undo, sizeof(undo));
    if (!find_snap(S, i, undo))
        add_snap(S, i, undo);
    rc = fault("revert_switch half", p->vdev, err);
    if (rc)
        return rc;
    sn = find_snap(S, i, p->tag);
    if (!sn)
        return snap_fail(err, SNAP_NOTFOUND, "%s: no snapshot %s in it",
                         p->frozen_path, p->tag);
    write_to(S, i, sn->content);
    p->switched = true;
    return fault("revert_switch done", p->vdev, err);
}

static int i_revert_finish(struct snap_disk_ctx *c, struct snap_part *p,
                           struct snap_err *err)
{
    int rc;
    char undo[40];

    rc = fault("revert_finish", p->vdev, err);
    if (rc)
        return rc;
    undo_tag(c, undo, sizeof(undo));
    rc = i_drop(p, undo);
    return rc ? rc : drop_leaf(c, p->drop_path, err);
}

static int i_revert_undo(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err)
{
    int rc, i = lookup(S, p->frozen_path);
    char undo[40];
    struct fake_snap *sn;

    rc = fault("revert_undo", p->vdev, err);
    if (rc)
        return rc;
    if (is_copy(p)) {
        p->switched = false;
        i = entry(S, p->leaf_path);
        if (i < 0 || !S->image[i].copy)
            return 0;
        rc = check_unused(c, p->leaf_path, err);
        if (!rc)
            drop_entry(S, i);
        return rc;
    }
    undo_tag(c, undo, sizeof(undo));
    sn = i >= 0 ? find_snap(S, i, undo) : NULL;
    if (sn) {
        rc = check_unused(c, p->frozen_path, err);
        if (rc)
            return rc;
        write_to(S, i, sn->content);
        sn->used = false;
    }
    p->switched = false;
    return 0;
}

static int i_remove(struct snap_disk_ctx *c, struct snap_part *p,
                    struct snap_err *err)
{
    int rc, i = lookup(S, p->frozen_path);

    (void)c;
    rc = fault("remove", p->vdev, err);
    if (rc)
        return rc;
    /* The file changes with it. */
    if (i >= 0 && find_snap(S, i, p->tag))
        S->image[i].stamp++;
    rc = i_drop(p, p->tag);
    return rc ? rc : fault("remove done", p->vdev, err);
}

/* The top of what a QEMU has of this image, or -1. */
static int top_over(int image)
{
    int i, k, depth;

    for (i = 0; i < FAKE_OPEN; i++) {
        if (!S->open[i].used)
            continue;
        for (k = S->open[i].image, depth = 0; k >= 0 && depth < FAKE_IMAGES;
             k = S->image[k].backing, depth++)
            if (k == image)
                return S->open[i].image;
    }
    return -1;
}

static int i_delete_plan(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_delete *d, struct snap_err *err)
{
    int rc, i = lookup(S, p->frozen_path);
    struct fake_open *o = live(c, p);

    rc = fault("delete_plan", p->vdev, err);
    d->how = SNAP_DELETE_DROP;
    if (rc || i < 0)
        return rc;
    if (top_over(i) >= 0 && top_over(i) != i)
        return snap_fail(err, SNAP_REFUSED,
                         "%s is below %s, to which the domain writes",
                         p->frozen_path, S->image[top_over(i)].path);
    if (top_over(i) == i && !(o && o->image == i))
        return snap_fail(err, SNAP_BUSY, "%s is open", p->frozen_path);
    return 0;
}

static int never(struct snap_disk_ctx *c, struct snap_part *p,
                 const struct snap_delete *d, struct snap_err *err)
{
    (void)c;
    (void)d;
    return snap_fail(err, SNAP_UNSUPPORTED, "%s: not merged", p->vdev);
}

static int never_child(struct snap_disk_ctx *c, struct snap_part *p,
                       const struct snap_delete *d, size_t i,
                       struct snap_err *err)
{
    (void)i;
    return never(c, p, d, err);
}

static int nothing_deleted(struct snap_disk_ctx *c, struct snap_part *p,
                           const struct snap_delete *d, struct snap_err *err)
{
    (void)d;
    return nothing(c, p, err);
}

/* ---- a new active image over a frozen one ---- */

static int e_match(const struct snap_part *p, enum snap_disk_type want)
{
    (void)p;
    return want == SNAP_DISK_INTERNAL ? 0 : 10;
}

static int e_probe(struct snap_disk_ctx *c, struct snap_part *p,
                   struct snap_err *err)
{
    int rc, t;
    char *s;

    rc = fault("probe", p->vdev, err);
    if (rc)
        return rc;
    p->type = SNAP_DISK_EXTERNAL;
    rc = probe_image(c, p, err);
    if (rc)
        return rc;
    if (p->keep_path && !snap_streq(p->format, "qcow2"))
        return snap_fail(err, SNAP_REFUSED,
                         "%s: keeping the path needs a qcow2 image", p->path);
    if (!p->stem)
        p->stem = stem_of(p, p->path);
    if (!p->target)
        p->target = sibling(p, p->path, ".qcow2");
    t = entry(S, p->target);
    if (t >= 0 && !p->reuse_target)
        return snap_fail(err, SNAP_EXISTS, "%s exists", p->target);
    if (t < 0 && p->reuse_target)
        return snap_fail(err, SNAP_NOTFOUND, "%s does not exist", p->target);
    if (t >= 0 && (S->image[t].own || S->image[t].size != p->size ||
                   S->image[t].backing != lookup(S, p->path)))
        return snap_fail(err, SNAP_REFUSED, "%s is no empty overlay of %s",
                         p->target, p->path);
    if (S->free_bytes < (64u << 20))
        return snap_fail(err, SNAP_NOSPACE, "no space beside %s", p->path);
    snap_set(&p->frozen_path, S->image[lookup(S, p->path)].path);
    if (p->keep_path && entry(S, p->path) == lookup(S, p->path)) {
        s = sibling(p, p->path, "-base.qcow2");
        snap_set(&p->frozen_path, s);
        free(s);
    }
    snap_set(&p->frozen_format, p->format);
    snap_set(&p->active_path, p->keep_path ? p->path : p->target);
    snap_set(&p->active_format, "qcow2");
    /* What undo and inspect need and a record does not have otherwise. */
    if (!p->data)
        p->data = snap_json_object();
    snap_json_set_str(p->data, "file", p->target);
    snap_json_set_bool(p->data, "keep_path", p->keep_path);
    snap_json_set_bool(p->data, "reused", p->reuse_target);
    return 0;
}

static const char *overlay_file(const struct snap_part *p)
{
    const char *s = snap_json_get_str(p->data, "file");

    return s ? s : p->active_path;
}

static int make_overlay(struct snap_part *p, const char *path, int base,
                        const char *slot, struct snap_err *err)
{
    int rc, i;
    char half[40];

    if (entry(S, path) >= 0)
        return snap_fail(err, SNAP_EXISTS, "%s exists", path);
    i = add_entry(S, path, "qcow2", S->image[base].size);
    S->image[i].ours = true;
    S->image[i].whole = false;
    S->image[i].backing = base;
    snprintf(half, sizeof(half), "%s half", slot);
    rc = fault(half, p->vdev, err);
    if (rc)
        return rc;
    S->image[i].whole = true;
    return 0;
}

static int e_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                     struct snap_err *err)
{
    int rc;

    (void)c;
    rc = fault("prepare", p->vdev, err);
    if (!rc && !p->reuse_target)
        rc = make_overlay(p, overlay_file(p), lookup(S, p->path), "prepare",
                          err);
    if (!rc)
        rc = fault("prepare done", p->vdev, err);
    return rc;
}

static int e_finish(struct snap_disk_ctx *c, struct snap_part *p,
                    struct snap_err *err)
{
    int rc, i = lookup(S, p->frozen_path);

    (void)c;
    rc = fault("finish", p->vdev, err);
    if (!rc && i >= 0)
        S->image[i].immutable = true;
    return rc;
}

static bool is_our_overlay(const struct snap_part *p, int i)
{
    int base = lookup(S, p->frozen_path);

    /* With keep_path the base may still have its old name. */
    if (base < 0)
        base = lookup(S, p->path);
    return i >= 0 && S->image[i].backing >= 0 && S->image[i].backing == base;
}

static int e_inspect(struct snap_disk_ctx *c, const struct snap_part *p,
                     enum snap_part_state *state_r, struct snap_err *err)
{
    int rc, i = entry(S, overlay_file(p));

    (void)c;
    rc = fault("inspect", p->vdev, err);
    if (rc)
        return rc;
    if (i < 0)
        *state_r = SNAP_PART_ABSENT;
    else if (!is_our_overlay(p, i))
        *state_r = SNAP_PART_FOREIGN;
    else
        *state_r = S->image[i].taken ? SNAP_PART_PRESENT : SNAP_PART_PARTIAL;
    return 0;
}

/* The writes of an overlay that was taken go back into its base. */
static int e_undo(struct snap_disk_ctx *c, struct snap_part *p,
                  struct snap_err *err)
{
    int rc, i = entry(S, overlay_file(p)), base, link;
    struct fake_open *o = live(c, p);

    rc = fault("undo", p->vdev, err);
    if (rc || i < 0 || !is_our_overlay(p, i))
        return rc;
    base = S->image[i].backing;
    if (is_open(S, i) && !(o && o->image == i))
        return snap_fail(err, SNAP_BUSY, "%s is open", S->image[i].path);
    link = entry(S, p->path);
    if (link >= 0 && S->image[link].alias == i) {
        S->image[link].exists = false;
        snprintf(S->image[base].path, FAKE_PATH, "%s", p->path);
    }
    S->image[base].frozen = S->image[base].immutable = false;
    if (S->image[i].own)
        write_to(S, base, S->image[i].content);
    if (o && o->image == i)
        o->image = base;
    S->image[i].own = S->image[i].taken = false;
    if (!snap_json_get_bool(p->data, "reused", false))
        drop_entry(S, i);
    p->taken = p->prepared = false;
    return 0;
}

static int e_verify(struct snap_disk_ctx *c, struct snap_part *p,
                    struct snap_err *err)
{
    int rc, i;
    int64_t stamp;

    rc = fault("verify", p->vdev, err);
    if (rc)
        return rc;
    if (!p->frozen_path) {
        /* A user's own file tells the overlay only. */
        i = lookup(S, p->active_path);
        if (i < 0 || S->image[i].backing < 0)
            return snap_fail(err, SNAP_NOTFOUND, "%s is no overlay",
                             p->active_path);
        snap_set(&p->frozen_path, S->image[S->image[i].backing].path);
        snap_set(&p->frozen_format, S->image[S->image[i].backing].format);
        snap_set(&p->path, p->frozen_path);
        snap_set(&p->format, p->frozen_format);
    }
    rc = verify_image(p, p->frozen_path, p->frozen_format, err);
    if (rc)
        return rc;
    if (is_open(S, lookup(S, p->frozen_path)))
        return snap_fail(err, SNAP_BUSY, "%s is open for writing",
                         p->frozen_path);
    stamp = snap_json_get_int(p->data, "base_stamp", -1);
    if (stamp >= 0 &&
        (uint64_t)stamp != S->image[lookup(S, p->frozen_path)].stamp)
        return snap_fail(err, SNAP_CORRUPT, "%s was written to",
                         p->frozen_path);
    plan_leaf(c, p);
    return 0;
}

static int e_revert_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                            struct snap_err *err)
{
    int rc;

    rc = fault("revert_prepare", p->vdev, err);
    if (rc)
        return rc;
    if (!p->leaf_path)
        plan_leaf(c, p);
    return make_overlay(p, p->leaf_path, lookup(S, p->frozen_path),
                        "revert_prepare", err);
}

static int e_revert_switch(struct snap_disk_ctx *c, struct snap_part *p,
                           struct snap_err *err)
{
    int rc;

    (void)c;
    rc = fault("revert_switch", p->vdev, err);
    if (rc)
        return rc;
    if (lookup(S, p->leaf_path) < 0)
        return snap_fail(err, SNAP_NOTFOUND, "%s is gone", p->leaf_path);
    p->switched = true;
    return fault("revert_switch done", p->vdev, err);
}

static int drop_leaf(struct snap_disk_ctx *c, const char *path,
                     struct snap_err *err)
{
    int rc, i = path ? entry(S, path) : -1;

    if (i < 0)
        return 0;
    if ((S->image[i].backing < 0 && !S->image[i].ours) || has_child(i))
        return snap_fail(err, SNAP_REFUSED,
                         "%s is no leaf of ours, or one that is needed", path);
    rc = check_unused(c, path, err);
    if (rc)
        return rc;
    S->image[i].frozen = S->image[i].immutable = false;
    drop_entry(S, i);
    return 0;
}

static int e_revert_finish(struct snap_disk_ctx *c, struct snap_part *p,
                           struct snap_err *err)
{
    int rc = fault("revert_finish", p->vdev, err);

    return rc ? rc : drop_leaf(c, p->drop_path, err);
}

static int e_revert_undo(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err)
{
    int rc, i;

    rc = fault("revert_undo", p->vdev, err);
    if (rc)
        return rc;
    if (!p->leaf_path)
        plan_leaf(c, p);
    i = entry(S, p->leaf_path);
    p->switched = false;
    if (i < 0 || S->image[i].backing != lookup(S, p->frozen_path))
        return 0;
    rc = check_unused(c, p->leaf_path, err);
    if (!rc)
        drop_entry(S, i);
    return rc;
}

static int f_stands_on(struct snap_disk_ctx *c, const struct snap_part *p,
                       const char *path, enum snap_stand *how_r,
                       struct snap_err *err)
{
    int rc, base = lookup(S, p->frozen_path), i = lookup(S, path), depth;

    (void)c;
    rc = fault("stands_on", p->vdev ? p->vdev : "any", err);
    *how_r = i < 0 ? SNAP_STAND_GONE : SNAP_STAND_ALONE;
    for (depth = 0; base >= 0 && i >= 0 && depth < FAKE_IMAGES; depth++) {
        i = S->image[i].backing;
        if (i == base)
            *how_r = SNAP_STAND_ON;
    }
    return rc;
}

/* ---- giving it up ---- */

static bool in_chain(const struct fake_open *o, int image)
{
    int i = o ? o->image : -1, depth;

    for (depth = 0; i >= 0 && depth < FAKE_IMAGES; depth++) {
        if (i == image)
            return true;
        i = S->image[i].backing;
    }
    return false;
}

static bool has_snaps(int image)
{
    int i;

    for (i = 0; i < FAKE_SNAPS; i++)
        if (S->snap[i].used && S->snap[i].image == image)
            return true;
    return false;
}

static void find_children(struct snap_disk_ctx *c, const struct snap_part *p,
                          struct snap_delete *d, int base)
{
    int i;

    d->child = snap_zalloc(FAKE_IMAGES * sizeof(*d->child));
    for (i = 0; i < FAKE_IMAGES; i++) {
        if (!S->image[i].exists || S->image[i].alias >= 0 ||
            S->image[i].backing != base)
            continue;
        d->child[d->n_child].path = snap_strdup(S->image[i].path);
        d->child[d->n_child].live = in_chain(live(c, p), i);
        d->child[d->n_child++].protect = S->image[i].immutable;
    }
}

static bool can_merge(const struct snap_delete *d, int base)
{
    int leaf = entry(S, d->leaf);

    return d->n_child == 1 && d->may_merge && leaf >= 0 &&
           S->image[leaf].alias < 0 && S->image[leaf].backing == base &&
           (d->others_inside || S->image[base].bytes >= S->image[leaf].bytes);
}

static int e_delete_plan(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_delete *d, struct snap_err *err)
{
    int rc, base = lookup(S, p->frozen_path), i;
    size_t k;

    rc = fault("delete_plan", p->vdev, err);
    d->how = SNAP_DELETE_DROP;
    d->keep_image = d->others_inside;
    if (rc || base < 0)
        return rc;
    if (d->others_freeze) {
        d->how = SNAP_DELETE_STAY;
        return 0;
    }
    if (d->leaf && lookup(S, d->leaf) == base) {
        d->keep_image = true;
        return 0;
    }
    rc = check_unused(c, p->frozen_path, err);
    if (rc)
        return rc;
    find_children(c, p, d, base);
    for (k = 0; k < d->n_child; k++) {
        i = entry(S, d->child[k].path);
        if (has_snaps(i))
            return snap_fail(err, SNAP_REFUSED,
                             "%s is over %s and has snapshots inside; delete "
                             "those first",
                             d->child[k].path, p->frozen_path);
        if (!d->child[k].live && top_over(i) >= 0)
            return snap_fail(err, SNAP_BUSY, "%s is over %s, and is open",
                             d->child[k].path, p->frozen_path);
    }
    if (S->image[base].backing >= 0) {
        snap_set(&d->parent, S->image[S->image[base].backing].path);
        snap_set(&d->parent_format, S->image[S->image[base].backing].format);
    }
    d->how = d->n_child ? SNAP_DELETE_PULL : SNAP_DELETE_DROP;
    if (can_merge(d, base)) {
        d->how = SNAP_DELETE_MERGE;
        d->keep_image = true;
        snap_set(&d->gone, d->child[0].path);
        snap_set(&d->active_path,
                 lookup(S, p->path) == base ? p->path : p->frozen_path);
        snap_set(&d->active_format, p->frozen_format);
    }
    return 0;
}

static int e_pull(struct snap_disk_ctx *c, struct snap_part *p,
                  const struct snap_delete *d, size_t k, struct snap_err *err)
{
    int rc, base = lookup(S, p->frozen_path), i = entry(S, d->child[k].path);

    rc = fault("pull", p->vdev, err);
    if (rc || i < 0 || S->image[i].backing != base)
        return rc;
    if (top_over(i) >= 0 && !in_chain(live(c, p), i))
        return snap_fail(err, SNAP_BUSY, "%s is open", S->image[i].path);
    if (c->tick && c->tick(c->opaque, 1, 2))
        return snap_fail(err, SNAP_INTR, "interrupted");
    S->image[i].immutable = false;
    if (!S->image[i].own) {
        S->image[i].content = content_of(S, base);
        S->image[i].own = true;
    }
    S->image[i].stamp++;
    rc = fault("pull half", p->vdev, err);
    if (!rc)
        S->image[i].backing = S->image[base].backing;
    S->image[i].immutable = d->child[k].protect;
    return rc ? rc : fault("pull done", p->vdev, err);
}

static int e_delete_stop(struct snap_disk_ctx *c, struct snap_part *p,
                         const struct snap_delete *d, struct snap_err *err)
{
    int rc, i;
    size_t k;

    (void)c;
    rc = fault("delete_stop", p->vdev, err);
    for (k = 0; !rc && k < d->n_child; k++) {
        i = entry(S, d->child[k].path);
        if (i >= 0 && d->child[k].protect)
            S->image[i].immutable = true;
    }
    i = lookup(S, p->frozen_path);
    if (!rc && d->how == SNAP_DELETE_MERGE && i >= 0 && !is_open(S, i))
        S->image[i].frozen = S->image[i].immutable = true;
    return rc;
}

static int e_refreeze(struct snap_disk_ctx *c, struct snap_part *p,
                      struct snap_err *err)
{
    int rc, i = lookup(S, p->frozen_path);

    (void)c;
    rc = fault("refreeze", p->vdev, err);
    if (!rc && i >= 0 && snap_json_get(p->data, "base_stamp"))
        snap_json_set_int(p->data, "base_stamp", (int64_t)S->image[i].stamp);
    return rc;
}

/* All that is in the leaf goes down; the guest writes to the leaf still. */
static int e_merge(struct snap_disk_ctx *c, struct snap_part *p,
                   const struct snap_delete *d, struct snap_err *err)
{
    int rc, base = lookup(S, p->frozen_path), leaf = entry(S, d->gone);
    struct fake_open *o = live(c, p);

    rc = fault("merge", p->vdev, err);
    if (rc || (o && o->image == base))
        return rc;
    if (leaf < 0 || S->image[leaf].backing != base)
        return snap_fail(err, SNAP_REFUSED, "%s is no overlay of %s", d->gone,
                         p->frozen_path);
    if (top_over(leaf) >= 0 && !(o && o->image == leaf))
        return snap_fail(err, SNAP_BUSY, "%s is open", d->gone);
    S->image[base].frozen = S->image[base].immutable = false;
    rc = fault("merge half", p->vdev, err);
    if (rc)
        return rc;
    if (S->image[leaf].own)
        write_to(S, base, S->image[leaf].content);
    return fault("merge done", p->vdev, err);
}

static int e_merge_switch(struct snap_disk_ctx *c, struct snap_part *p,
                          const struct snap_delete *d, struct snap_err *err)
{
    int rc, base = lookup(S, p->frozen_path), leaf = entry(S, d->gone);
    struct fake_open *o = live(c, p);

    rc = fault("merge_switch", p->vdev, err);
    if (rc || !o || o->image == base)
        return rc;
    if (o->image != leaf)
        return snap_fail(err, SNAP_REFUSED, "the domain does not write to %s",
                         d->gone);
    if (S->image[leaf].own)
        write_to(S, base, S->image[leaf].content);
    o->image = base;
    return fault("merge_switch done", p->vdev, err);
}

static int e_merge_finish(struct snap_disk_ctx *c, struct snap_part *p,
                          const struct snap_delete *d, struct snap_err *err)
{
    int rc;

    rc = fault("merge_finish", p->vdev, err);
    if (!rc)
        rc = entry(S, d->gone) < 0 ? 0 : check_unused(c, d->gone, err);
    if (rc)
        return rc;
    drop_entry(S, entry(S, d->gone));
    return fault("merge_finish done", p->vdev, err);
}

static int e_remove(struct snap_disk_ctx *c, struct snap_part *p,
                    struct snap_err *err)
{
    int rc, i = entry(S, p->frozen_path);

    rc = fault("remove", p->vdev, err);
    if (rc || i < 0)
        return rc;
    if (p->keep_image) {
        S->image[i].frozen = S->image[i].immutable = false;
        return 0;
    }
    rc = check_unused(c, p->frozen_path, err);
    if (rc)
        return rc;
    if (has_child(i))
        return snap_fail(err, SNAP_REFUSED, "%s is needed", p->frozen_path);
    S->image[i].frozen = S->image[i].immutable = false;
    drop_entry(S, i);
    return fault("remove done", p->vdev, err);
}

const struct snap_disk_driver fake_internal = {
    .name = "fake-internal",
    .doc = "a snapshot inside an image in memory",
    .live = true,
    .offline = true,
    .can_fill_up = true,
    .match = i_match,
    .probe = i_probe,
    .group_key = group_qemu,
    .prepare = i_prepare,
    .take = f_take,
    .finish = nothing,
    .undo = i_undo,
    .inspect = i_inspect,
    .verify = i_verify,
    .revert_prepare = i_revert_prepare,
    .revert_switch = i_revert_switch,
    .revert_finish = i_revert_finish,
    .revert_undo = i_revert_undo,
    .stands_on = f_stands_on,
    .delete_plan = i_delete_plan,
    .pull = never_child,
    .delete_stop = nothing_deleted,
    .refreeze = nothing,
    .merge = never,
    .merge_switch = never,
    .merge_finish = never,
    .remove = i_remove,
};

const struct snap_disk_driver fake_external = {
    .name = "fake-external",
    .doc = "an overlay over an image in memory",
    .live = true,
    .offline = true,
    .moves_active = true,
    .can_fill_up = true,
    .match = e_match,
    .probe = e_probe,
    .group_key = group_qemu,
    .prepare = e_prepare,
    .take = f_take,
    .finish = e_finish,
    .undo = e_undo,
    .inspect = e_inspect,
    .verify = e_verify,
    .revert_prepare = e_revert_prepare,
    .revert_switch = e_revert_switch,
    .revert_finish = e_revert_finish,
    .revert_undo = e_revert_undo,
    .stands_on = f_stands_on,
    .delete_plan = e_delete_plan,
    .pull = e_pull,
    .delete_stop = e_delete_stop,
    .refreeze = e_refreeze,
    .merge = e_merge,
    .merge_switch = e_merge_switch,
    .merge_finish = e_merge_finish,
    .remove = e_remove,
};

const struct snap_disk_driver fake_volume = {
    .name = "fake-volume",
    .doc = "a snapshot of a volume in memory, in a group of its own",
    .live = true,
    .offline = true,
    .match = v_match,
    .probe = i_probe,
    .group_key = group_volume,
    .prepare = i_prepare,
    .take = f_take,
    .finish = nothing,
    .undo = i_undo,
    .inspect = i_inspect,
    .verify = i_verify,
    .revert_prepare = i_revert_prepare,
    .revert_switch = i_revert_switch,
    .revert_finish = i_revert_finish,
    .revert_undo = i_revert_undo,
    .stands_on = f_stands_on,
    .delete_plan = i_delete_plan,
    .pull = never_child,
    .delete_stop = nothing_deleted,
    .refreeze = nothing,
    .merge = never,
    .merge_switch = never,
    .merge_finish = never,
    .remove = i_remove,
};

const struct snap_disk_driver *const fake_disk_drivers[] = {
    &fake_internal,
    &fake_external,
    &fake_volume,
    NULL,
};

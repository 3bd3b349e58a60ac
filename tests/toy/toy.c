/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The toy driver of docs/first-driver.md, which quotes this file: whoever
 * changes one changes the other, and tests/cli/test_papers.sh tells.
 *
 * The storage is plain files.  Of a raw image a.raw there may be
 *
 *     a.raw.TAG.copy          the snapshot TAG: all bytes, and a trailer
 *     a.raw.old-OP            what a revert can go back to
 *     SOMETHING.part-OP       a copy that is being made
 *
 * A copy of ours is stamped with a whole second when it is ready; who writes
 * to it later gives it another time stamp.
 */
#include "toy/toy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/file/in_use.h"
#include "disk/qemu/leaf_drop.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/space.h"
#include "model/disk_slots.h"

#define MATCH_RAW   15
#define COPY_BUFFER (64 * 1024)
/* Whose copy it is: the id of the operation that made it. */
#define TRAILER     "toy1 %-16.16s\n"
#define MODE_FROZEN 0400
#define MODE_IMAGE  0600

/* ---- names ---- */

static char *copy_name(const struct snap_part *p)
{
    return snap_printf("%s.%s.copy", p->path, p->tag);
}

static char *part_name(const struct snap_disk_ctx *c, const char *path)
{
    return snap_printf("%s.part-%s", path, c->op_id);
}

static char *old_name(const struct snap_disk_ctx *c, const struct snap_part *p)
{
    return snap_printf("%s.old-%s", p->active_path, c->op_id);
}

/* ---- whose is it ---- */

enum found { FOUND_NOTHING, FOUND_OURS, FOUND_OTHER };

/* Is there a copy that this part made?  size_r: what the guest sees of it. */
static enum found look(const struct snap_part *p, uint64_t *size_r)
{
    const char *id = snap_json_get_str(p->data, "id");
    char want[TOY_TRAILER_LEN + 1], have[TOY_TRAILER_LEN];
    enum found f = FOUND_OTHER;
    struct stat st;
    int fd = open(p->frozen_path,
                  O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    *size_r = 0;
    if (fd < 0)
        return errno == ENOENT ? FOUND_NOTHING : FOUND_OTHER;
    snprintf(want, sizeof(want), TRAILER, id ? id : "");
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) &&
        st.st_size >= TOY_TRAILER_LEN &&
        pread(fd, have, TOY_TRAILER_LEN, st.st_size - TOY_TRAILER_LEN) ==
            TOY_TRAILER_LEN &&
        !memcmp(have, want, TOY_TRAILER_LEN)) {
        *size_r = (uint64_t)st.st_size - TOY_TRAILER_LEN;
        f = FOUND_OURS;
    }
    close(fd);
    return f;
}

static int stamp_whole_second(int fd, const char *path, struct snap_err *err)
{
    const struct timespec t[2] = {
        { .tv_nsec = UTIME_OMIT },
        { .tv_sec = (time_t)snap_epoch_seconds() },
    };

    return futimens(fd, t) ? snap_fail_errno(err, SNAP_IO, errno, "%s", path)
                           : 0;
}

static bool written_since(const char *path)
{
    struct stat st;

    return !lstat(path, &st) && st.st_mtim.tv_nsec;
}

/* ---- copying ---- */

static int copy_bytes(int from, int to, uint64_t size, const char *path,
                      struct snap_err *err)
{
    int rc = 0;
    uint64_t done = 0, left;
    ssize_t n;
    char buf[COPY_BUFFER];

    while (!rc && done < size) {
        left = size - done;
        n = pread(from, buf, left < sizeof(buf) ? left : sizeof(buf),
                  (off_t)done);
        if (n < 0)
            return snap_fail_errno(err, SNAP_IO, errno, "%s", path);
        if (n == 0)
            return snap_fail(err, SNAP_IO, "%s ends too early", path);
        rc = snap_write_all(to, buf, (size_t)n, path, err);
        done += (uint64_t)n;
    }
    return rc;
}

/* The first size bytes of from, in a new file that is whole and on the disk
 * when this returns 0, and not there if it fails.  id: with a trailer. */
static int make_copy(const char *from, uint64_t size, const char *to,
                     const char *id, struct snap_err *err)
{
    int rc, in, out = -1;
    char trailer[TOY_TRAILER_LEN + 1];

    in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0)
        return snap_fail_errno(err, SNAP_IO, errno, "%s", from);
    rc = snap_file_create(to, id ? MODE_FROZEN : MODE_IMAGE, &out, err);
    if (rc)
        goto out;
    rc = copy_bytes(in, out, size, from, err);
    if (!rc && id) {
        snprintf(trailer, sizeof(trailer), TRAILER, id);
        rc = snap_write_all(out, trailer, TOY_TRAILER_LEN, to, err);
    }
    if (!rc)
        rc = stamp_whole_second(out, to, err);
    if (!rc)
        rc = snap_file_sync(out, to, err);
    if (rc)
        snap_file_remove(to, NULL);

out:
    if (out >= 0)
        close(out);
    close(in);
    return rc;
}

static int check_room(struct snap_disk_ctx *c, const char *path, uint64_t size,
                      struct snap_err *err)
{
    uint64_t left;
    int rc = snap_space_left(c->space, path, &left, err);

    if (rc)
        return rc;
    if (left < size)
        return snap_fail(err, SNAP_NOSPACE,
                         "%s needs %llu bytes, and %llu are free", path,
                         (unsigned long long)size, (unsigned long long)left);
    snap_space_take(c->space, path, size);
    return 0;
}

/* ---- create ---- */

static int toy_match(const struct snap_part *p, enum snap_disk_type want)
{
    if (want == SNAP_DISK_EXTERNAL || p->target || p->keep_path ||
        !snap_part_by_qemu(p) || !snap_streq(p->format, "raw"))
        return 0;
    return MATCH_RAW;
}

/* Can it be taken?  The image must be a file of its own, and nobody's. */
static int check_image(struct snap_disk_ctx *c, struct snap_part *p,
                       struct snap_err *err)
{
    struct stat st;

    if (c->domid != UINT32_MAX)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s can be copied only with the domain off; shut it "
                         "down first",
                         p->path);
    if (lstat(p->path, &st))
        return snap_fail_errno(err, errno == ENOENT ? SNAP_NOTFOUND : SNAP_IO,
                               errno, "%s", p->path);
    if (!S_ISREG(st.st_mode) || !st.st_size)
        return snap_fail(err, SNAP_REFUSED,
                         "%s is empty or no plain file; leave the disk out "
                         "with --no-disk",
                         p->path);
    p->size = (uint64_t)st.st_size;
    return snap_image_check_unused(c, p->path, err);
}

static int toy_probe(struct snap_disk_ctx *c, struct snap_part *p,
                     struct snap_err *err)
{
    int rc;

    p->type = SNAP_DISK_INTERNAL;
    rc = check_image(c, p, err);
    if (rc)
        return rc;
    snap_free(&p->frozen_path);
    p->frozen_path = copy_name(p);
    if (snap_file_exists(p->frozen_path))
        return snap_fail(err, SNAP_EXISTS,
                         "%s exists; give the snapshot another name",
                         p->frozen_path);
    rc = check_room(c, p->frozen_path, p->size + TOY_TRAILER_LEN, err);
    if (rc)
        return rc;
    snap_set(&p->frozen_format, "raw");
    snap_set(&p->active_path, p->path);
    snap_set(&p->active_format, p->format);
    if (!p->data)
        p->data = snap_json_object();
    snap_json_set_str(p->data, "id", c->op_id);
    return 0;
}

static int take_one(struct snap_disk_ctx *c, struct snap_part *p,
                    struct snap_err *err)
{
    char *part = part_name(c, p->frozen_path);
    int rc = snap_image_check_unused(c, p->path, err);

    if (!rc)
        rc = make_copy(p->path, p->size, part,
                       snap_json_get_str(p->data, "id"), err);
    if (rc)
        goto out;
    rc = snap_file_rename_new(part, p->frozen_path, err);
    if (rc)
        snap_file_remove(part, NULL);
    else
        p->taken = true;

out:
    free(part);
    return rc;
}

static int toy_undo(struct snap_disk_ctx *c, struct snap_part *p,
                    struct snap_err *err)
{
    char *part = part_name(c, p->frozen_path);
    uint64_t size;
    int rc = snap_file_remove(part, err);

    if (!rc && look(p, &size) == FOUND_OURS)
        rc = snap_file_remove(p->frozen_path, err);
    if (!rc)
        p->taken = p->prepared = false;
    free(part);
    return rc;
}

static int toy_take(struct snap_disk_ctx *c, struct snap_part *const *parts,
                    size_t n, struct snap_err *err)
{
    size_t i;
    int rc = 0;

    for (i = 0; !rc && i < n; i++)
        rc = take_one(c, parts[i], err);
    for (i = 0; rc && i < n; i++)
        if (parts[i]->taken && toy_undo(c, parts[i], NULL))
            rc = SNAP_RECOVER;
    if (rc == SNAP_RECOVER && err)
        err->rc = rc;
    return rc;
}

static const struct snap_group toy_group = {
    .name = "toy",
    .deadline_ms = SNAP_TAKE_MAX_MS,
    .take = toy_take,
    .was_taken = snap_group_all_there,
};

static int toy_inspect(struct snap_disk_ctx *c, const struct snap_part *p,
                       enum snap_part_state *state_r, struct snap_err *err)
{
    char *part = part_name(c, p->frozen_path);
    uint64_t size;

    (void)err;
    switch (look(p, &size)) {
    case FOUND_OURS:
        *state_r = SNAP_PART_PRESENT;
        break;
    case FOUND_OTHER:
        *state_r = SNAP_PART_FOREIGN;
        break;
    default:
        *state_r = snap_file_exists(part) ? SNAP_PART_PARTIAL
                                          : SNAP_PART_ABSENT;
    }
    free(part);
    return 0;
}

/* ---- revert and clone ---- */

/* A clone has an image of its own; a revert brings back the domain's. */
static bool is_clone(const struct snap_part *p)
{
    return p->leaf_path && !snap_streq(p->leaf_path, p->active_path);
}

static void plan_leaf(const struct snap_disk_ctx *c, struct snap_part *p)
{
    snap_set(&p->leaf_format, "raw");
    if (!p->leaf_dir) {
        snap_set(&p->leaf_path, p->active_path);
        return;
    }
    snap_free(&p->leaf_path);
    p->leaf_path = snap_printf("%s/%s.%s-%s.raw", p->leaf_dir,
                               p->stem ? p->stem : snap_basename(p->path),
                               p->tag, c->op_id);
}

static int toy_verify(struct snap_disk_ctx *c, struct snap_part *p,
                      struct snap_err *err)
{
    uint64_t size;
    enum found f;

    if (!p->frozen_path)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s: a copy is found by the snapshot's record only",
                         p->vdev);
    f = look(p, &size);
    if (f == FOUND_NOTHING)
        return snap_fail(err, SNAP_NOTFOUND, "%s is gone", p->frozen_path);
    if (f == FOUND_OTHER || size != p->size || written_since(p->frozen_path))
        return snap_fail(err, SNAP_CORRUPT,
                         "%s is not the copy any more that was made",
                         p->frozen_path);
    plan_leaf(c, p);
    return p->leaf_dir ? check_room(c, p->leaf_path, size, err) : 0;
}

static int toy_revert_prepare(struct snap_disk_ctx *c, struct snap_part *p,
                              struct snap_err *err)
{
    char *part = NULL;
    int rc = 0;

    if (!p->leaf_path)
        plan_leaf(c, p);
    part = part_name(c, p->leaf_path);
    if (!is_clone(p))
        rc = check_room(c, part, p->size, err);
    if (!rc)
        rc = make_copy(p->frozen_path, p->size, part, NULL, err);
    if (!rc && is_clone(p))
        rc = snap_file_rename_new(part, p->leaf_path, err);
    free(part);
    return rc;
}

/* Has somebody had what was brought back, and nobody said it may go? */
static int check_unwritten(struct snap_disk_ctx *c, const char *path,
                           struct snap_err *err)
{
    if (c->discard || !written_since(path))
        return 0;
    return snap_fail(err, SNAP_RECOVER, "somebody has written to %s", path);
}

/* Is the image another one than before the revert? */
static bool is_switched(const struct snap_part *p, const char *old)
{
    return snap_file_exists(old) && !snap_same_file(old, p->active_path);
}

static int toy_in_place(struct snap_disk_ctx *c, const struct snap_part *p,
                        bool back, struct snap_held_images *l,
                        struct snap_err *err)
{
    char *other = back ? old_name(c, p) : part_name(c, p->active_path);
    bool changes = !back || is_switched(p, other);
    int rc = 0;

    if (is_clone(p))
        goto out;
    if (back && changes)
        rc = check_unwritten(c, p->active_path, err);
    if (rc)
        goto out;
    /* Two files have the name, one after the other. */
    snap_held_images_add(l, p->active_path, changes);
    if (snap_file_exists(other))
        snap_held_images_add(l, other, false);

out:
    free(other);
    return rc;
}

/* At every moment there is an image of that name, the old or the new one. */
static int exchange(struct snap_disk_ctx *c, const struct snap_part *p,
                    struct snap_err *err)
{
    char *part = part_name(c, p->active_path), *old = old_name(c, p);
    char *dir = snap_dirname(p->active_path);
    int rc = 0;

    if (link(p->active_path, old))
        rc = snap_fail_errno(err, SNAP_IO, errno, "%s", old);
    if (!rc)
        rc = snap_dir_sync(dir, err);
    if (!rc)
        rc = snap_file_rename(part, p->active_path, err);
    free(dir);
    free(old);
    free(part);
    return rc;
}

static int toy_revert_switch(struct snap_disk_ctx *c, struct snap_part *p,
                             struct snap_err *err)
{
    int rc = snap_image_check_unused(c, p->leaf_path, err);

    if (!rc && !is_clone(p))
        rc = exchange(c, p, err);
    p->switched = !rc;
    return rc;
}

static int toy_revert_finish(struct snap_disk_ctx *c, struct snap_part *p,
                             struct snap_err *err)
{
    char *old = old_name(c, p);
    int rc = snap_file_remove(old, err);

    free(old);
    if (!rc && p->drop_path && !snap_streq(p->drop_path, p->leaf_path))
        rc = snap_leaf_drop(c, p->drop_path, p->stem, &p->dropped, err);
    return rc;
}

static int undo_clone(struct snap_disk_ctx *c, struct snap_part *p,
                      struct snap_err *err)
{
    int rc;

    if (c->only_look)
        return check_unwritten(c, p->leaf_path, err);
    rc = snap_image_check_unused(c, p->leaf_path, err);
    if (rc)
        return rc;
    if (!written_since(p->leaf_path))
        return snap_file_remove(p->leaf_path, err);
    snap_say(c->log, SNAP_LOG_WARN, "%s is kept: somebody has written to it",
             p->leaf_path);
    return 0;
}

static int undo_exchange(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err)
{
    char *old = old_name(c, p);
    int rc = 0;

    if (is_switched(p, old)) {
        rc = check_unwritten(c, p->active_path, err);
        if (!rc)
            rc = snap_image_check_unused(c, p->active_path, err);
        if (!rc && !c->only_look)
            rc = snap_file_rename(old, p->active_path, err);
    }
    if (!rc && !c->only_look)
        rc = snap_file_remove(old, err);
    free(old);
    return rc;
}

static int toy_revert_undo(struct snap_disk_ctx *c, struct snap_part *p,
                           struct snap_err *err)
{
    char *part = part_name(c, is_clone(p) ? p->leaf_path : p->active_path);
    int rc = is_clone(p) ? undo_clone(c, p, err) : undo_exchange(c, p, err);

    if (!rc && !c->only_look)
        rc = snap_file_remove(part, err);
    if (!rc && !c->only_look)
        p->switched = false;
    free(part);
    return rc;
}

/* ---- delete ---- */

static int toy_delete_plan(struct snap_disk_ctx *c, struct snap_part *p,
                           struct snap_delete *d, struct snap_err *err)
{
    d->how = SNAP_DELETE_DROP;
    return snap_image_check_unused(c, p->frozen_path, err);
}

static int toy_remove(struct snap_disk_ctx *c, struct snap_part *p,
                      struct snap_err *err)
{
    uint64_t size;

    if (p->keep_image || look(p, &size) != FOUND_OURS)
        return 0;
    if (!written_since(p->frozen_path))
        return snap_file_remove(p->frozen_path, err);
    snap_say(c->log, SNAP_LOG_WARN, "%s is kept: somebody has written to it",
             p->frozen_path);
    return 0;
}

/* ---- the table ---- */

const struct snap_disk_driver toy_copy = {
    .name = "toy-copy",
    .doc = "a copy beside a raw image, the domain off",
    .offline = true,
    .match = toy_match,
    .probe = toy_probe,
    .check = snap_slot_check_files,
    .identity = snap_slot_no_identity,
    .group = &toy_group,
    .group_key = snap_slot_group_name,
    .prepare = snap_slot_nothing,
    .secure = snap_slot_nothing,
    .finish = snap_slot_nothing,
    .undo = toy_undo,
    .inspect = toy_inspect,
    .verify = toy_verify,
    .revert_prepare = toy_revert_prepare,
    .in_place = toy_in_place,
    .revert_switch = toy_revert_switch,
    .revert_finish = toy_revert_finish,
    .revert_undo = toy_revert_undo,
    .stands_on = snap_slot_stands_alone,
    .delete_plan = toy_delete_plan,
    SNAP_SLOTS_NO_CHAIN,
    .remove = toy_remove,
};

const struct snap_disk_driver *const toy_drivers[] = {
    &toy_copy,
    NULL,
};

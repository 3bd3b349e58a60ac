/* SPDX-License-Identifier: LGPL-2.1-only */
/* See image_tag.h. */
#include "disk/qemu/image_tag.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "disk/file/image_guard.h"
#include "disk/format/qcow2_bytes.h"
#include "disk/format/qcow2_written.h"
#include "disk/qemu/image_info.h"
#include "disk/qemu/qemu_img.h"
#include "lib/file.h"

static int image_tag_find(struct snap_disk_ctx *c, const char *path,
                          const char *tag, struct snap_image_tag *t_r,
                          struct snap_err *err)
{
    struct snap_json *info = NULL;
    int rc = snap_qemu_img_info(c->log, path, "qcow2", false, &info, err);

    snap_image_find_tag(info, tag, t_r);
    snap_json_free(info);
    return rc;
}

static int not_done(const char *path, const char *tag, const char *what,
                    struct snap_err *err)
{
    return snap_fail(err, SNAP_FAIL,
                     "qemu-img said that snapshot %s in %s was %s, and it is not so",
                     tag, path, what);
}

/* ---- QEMU's table of snapshots ---- */

#define TABLE_AT  60 /* in the header: how many, and where (qcow2.txt) */
#define TABLE_LEN 12
#define ENTRY_LEN 40
#define ID_LEN_AT 12 /* in an entry */

/* Is the first entry one that QEMU has written?  It has an ID then. */
static bool table_is_there(int fd, const unsigned char place[TABLE_LEN])
{
    unsigned char e[ENTRY_LEN];

    return !snap_qcow2_get32(place, 0) ||
           (snap_qcow2_read_at(fd, e, sizeof(e), snap_qcow2_get64(place, 4)) ==
                sizeof(e) &&
            snap_qcow2_get16(e, ID_LEN_AT));
}

static bool read_place(int fd, unsigned char place[TABLE_LEN])
{
    return snap_qcow2_read_at(fd, place, TABLE_LEN, TABLE_AT) == TABLE_LEN;
}

/*
 * The table is written anew with each snapshot, then the header says where,
 * then that is synced.  If that fails, QEMU gives the new one up, which the
 * header names, and the other snapshots are lost with it; the old one is still
 * there (qcow2_write_snapshots() of QEMU 7.2).
 */
static void put_table_back(struct snap_disk_ctx *c, const char *path,
                           const unsigned char old[TABLE_LEN])
{
    unsigned char now[TABLE_LEN];
    struct snap_err why = SNAP_ERR_INIT;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return;
    if (read_place(fd, now) && memcmp(now, old, TABLE_LEN) != 0 &&
        !table_is_there(fd, now) && table_is_there(fd, old)) {
        if (pwrite(fd, old, TABLE_LEN, TABLE_AT) != TABLE_LEN ||
            snap_file_sync(fd, path, &why))
            snap_say(c->log, SNAP_LOG_WARN,
                     "%s: qemu-img failed and left its list of snapshots damaged, and that cannot be put right: %s",
                     path, why.rc ? why.msg : strerror(errno));
    }
    close(fd);
}

/* ---- the work ---- */

/* The descriptor is from before the first write: it hears of every error,
 * whoever was told of it first. */
static int work(struct snap_disk_ctx *c, const char *path, const char *tag,
                const char *what, struct snap_err *err)
{
    int rc, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    unsigned char place[TABLE_LEN];

    if (fd < 0)
        return snap_fail_errno(err, SNAP_IO, errno, "%s", path);
    if (!read_place(fd, place)) {
        close(fd);
        return snap_fail(err, SNAP_CORRUPT, "%s is not a qcow2 image", path);
    }
    rc = snap_qemu_img_snapshot(c->log, what, tag, path, err);
    if (rc)
        put_table_back(c, path, place);
    else
        rc = snap_file_sync(fd, path, err);
    close(fd);
    return rc;
}

int snap_image_tag_make(struct snap_disk_ctx *c, const char *path,
                        const char *tag, struct snap_err *err)
{
    int rc;
    struct snap_image_guard *guard;
    struct snap_image_tag t;

    rc = snap_image_guard_writers(c, path, &guard, err);
    if (rc)
        return rc;
    rc = work(c, path, tag, "-c", err);
    if (!rc)
        rc = image_tag_find(c, path, tag, &t, err);
    if (!rc && t.count != 1)
        rc = not_done(path, tag, "made", err);
    snap_image_guard_end(&guard);
    return rc;
}

int snap_image_tag_apply(struct snap_disk_ctx *c, const char *path,
                         const char *tag, struct snap_err *err)
{
    int rc;
    bool active;
    struct snap_image_guard *guard;

    rc = snap_image_guard_writers(c, path, &guard, err);
    if (rc)
        return rc;
    rc = work(c, path, tag, "-a", err);
    if (!rc)
        rc = snap_qcow2_active(path, tag, &active, err);
    if (!rc && !active)
        rc = not_done(path, tag, "brought back", err);
    snap_image_guard_end(&guard);
    return rc;
}

static int drop(struct snap_disk_ctx *c, const char *path, const char *tag,
                struct snap_err *err)
{
    int rc;
    struct snap_image_tag t;

    rc = image_tag_find(c, path, tag, &t, err);
    if (rc || !t.count)
        return rc;
    if (t.count > 1 || t.id_clash)
        return snap_fail(err, SNAP_REFUSED,
                         "%s: snapshot %s is not the only one of that name or ID; nothing was deleted",
                         path, tag);
    rc = work(c, path, tag, "-d", err);
    if (!rc)
        rc = image_tag_find(c, path, tag, &t, err);
    return !rc && t.count ? not_done(path, tag, "removed", err) : rc;
}

int snap_image_tag_drop(struct snap_disk_ctx *c, const char *path,
                        const char *tag, struct snap_err *err)
{
    int rc;
    struct snap_image_guard *guard;
    struct snap_image_tag t;
    const char *const paths[] = { path, NULL };

    /* One that is not there is in nobody's way; but a tool that removed it may
     * have died. */
    rc = image_tag_find(c, path, tag, &t, err);
    if (!rc && !t.count)
        snap_image_tag_mend(c, path);
    if (rc || !t.count)
        return rc;
    rc = snap_image_guard_begin(c, paths, &guard, err);
    if (rc)
        return rc;
    rc = drop(c, path, tag, err);
    snap_image_guard_end(&guard);
    return rc;
}

static int mend(struct snap_disk_ctx *c, const char *path,
                struct snap_err *err)
{
    int rc, fd;
    bool sound = false;

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return snap_fail_errno(err, SNAP_IO, errno, "%s", path);
    rc = snap_qemu_img_check(c->log, path, true, &sound, err);
    if (!rc && !sound)
        rc = snap_fail(err, SNAP_CORRUPT,
                       "%s has errors in it; look at them (qemu-img check %s), and repair it (qemu-img check -r all %s)",
                       path, path, path);
    if (!rc)
        rc = snap_file_sync(fd, path, err);
    close(fd);
    return rc;
}

void snap_image_tag_mend(struct snap_disk_ctx *c, const char *path)
{
    struct snap_image_guard *guard;
    struct snap_err why = SNAP_ERR_INIT;

    if (!snap_image_guard_writers(c, path, &guard, &why))
        mend(c, path, &why);
    snap_image_guard_end(&guard);
    if (why.rc)
        snap_say(c->log,
                 why.rc == SNAP_CORRUPT ? SNAP_LOG_WARN : SNAP_LOG_DEBUG, "%s",
                 why.msg);
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See copy_up.h.  Not by qemu-img rebase: that writes the new name into the
 * header before the tables that make the copied data reachable (seen with
 * strace, QEMU 7.2), and ends with 0 if it cannot write those tables.  So the
 * steps are taken apart, and each is looked at before the next:
 *
 *   map       which ranges does the image read from the one below?
 *   qemu-io   reads them with copy-on-read, and flushes
 *   sync      ours, by a descriptor from before the first write: it hears of
 *             an error whoever was told of it first
 *   map       once more, by a new process: there must be no such range
 *   header    qemu-img rebase -u writes the name and nothing else
 *   sync, and the name is read back
 *
 * Until the header changes, it does not matter which of the ranges are there:
 * copied or not, they read the same.
 */
#include "disk/qemu/copy_up.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "disk/format/qcow2_header.h"
#include "disk/qemu/image_map.h"
#include "disk/qemu/qemu_img.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

#define CHUNK (8ull << 20) /* one read, which qemu-io keeps in memory */

/*
 * Is this what the image reads through the one below it?  Depth 0 is the
 * image itself; but where it has nothing and the one below is shorter, QEMU
 * says depth 0 too, "present" false, and what is below that may be longer.
 * Zeroes at the bottom need not be copied: without a backing file, an image
 * reads zeroes where it has nothing.
 */
static bool reads_below(void *opaque, int64_t depth, bool zero, bool present)
{
    const struct snap_copy_up *u = opaque;

    if (!u->parent && zero)
        return false;
    return depth ? depth == 1 : zero && !present;
}

/* qemu-io's orders, in memory; -1 with errno. */
static int orders(const struct snap_range *r, size_t many,
                  struct snap_err *err)
{
    int fd;
    size_t i;
    uint64_t at, n;
    struct snap_buf b = { 0 };

    for (i = 0; i < many; i++)
        for (at = r[i].at; at < r[i].end; at += n) {
            n = r[i].end - at > CHUNK ? CHUNK : r[i].end - at;
            snap_buf_addf(&b, "read -q %" PRIu64 " %" PRIu64 "\n", at, n);
        }
    snap_buf_adds(&b, "flush\n");
    fd = memfd_create("xl-snapshot", MFD_CLOEXEC);
    if (fd < 0)
        snap_fail_errno(err, SNAP_FAIL, errno, "memfd");
    else if (snap_write_all(fd, b.data, b.len, "memfd", err) ||
             lseek(fd, 0, SEEK_SET)) {
        close(fd);
        fd = -1;
    }
    snap_buf_dispose(&b);
    return fd;
}

static int copy(void *opaque, const struct snap_range *r, size_t n,
                struct snap_err *err)
{
    const struct snap_copy_up *u = opaque;
    int rc, fd;

    if (!n)
        return 0;
    fd = orders(r, n, err);
    if (fd < 0)
        return SNAP_FAIL;
    rc = snap_qemu_io_keep(u->log, u->path, fd, u->tick, u->opaque, err);
    close(fd);
    return rc;
}

static int see_none(void *opaque, const struct snap_range *r, size_t n,
                    struct snap_err *err)
{
    const struct snap_copy_up *u = opaque;

    return n ? snap_fail(err, SNAP_FAIL,
                         "all was to be copied, and %s still reads what is at %" PRIu64
                         " through its backing file",
                         u->path, r[0].at)
             : 0;
}

/* Through the whole image: copy what is read below, or only see that nothing
 * is. */
static int pass(const struct snap_copy_up *u, uint64_t size, bool only_look,
                struct snap_err *err)
{
    const struct snap_image_map m = {
        .path = u->path,
        .size = size,
        .wants = reads_below,
        .each = only_look ? see_none : copy,
        .opaque = (void *)u,
        .tick = u->tick,
        .tick_opaque = u->opaque,
        .log = u->log,
    };

    return snap_image_map(&m, err);
}

/* Does the header say what it is to say? */
static int check_header(const struct snap_copy_up *u, struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };

    rc = snap_qcow2_read(u->path, &h, err);
    if (!rc &&
        (!snap_streq(h.backing, u->parent) ||
         (u->parent && !snap_streq(h.backing_format, u->parent_format))))
        rc = snap_fail(err, SNAP_FAIL,
                       "the header of %s names %s now, and %s was to be written",
                       u->path, h.backing ? h.backing : "no backing file",
                       u->parent ? u->parent : "none");
    snap_qcow2_dispose(&h);
    return rc;
}

/* All data in the image, and all of it on the disk. */
static int take_data(const struct snap_copy_up *u, uint64_t size,
                     struct snap_err *err)
{
    int rc, fd = open(u->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return snap_fail_errno(err, SNAP_IO, errno, "%s", u->path);
    rc = pass(u, size, false, err);
    if (!rc)
        rc = snap_file_sync(fd, u->path, err);
    close(fd);
    return rc ? rc : pass(u, size, true, err);
}

static int switch_header(const struct snap_copy_up *u, struct snap_err *err)
{
    int rc, fd = open(u->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return snap_fail_errno(err, SNAP_IO, errno, "%s", u->path);
    rc = snap_qemu_img_set_backing(u->log, u->path, u->parent,
                                   u->parent_format, err);
    if (!rc)
        rc = check_header(u, err);
    if (!rc)
        rc = snap_file_sync(fd, u->path, err);
    close(fd);
    return rc;
}

int snap_copy_up(const struct snap_copy_up *u, struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };

    rc = snap_qcow2_read(u->path, &h, err);
    if (!rc)
        rc = take_data(u, h.size, err);
    if (!rc)
        rc = u->may_switch(u->opaque, err);
    if (!rc)
        rc = switch_header(u, err);
    snap_qcow2_dispose(&h);
    return rc;
}

int snap_copied_up(const struct snap_copy_up *u, struct snap_err *err)
{
    int rc;
    struct snap_qcow2 h = { 0 };

    rc = snap_qcow2_read(u->path, &h, err);
    if (!rc)
        rc = pass(u, h.size, true, err);
    snap_qcow2_dispose(&h);
    return rc;
}

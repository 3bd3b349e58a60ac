/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See qemu_img.h.  What qemu-img prints is parsed as JSON or not at all.
 */
#include "disk/qemu/qemu_img.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/format/qcow2_header.h"
#include "disk/qemu/overlay_chain.h"
#include "lib/mem.h"
#include "lib/run.h"

#define READ_MS 60000
/* Merging and the reference counts of a large image take their time. */
#define WRITE_MS  (60 * 60 * 1000)
#define CHAIN_MAX 256

int snap_qemu_img_stall_ms = 30 * 60 * 1000; /* a flush of much takes long */

static int qemu_img_run(const struct snap_log *log, const char *const *argv,
                        int timeout_ms, struct snap_err *err)
{
    int rc;
    struct snap_run r = SNAP_RUN_INIT;

    r.argv = argv;
    r.timeout_ms = timeout_ms;
    r.log = log;
    rc = snap_run(&r, err);
    snap_run_dispose(&r);
    return rc;
}

int snap_qemu_img_info(const struct snap_log *log, const char *path,
                       const char *format, bool chain,
                       struct snap_json **info_r, struct snap_err *err)
{
    int rc;
    size_t n = 0;
    const char *argv[10];
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_json *j = NULL;

    *info_r = NULL;
    argv[n++] = "qemu-img";
    argv[n++] = "info";
    argv[n++] = "-U";
    argv[n++] = "--output=json";
    if (chain)
        argv[n++] = "--backing-chain";
    argv[n++] = "-f";
    argv[n++] = format;
    argv[n++] = path;
    argv[n] = NULL;
    r.argv = argv;
    r.timeout_ms = READ_MS;
    r.log = log;
    rc = snap_run(&r, err);
    if (rc)
        goto out;
    rc = snap_json_parse(r.out, r.out_len, &j, err);
    if (rc) {
        snap_err_prefix(err, "qemu-img info %s", path);
        goto out;
    }
    if (snap_json_type(j) != (chain ? SNAP_JSON_ARRAY : SNAP_JSON_OBJECT) ||
        (chain && (!snap_json_len(j) || snap_json_len(j) > CHAIN_MAX))) {
        rc = snap_fail(err, SNAP_PROTO,
                       "qemu-img info %s: not the answer that it should give",
                       path);
        goto out;
    }
    *info_r = j;
    j = NULL;
    rc = 0;

out:
    snap_json_free(j);
    snap_run_dispose(&r);
    return rc;
}

int snap_qemu_img_create(const struct snap_log *log, const char *target,
                         const char *base, const char *base_format,
                         uint64_t size, struct snap_err *err)
{
    char bytes[24];
    const char *const argv[] = {
        "qemu-img", "create", "-q",        "-f",   "qcow2", "-u", "-b",
        base,       "-F",     base_format, target, bytes,   NULL,
    };

    snprintf(bytes, sizeof(bytes), "%" PRIu64, size);
    return qemu_img_run(log, argv, READ_MS, err);
}

int snap_qemu_img_snapshot(const struct snap_log *log, const char *what,
                           const char *tag, const char *path,
                           struct snap_err *err)
{
    const char *const argv[] = {
        "qemu-img", "snapshot", "-q", what, tag, path, NULL,
    };

    return qemu_img_run(log, argv, WRITE_MS, err);
}

/*
 * The slow ones, which may be stopped.  What QEMU cannot write when it closes
 * an image does not change its exit status, it is only said
 * (qcow2_inactivate() of QEMU): a tool that is to be silent and is not has
 * failed.  A repair says what it found.
 */
static int run_slow(const struct snap_log *log, const char *const *argv,
                    bool silent, int (*tick)(void *opaque), void *opaque,
                    struct snap_err *err)
{
    int rc;
    struct snap_run r = SNAP_RUN_INIT;

    r.argv = argv;
    r.stall_ms = snap_qemu_img_stall_ms;
    r.log = log;
    r.tick = tick;
    r.opaque = opaque;
    rc = snap_run(&r, err);
    if (!rc && silent && r.err_text && *r.err_text)
        rc = snap_fail(err, SNAP_FAIL, "%s %s ended with 0, and said: %s",
                       argv[0], argv[1], r.err_text);
    snap_run_dispose(&r);
    return rc;
}

int snap_qemu_img_commit(const struct snap_log *log, const char *overlay,
                         int (*tick)(void *opaque), void *opaque,
                         struct snap_err *err)
{
    const char *const argv[] = {
        "qemu-img", "commit", "-q", "-f", "qcow2", "-d", overlay, NULL,
    };

    return run_slow(log, argv, true, tick, opaque, err);
}

int snap_qemu_img_map(const struct snap_log *log, const char *path,
                      uint64_t offset, uint64_t length,
                      int (*tick)(void *opaque), void *opaque,
                      struct snap_json **map_r, struct snap_err *err)
{
    int rc;
    struct snap_run r = SNAP_RUN_INIT;
    char *from = snap_printf("--start-offset=%" PRIu64, offset);
    char *bytes = snap_printf("--max-length=%" PRIu64, length);
    const char *const argv[] = {
        "qemu-img", "map", "-U", "--output=json", "-f", "qcow2", from,
        bytes,      path,  NULL,
    };

    *map_r = NULL;
    r.argv = argv;
    r.stall_ms = snap_qemu_img_stall_ms;
    r.log = log;
    r.tick = tick;
    r.opaque = opaque;
    rc = snap_run(&r, err);
    if (!rc)
        rc = snap_json_parse(r.out, r.out_len, map_r, err);
    if (!rc && snap_json_type(*map_r) != SNAP_JSON_ARRAY) {
        snap_json_free(*map_r);
        *map_r = NULL;
        rc = snap_fail(err, SNAP_PROTO, "it gave no list");
    }
    if (rc)
        snap_err_prefix(err, "qemu-img map %s", path);
    snap_run_dispose(&r);
    free(from);
    free(bytes);
    return rc;
}

int snap_qemu_io_keep(const struct snap_log *log, const char *path,
                      int commands_fd, int (*tick)(void *opaque), void *opaque,
                      struct snap_err *err)
{
    int rc;
    struct snap_run r = SNAP_RUN_INIT;
    const char *const argv[] = {
        "qemu-io", "-C", "-t", "writeback", "-f", "qcow2", path, NULL,
    };

    r.argv = argv;
    r.stall_ms = snap_qemu_img_stall_ms;
    r.stdin_fd = commands_fd;
    r.log = log;
    r.tick = tick;
    r.opaque = opaque;
    rc = snap_run(&r, err);
    snap_run_dispose(&r);
    return rc;
}

int snap_qemu_img_set_backing(const struct snap_log *log, const char *overlay,
                              const char *base, const char *base_format,
                              struct snap_err *err)
{
    const char *argv[13];
    size_t n = 0;

    argv[n++] = "qemu-img";
    argv[n++] = "rebase";
    argv[n++] = "-q";
    argv[n++] = "-u";
    argv[n++] = "-f";
    argv[n++] = "qcow2";
    argv[n++] = "-b";
    argv[n++] = base ? base : "";
    if (base) {
        argv[n++] = "-F";
        argv[n++] = base_format;
    }
    argv[n++] = overlay;
    argv[n] = NULL;
    return qemu_img_run(log, argv, READ_MS, err);
}

int snap_qemu_img_repair(const struct snap_log *log, const char *path,
                         int (*tick)(void *opaque), void *opaque,
                         struct snap_err *err)
{
    const char *const argv[] = {
        "qemu-img", "check", "-q", "-r", "all", "-f", "qcow2", path, NULL,
    };

    return run_slow(log, argv, false, tick, opaque, err);
}

int snap_qemu_img_check(const struct snap_log *log, const char *path,
                        bool leaks_too, bool *sound_r, struct snap_err *err)
{
    int rc;
    size_t n = 0;
    const char *argv[9];
    struct snap_run r = SNAP_RUN_INIT;

    argv[n++] = "qemu-img";
    argv[n++] = "check";
    argv[n++] = "-q";
    if (leaks_too) {
        argv[n++] = "-r";
        argv[n++] = "leaks";
    }
    argv[n++] = "-f";
    argv[n++] = "qcow2";
    argv[n++] = path;
    argv[n] = NULL;
    r.argv = argv;
    r.timeout_ms = WRITE_MS;
    r.log = log;
    rc = snap_run(&r, err);
    /* 2: errors; 3: clusters that nobody needs (qemu-img(1)) */
    *sound_r = !rc || (rc == SNAP_FAIL && r.status == 3);
    if (rc == SNAP_FAIL && (r.status == 2 || r.status == 3)) {
        if (err)
            snap_err_clear(err);
        rc = 0;
    }
    snap_run_dispose(&r);
    return rc;
}

static void add_part(struct snap_buf *b, const char *path)
{
    for (; *path; path++)
        snap_buf_addf(b, *path == ',' ? ",%c" : "%c", *path);
}

/* A part of an image, or with n 0 all of it, as QEMU's option strings say
 * it. */
static char *part_of(const char *path, const char *format, uint64_t at,
                     uint64_t n)
{
    struct snap_buf b = { 0 };
    struct stat st;
    bool device = !stat(path, &st) && S_ISBLK(st.st_mode);
    const char *in = n ? "file." : "";

    if (n)
        snap_buf_addf(&b, "driver=raw,offset=%" PRIu64 ",size=%" PRIu64 ",",
                      at, n);
    snap_buf_addf(&b, "%sdriver=%s,%sfile.driver=%s,%sfile.filename=", in,
                  format, in, device ? "host_device" : "file", in);
    add_part(&b, path);
    return b.data;
}

int snap_qemu_img_compare(const struct snap_log *log, const char *a,
                          const char *b, const char *b_format, uint64_t at,
                          uint64_t n, int (*tick)(void *opaque), void *opaque,
                          bool *same_r, struct snap_err *err)
{
    int rc;
    struct snap_run r = SNAP_RUN_INIT;
    char *one = part_of(a, "qcow2", at, n), *two = part_of(b, b_format, at, n);
    const char *const argv[] = {
        "qemu-img", "compare", "-q", "-U", "--image-opts", one, two, NULL,
    };

    r.argv = argv;
    r.stall_ms = snap_qemu_img_stall_ms;
    r.log = log;
    r.tick = tick;
    r.opaque = opaque;
    rc = snap_run(&r, err);
    *same_r = !rc;
    if (rc == SNAP_FAIL && r.status == 1) {
        if (err)
            snap_err_clear(err);
        rc = 0;
    }
    snap_run_dispose(&r);
    free(two);
    free(one);
    return rc;
}

int snap_qemu_img_copy_tag(const struct snap_log *log, const char *path,
                           const char *tag, const char *target,
                           int (*tick)(void *opaque), void *opaque,
                           struct snap_err *err)
{
    int rc;
    size_t n = 0;
    const char *argv[18];
    char *snapshot = snap_printf("snapshot.name=%s", tag), *format = NULL;
    char *backing = NULL;
    struct snap_qcow2 h = { 0 };

    rc = snap_qcow2_read(path, &h, err);
    if (rc)
        goto out;
    argv[n++] = "qemu-img";
    argv[n++] = "convert";
    argv[n++] = "-q";
    argv[n++] = "-U";
    argv[n++] = "-f";
    argv[n++] = "qcow2";
    argv[n++] = "-l";
    argv[n++] = snapshot;
    argv[n++] = "-O";
    argv[n++] = "qcow2";
    if (h.backing) {
        /* The copy may be in another folder. */
        backing = snap_overlay_backing(path, &h);
        format = snap_printf("backing_fmt=%s",
                             h.backing_format ? h.backing_format : "raw");
        argv[n++] = "-B";
        argv[n++] = backing ? backing : h.backing;
        argv[n++] = "-o";
        argv[n++] = format;
    }
    argv[n++] = path;
    argv[n++] = target;
    argv[n] = NULL;
    rc = run_slow(log, argv, true, tick, opaque, err);

out:
    snap_qcow2_dispose(&h);
    free(backing);
    free(format);
    free(snapshot);
    return rc;
}

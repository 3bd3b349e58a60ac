/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Images that a plan has to refuse, one by one: to be frozen, to go back to,
 * and to be given up, with what reads through them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/mem.h"
#include "lib/run.h"
#include "tools/scene.h"

/* ---- what is in a header (qcow2.txt of QEMU) ---- */

#define SIZE_AT      24
#define CRYPT_AT     35 /* the last byte of which cipher */
#define FLAGS_AT     79 /* the last byte of the incompatible features */
#define CORRUPT      0x02
#define DATA_FILE    0x04
#define FORMAT_MAGIC "\xe2\x79\x2a\xca" /* of what the backing file is */

/* With the time of the last write as it was, as a disk that goes bad leaves
 * it. */
static void put(const char *path, off_t at, const void *bytes, size_t len)
{
    struct stat st;
    int fd = open(path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pwrite(fd, bytes, len, at), len);
    assert_int_equal(
        futimens(fd, (struct timespec[]){ st.st_atim, st.st_mtim }), 0);
    close(fd);
}

static void put_byte(const char *path, off_t at, unsigned char byte)
{
    put(path, at, &byte, 1);
}

/* As images of old are: QEMU makes none like that any more. */
static void forget_backing_format(const char *path)
{
    char head[512];
    const char *at;
    int fd = open(path, O_RDONLY);

    assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
    close(fd);
    at = memmem(head, sizeof(head), FORMAT_MAGIC, 4);
    assert_non_null(at);
    put_byte(path, at - head, 0x11);
}

static char *over(struct scene *f, const char *name, const char *base)
{
    char *path = scene_path(f, name);

    assert_int_equal(real_run("qemu-img", "create", "-q", "-u", "-f", "qcow2",
                              "-b", base, "-F", "qcow2", path, "1M", NULL),
                     0);
    return path;
}

/* ---- to be frozen ---- */

static void what_cannot_be_frozen(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.qcow2", "qcow2");

    put_byte(path, FLAGS_AT, CORRUPT);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_refuses(f, &p, SNAP_REFUSED, "a.qcow2 is marked corrupt");
    free(path);

    path = scene_path(f, "nothing.img");
    assert_int_equal(snap_file_write(path, "", 0, 0600, true, NULL), 0);
    scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    scene_refuses(f, &p, SNAP_REFUSED, "nothing.img is empty");
    free(path);
}

/* A tool that counts in bytes: QEMU of today says whole sectors of any. */
static void a_size_that_is_not_whole_sectors(void **state)
{
    static const char tool[] = "#!/bin/sh\n"
                               "echo '{\"virtual-size\":1000}'\n";
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.img", "raw"),
         *fake = scene_path(f, "qemu-img");

    assert_int_equal(
        snap_file_write(fake, tool, strlen(tool), 0700, true, NULL), 0);
    scene_ask(&p, "xvda", path, "raw", SNAP_DISK_EXTERNAL);
    snap_run_path_first = f->dir;
    scene_refuses(f, &p, SNAP_REFUSED, "1000 bytes, which are not whole");
    snap_run_path_first = NULL;
    free(fake);
    free(path);
}

/* access(2) asks for the one who called us, and root may write anywhere. */
static void a_folder_that_cannot_be_written_to(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.qcow2", "qcow2"),
         *dir = scene_path(f, "full"), *target = scene_path(f, "full/a.qcow2");
    bool root = !getuid();

    assert_int_equal(mkdir(dir, 0555), 0);
    assert_int_equal(chmod(f->dir, 0755), 0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    snap_set(&p.target, target);
    if (root)
        assert_int_equal(setresuid(65534, -1, -1), 0);
    scene_refuses(f, &p, SNAP_REFUSED, "full: Permission denied");
    if (root)
        assert_int_equal(setresuid(0, -1, -1), 0);
    free(target);
    free(dir);
    free(path);
}

/* ---- to go back to ---- */

static void is_damaged(struct scene *f, struct snap_part *p, const char *words)
{
    struct snap_err e = SNAP_ERR_INIT;
    int rc = p->drv->verify(&f->c, p, &e);

    if (rc != SNAP_CORRUPT || !strstr(e.msg, words))
        fail_msg("got %d \"%s\", want \"%s\"", rc, e.msg, words);
}

/* Nobody has written to it, by its time: its disk may have gone bad. */
static void a_frozen_image_that_is_damaged(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.qcow2", "qcow2");
    const unsigned char half[8] = { [5] = 0x08 }, whole[8] = { [5] = 0x10 };
    struct stat st;

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    DO(verify, &p);
    put_byte(path, FLAGS_AT, CORRUPT);
    is_damaged(f, &p, "a.qcow2 is marked corrupt");
    put_byte(path, FLAGS_AT, 0);

    put(path, SIZE_AT, half, sizeof(half));
    is_damaged(f, &p, "is a disk of 524288 bytes now and was one of 1048576");
    put(path, SIZE_AT, whole, sizeof(whole));
    DO(verify, &p);

    assert_int_equal(stat(path, &st), 0);
    put_byte(path, st.st_size, 0);
    is_damaged(f, &p, "bytes on disk");
    snap_part_dispose(&p);
    free(path);
}

static void an_image_with_a_snapshot_that_is_damaged(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = scene_image(f, "a.qcow2", "qcow2");

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_take(f, &p);
    DO(verify, &p);
    put_byte(path, FLAGS_AT, CORRUPT);
    is_damaged(f, &p, "a.qcow2 is marked corrupt");
    snap_part_dispose(&p);
    free(path);
}

/* ---- to be given up ---- */

/* The plan is refused with this code and words, and nothing was changed.  also:
 * one more image that somebody has named, or NULL. */
static void keeps(struct scene *f, struct snap_part *p, const char *also,
                  int rc, const char *words)
{
    struct snap_delete d = { .leaf = snap_strdup(p->active_path),
                             .may_merge = true };
    struct snap_err e = SNAP_ERR_INIT;
    char *before = real_dir_digest(f->dir), *after;
    int got;

    scene_know(&d, p->active_path, "qcow2", false);
    if (also)
        scene_know(&d, also, "qcow2", false);
    got = p->drv->delete_plan(&f->c, p, &d, &e);
    if (got != rc || !strstr(e.msg, words))
        fail_msg("got %d \"%s\", want %d \"%s\"", got, e.msg, rc, words);
    after = real_dir_digest(f->dir);
    assert_string_equal(before, after);
    free(before);
    free(after);
    snap_delete_dispose(&d);
}

static char *frozen(struct scene *f, struct snap_part *p)
{
    char *path = scene_image(f, "a.qcow2", "qcow2");

    real_image_write(path, "qcow2", 0, 1);
    scene_ask(p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, p);
    return path;
}

/* What is moved into it would be lost, or could be read by all. */
static void a_child_that_takes_no_data(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = frozen(f, &p);

    put_byte(p.active_path, FLAGS_AT, CORRUPT);
    keeps(f, &p, NULL, SNAP_REFUSED, "is marked corrupt");
    put_byte(p.active_path, FLAGS_AT, DATA_FILE);
    keeps(f, &p, NULL, SNAP_UNSUPPORTED, "keeps its data in another file");
    put_byte(p.active_path, FLAGS_AT, 0);
    put_byte(p.active_path, CRYPT_AT, 1);
    keeps(f, &p, NULL, SNAP_UNSUPPORTED, "is encrypted");
    snap_part_dispose(&p);
    free(path);
}

/* Its child would be put over what is below, as of a format that a guest
 * chooses. */
static void a_base_that_does_not_say_its_format(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *gold = scene_image(f, "gold.qcow2", "qcow2"),
         *path = over(f, "a.qcow2", gold);

    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    forget_backing_format(path);
    keeps(f, &p, NULL, SNAP_REFUSED, "a.qcow2 does not say which file");
    snap_part_dispose(&p);
    free(path);
    free(gold);
}

/* ---- what reads through it by the name of a link ---- */

static char *link_to(struct scene *f, const char *content, const char *name)
{
    char *path = scene_path(f, name);

    assert_int_equal(symlink(content, path), 0);
    return path;
}

static void folder(struct scene *f, const char *name)
{
    char *path = scene_path(f, name);

    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
}

/* The image is where nobody looks, and the link beside the frozen one. */
static void a_child_behind_a_link(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = frozen(f, &p), *child, *link;

    folder(f, "far");
    child = over(f, "far/child.qcow2", path);
    link = link_to(f, "far/child.qcow2", "link.qcow2");
    keeps(f, &p, NULL, SNAP_REFUSED, "link.qcow2 looks like an image over");
    free(link);
    free(child);
    snap_part_dispose(&p);
    free(path);
}

/* It names its base from the folder of the link, by which QEMU opens it. */
static void a_child_by_the_folder_of_its_link(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = frozen(f, &p), *child, *link;

    folder(f, "far");
    child = over(f, "far/child.qcow2", "a.qcow2");
    link = link_to(f, "far/child.qcow2", "link.qcow2");
    keeps(f, &p, NULL, SNAP_REFUSED, "link.qcow2 looks like an image over");
    keeps(f, &p, link, SNAP_REFUSED, "cannot be told from its header");
    free(link);
    free(child);
    snap_part_dispose(&p);
    free(path);
}

/* Or from its own, and what is known is a link that is elsewhere. */
static void a_child_by_its_own_folder(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = frozen(f, &p), *child, *link;

    folder(f, "far");
    folder(f, "other");
    folder(f, "other/deep");
    child = over(f, "far/child.qcow2", "../a.qcow2");
    link = link_to(f, "../../far/child.qcow2", "other/deep/link.qcow2");
    keeps(f, &p, link, SNAP_REFUSED, "cannot be told from its header");
    free(link);
    free(child);
    snap_part_dispose(&p);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(what_cannot_be_frozen),
        SCENE_TEST(a_size_that_is_not_whole_sectors),
        SCENE_TEST(a_folder_that_cannot_be_written_to),
        SCENE_TEST(a_frozen_image_that_is_damaged),
        SCENE_TEST(an_image_with_a_snapshot_that_is_damaged),
        SCENE_TEST(a_child_that_takes_no_data),
        SCENE_TEST(a_base_that_does_not_say_its_format),
        SCENE_TEST(a_child_behind_a_link),
        SCENE_TEST(a_child_by_the_folder_of_its_link),
        SCENE_TEST(a_child_by_its_own_folder),
    };

    return SCENE_MAIN("images that a plan refuses", tests);
}

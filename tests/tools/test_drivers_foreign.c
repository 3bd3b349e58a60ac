/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What lies beside our images and is not ours: a guest's raw disk that begins
 * like an overlay, overlays that other tools made, under every name that a
 * header can have for its backing file.  None of it is ever written to.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/file/image_protect.h"
#include "disk/format/qcow2_header.h"
#include "disk/qemu/overlay_chain.h"
#include "disk/qemu/overlay_search.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "tools/scene.h"

/* A guest's raw disk: what mkimg() made at path, with a tail of zeros, as it
 * would look from inside of a guest that wrote it there. */
static char *guest_disk(struct scene *f, const char *backing,
                        const char *data_file)
{
    char *raw = scene_path(f, "attacker.raw"),
         *opt = data_file ? snap_printf("data_file=%s", data_file)
                          : snap_strdup("compat=1.1");

    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-u",
                              "-b", backing, "-F", "qcow2", "-o", opt, raw,
                              "4M", NULL),
                     0);
    free(opt);
    assert_int_equal(truncate(raw, 8 << 20), 0);
    return raw;
}

/* The image a.qcow2 with data, frozen, and the domain off. */
static char *frozen(struct scene *f, struct snap_part *p)
{
    char *path = scene_image(f, "a.qcow2", "qcow2");

    real_image_write(path, "qcow2", 0, 1);
    scene_ask(p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, p);
    return path;
}

static void ask_delete(struct snap_delete *d, const struct snap_part *p)
{
    memset(d, 0, sizeof(*d));
    d->leaf = snap_strdup(p->active_path);
    scene_know(d, p->active_path, "qcow2", false);
    scene_know(d, p->frozen_path, p->frozen_format, true);
}

/* As op/ would: plan, then pull into every child that was found. */
static int delete_all(struct scene *f, struct snap_part *p,
                      struct snap_delete *d, struct snap_err *e)
{
    int rc = p->drv->delete_plan(&f->c, p, d, e);
    size_t i;

    for (i = 0; !rc && d->how == SNAP_DELETE_PULL && i < d->n_child; i++)
        rc = p->drv->pull(&f->c, p, d, i, e);
    return rc;
}

static void a_guests_header(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = frozen(f, &p), *host = scene_path(f, "hostfile"), *raw;
    char *before, *after;
    int rc;

    raw = guest_disk(f, path, host);
    /* What was in the host's file before a guest named it. */
    assert_int_equal(real_run("sh", "-c",
                              "printf '%s' 'nineteen bytes here' "
                              "> \"$0\"",
                              host, NULL),
                     0);
    before = real_dir_digest(f->dir);
    ask_delete(&d, &p);
    rc = delete_all(f, &p, &d, &e);
    after = real_dir_digest(f->dir);
    assert_string_equal(before, after);
    assert_int_equal(rc, SNAP_REFUSED);
    assert_non_null(strstr(e.msg, raw));
    assert_non_null(strstr(e.msg, "move it"));
    snap_delete_dispose(&d);
    free(before);
    free(after);
    free(raw);
    free(host);
    snap_part_dispose(&p);
    free(path);
}

/* The same disk, and somebody says that it is raw: then it is no child, and
 * in nobody's way. */
static void a_raw_disk_that_is_known(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = frozen(f, &p), *raw = guest_disk(f, path, NULL);
    const unsigned char want[1] = { 1 };
    char before[512], after[512];
    int fd = open(raw, O_RDONLY);

    assert_int_equal(pread(fd, before, 512, 0), 512);
    ask_delete(&d, &p);
    scene_know(&d, raw, "raw", false);
    scene_ok(delete_all(f, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_PULL);
    assert_int_equal(d.n_child, 1);
    assert_string_equal(d.child[0].path, p.active_path);
    assert_int_equal(pread(fd, after, 512, 0), 512);
    assert_memory_equal(before, after, 512);
    close(fd);
    assert_true(real_image_has(p.active_path, "qcow2", want, 1));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(raw);
    free(path);
}

/* Called raw by one and qcow2 by another: nobody knows, nothing is done. */
static void said_to_be_both(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = frozen(f, &p), *raw = guest_disk(f, path, NULL);

    ask_delete(&d, &p);
    scene_know(&d, raw, "raw", false);
    scene_know(&d, raw, "qcow2", true);
    assert_int_equal(p.drv->delete_plan(&f->c, &p, &d, &e), SNAP_REFUSED);
    assert_non_null(strstr(e.msg, raw));
    snap_delete_dispose(&d);
    snap_part_dispose(&p);
    free(raw);
    free(path);
}

/* The overlay that is laid over a.qcow2 by this name for it; unlinked by the
 * caller. */
static void lay_over(const char *over, const char *name)
{
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-u",
                              "-b", name, "-F", "qcow2", over, "1M", NULL),
                     0);
}

/* Whoever would unlink or change the image hears of the overlay, and so does
 * the plan of a deletion, whether anybody knows the overlay or not. */
static void is_seen(struct scene *f, struct snap_part *p, const char *over,
                    const char *name)
{
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *who;
    size_t i, seen = 0;
    int rc;

    lay_over(over, name);
    who = snap_overlay_child(p->frozen_path);
    if (!who)
        fail_msg("%s: not seen", name);
    free(who);
    ask_delete(&d, p);
    rc = p->drv->delete_plan(&f->c, p, &d, &e);
    if (rc != SNAP_REFUSED || !strstr(e.msg, over))
        fail_msg("%s: %d %s", name, rc, e.msg);
    snap_delete_dispose(&d);
    ask_delete(&d, p);
    scene_know(&d, over, "qcow2", false);
    snap_err_clear(&e);
    rc = p->drv->delete_plan(&f->c, p, &d, &e);
    for (i = 0; i < d.n_child; i++)
        seen += snap_same_file(d.child[i].path, over);
    if (rc ? rc != SNAP_REFUSED || !strstr(e.msg, over) : seen != 1)
        fail_msg("%s, known: %d %s", name, rc, e.msg);
    snap_delete_dispose(&d);
    assert_int_equal(unlink(over), 0);
}

static void by_every_name(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = frozen(f, &p), *over = scene_path(f, "o,v er:1.qcow2");
    char *link_name = scene_path(f, "li nk"), *hard = scene_path(f, "hard:x");
    const char *folder = snap_basename(f->dir);
    char *names[] = {
        snap_strdup(path),
        snap_strdup("a.qcow2"),
        snap_strdup("./a.qcow2"),
        snap_strdup(".//./a.qcow2"),
        snap_printf("../%s/a.qcow2", folder),
        snap_printf("%s/../%s/a.qcow2", f->dir, folder),
        snap_printf("file:%s", path),
        snap_printf("file:///%s", path),
        snap_strdup("file:a.qcow2"),
        snap_printf("json:{\"driver\":\"qcow2\",\"file\":{\"driver\":"
                    "\"file\",\"filename\":\"%s\"}}",
                    path),
        snap_printf("json:{\"file.driver\":\"file\",\"file.filename\":\"%s\"}",
                    path),
        snap_printf("json:{\"driver\":\"raw\",\"offset\":0,\"file\":{"
                    "\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\","
                    "\"filename\":\"%s\"}}}",
                    path),
        snap_printf("json:{'driver':'qcow2','file.filename':'%s'}", path),
        snap_printf("blkdebug::%s", path),
        snap_strdup("li nk"),
        snap_strdup(link_name),
        snap_strdup("./hard:x"),
        snap_strdup(hard),
    };
    size_t i;

    assert_int_equal(symlink("a.qcow2", link_name), 0);
    assert_int_equal(link(path, hard), 0);
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        is_seen(f, &p, over, names[i]);
        free(names[i]);
    }
    free(over);
    free(link_name);
    free(hard);
    snap_part_dispose(&p);
    free(path);
}

/* A link in our folder to an image in another: it is one of the folder's. */
static void an_image_behind_a_link(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = frozen(f, &p), *far = real_dir_make(), *over, *entry, *who;

    over = snap_printf("%s/far.qcow2", far);
    entry = scene_path(f, "entry.qcow2");
    lay_over(over, path);
    assert_int_equal(symlink(over, entry), 0);
    who = snap_overlay_child(path);
    assert_non_null(who);
    free(who);
    real_dir_remove(far);
    free(far);
    free(over);
    free(entry);
    snap_part_dispose(&p);
    free(path);
}

/* What begins like an image and cannot be read may be over it. */
static void what_cannot_be_told(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = frozen(f, &p), *odd = scene_path(f, "odd.qcow2"), *who;
    unsigned char version = 4;
    int fd;

    lay_over(odd, "b.qcow2");
    who = snap_overlay_child(p.active_path);
    assert_null(who);
    fd = open(odd, O_WRONLY);
    assert_int_equal(pwrite(fd, &version, 1, 7), 1);
    close(fd);
    who = snap_overlay_child(p.active_path);
    assert_non_null(who);
    free(who);
    free(odd);
    snap_part_dispose(&p);
    free(path);
}

/* A folder's name tells nothing about what is in it. */
static void a_folder_called_like_dev(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *path = frozen(f, &p), *far = snap_strdup("/dev/shm/xlsnap-XXXXXX");
    char *over, *base;
    struct snap_part q = { .vdev = NULL };
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;

    if (!mkdtemp(far)) {
        printf("# SKIP images below /dev: /dev/shm cannot be written to\n");
        goto out;
    }
    base = snap_printf("%s/b.qcow2", far);
    over = snap_printf("%s/over.qcow2", far);
    assert_int_equal(
        real_run("qemu-img", "create", "-q", "-f", "qcow2", base, "1M", NULL),
        0);
    scene_ask(&q, "xvda", base, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &q);
    lay_over(over, base);
    ask_delete(&d, &q);
    assert_int_equal(q.drv->delete_plan(&f->c, &q, &d, &e), SNAP_REFUSED);
    assert_non_null(strstr(e.msg, over));
    snap_delete_dispose(&d);
    snap_part_dispose(&q);
    real_dir_remove(far);
    free(base);
    free(over);
out:
    free(far);
    snap_part_dispose(&p);
    free(path);
}

/* The plan is written down, so its names must be such as can be. */
static void names_for_the_journal(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *gold = scene_image(f, "gold.qcow2", "qcow2"), *path, *name, *odd;
    static const char *const bad[] = { "new\nline.qcow2", "\xff\xfe.qcow2" };
    size_t i;

    path = scene_path(f, "a.qcow2");
    name = snap_printf("%s/../%s/gold.qcow2", f->dir, snap_basename(f->dir));
    lay_over(path, name);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    ask_delete(&d, &p);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_true(snap_path_ok(d.parent));
    assert_true(snap_same_file(d.parent, gold));
    snap_delete_dispose(&d);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        odd = scene_path(f, bad[i]);
        assert_false(snap_path_ok(odd));
        lay_over(odd, path);
        ask_delete(&d, &p);
        scene_know(&d, odd, "qcow2", false);
        snap_err_clear(&e);
        assert_int_equal(p.drv->delete_plan(&f->c, &p, &d, &e), SNAP_REFUSED);
        assert_non_null(strstr(e.msg, "rename"));
        snap_delete_dispose(&d);
        assert_int_equal(unlink(odd), 0);
        free(odd);
    }
    snap_part_dispose(&p);
    free(name);
    free(gold);
    free(path);
}

/* A raw base is not walked into, whatever a guest wrote there. */
static void a_raw_base_is_the_bottom(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    unsigned depth = 0;
    char *raw = guest_disk(f, "/nowhere/nested.qcow2", NULL);
    char *path = scene_path(f, "a.qcow2"), *none;

    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-b",
                              raw, "-F", "raw", path, NULL),
                     0);
    assert_int_equal(snap_overlay_depth(path, &depth, NULL), 0);
    assert_int_equal(depth, 2);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    DO(verify, &p);
    snap_part_dispose(&p);
    /* One that is not there is missed all the same. */
    none = scene_path(f, "c.qcow2");
    assert_int_equal(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-u",
                              "-b", "/nowhere/none.raw", "-F", "raw", none,
                              "1M", NULL),
                     0);
    assert_int_equal(snap_overlay_depth(none, &depth, NULL), SNAP_NOTFOUND);
    free(none);
    free(raw);
    free(path);
}

/* The overlay would name the image by its own path, and its relative backing
 * file would be another one there. */
static void a_link_and_a_relative_name(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    char *far = real_dir_make(), *image = snap_printf("%s/a.qcow2", far);
    char *gold = scene_image(f, "gold.qcow2", "qcow2");
    char *path = scene_path(f, "a.qcow2"), *other;

    lay_over(image, "gold.qcow2");
    assert_int_equal(symlink(image, path), 0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_refuses(f, &p, SNAP_REFUSED, "whole path");
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_INTERNAL);
    scene_refuses(f, &p, SNAP_REFUSED, "whole path");
    other = snap_printf("%s/gold.qcow2", far);
    assert_int_equal(
        real_run("qemu-img", "create", "-q", "-f", "qcow2", other, "1M", NULL),
        0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_refuses(f, &p, SNAP_REFUSED, "whole path");
    /* The same file by both: fine. */
    assert_int_equal(unlink(other), 0);
    assert_int_equal(symlink(gold, other), 0);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    DO(verify, &p);
    snap_part_dispose(&p);
    real_dir_remove(far);
    free(far);
    free(other);
    free(image);
    free(gold);
    free(path);
}

/* What other tools put inside goes with the image; so the image stays. */
static void somebody_elses_snapshot_inside(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = scene_image(f, "a.qcow2", "qcow2");
    unsigned char one[1] = { 1 }, two[1] = { 2 };

    real_image_write(path, "qcow2", 0, 1);
    assert_int_equal(
        real_run("qemu-img", "snapshot", "-c", "mine", path, NULL), 0);
    real_image_write(path, "qcow2", 0, 2);
    scene_ask(&p, "xvda", path, "qcow2", SNAP_DISK_EXTERNAL);
    scene_take(f, &p);
    ask_delete(&d, &p);
    scene_ok(delete_all(f, &p, &d, &e), &e);
    assert_int_equal(d.how, SNAP_DELETE_PULL);
    assert_true(d.keep_image);
    snap_delete_dispose(&d);
    /* Whoever would remove it all the same is told by the image. */
    DO(remove, &p);
    assert_true(snap_file_exists(path));
    assert_false(snap_image_protected(path));
    assert_true(real_image_has(p.active_path, "qcow2", two, 1));
    assert_int_equal(
        real_run("qemu-img", "snapshot", "-a", "mine", path, NULL), 0);
    assert_true(real_image_has(path, "qcow2", one, 1));
    snap_part_dispose(&p);
    free(path);
}

/* Immutable, and not by a snapshot of ours: another store's. */
static void a_child_that_others_froze(void **state)
{
    struct scene *f = *state;
    struct snap_part p;
    struct snap_delete d;
    struct snap_err e = SNAP_ERR_INIT;
    char *path = frozen(f, &p);

    if (snap_image_protect(p.active_path, &e)) {
        printf("# SKIP images that others froze: %s\n", e.msg);
        goto out;
    }
    ask_delete(&d, &p);
    assert_int_equal(p.drv->delete_plan(&f->c, &p, &d, &e), SNAP_REFUSED);
    assert_non_null(strstr(e.msg, "another store"));
    scene_know(&d, p.active_path, "qcow2", true);
    snap_delete_dispose(&d);
    ask_delete(&d, &p);
    scene_know(&d, p.active_path, "qcow2", true);
    snap_err_clear(&e);
    scene_ok(p.drv->delete_plan(&f->c, &p, &d, &e), &e);
    assert_true(d.child[0].protect);
    snap_delete_dispose(&d);
out:
    snap_part_dispose(&p);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_guests_header),
        SCENE_TEST(a_raw_disk_that_is_known),
        SCENE_TEST(said_to_be_both),
        SCENE_TEST(by_every_name),
        SCENE_TEST(an_image_behind_a_link),
        SCENE_TEST(what_cannot_be_told),
        SCENE_TEST(a_folder_called_like_dev),
        SCENE_TEST(names_for_the_journal),
        SCENE_TEST(a_raw_base_is_the_bottom),
        SCENE_TEST(a_link_and_a_relative_name),
        SCENE_TEST(somebody_elses_snapshot_inside),
        SCENE_TEST(a_child_that_others_froze),
    };

    return SCENE_MAIN("what lies beside our images", tests);
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Who stands on a snapshot (op/neighbours.c), asked of real images: a clone
 * that runs or not is found by its folder and by its images' headers, and is
 * no clone once the images are gone.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "disk/drivers.h"
#include "fakes/fake_hyp.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/neighbours.h"
#include "op/parts.h"
#include "store/state.h"
#include "tools/real_dir.h"
#include "tools/real_qemu.h"

#define GOLD  "11111111-2222-4333-8444-555555555501"
#define CLONE "11111111-2222-4333-8444-555555555502"
#define OTHER "11111111-2222-4333-8444-555555555503"
#define ID    "0123456789abcdef0123456789abcdef"

static char *dir, *root, *base, *leaf, *far, *far_dir;
static struct snap_env env;
static struct snap_part part;
static struct snap_record rec;
static char said[1024];

static void on_log(void *opaque, enum snap_level level, const char *msg)
{
    size_t len = strlen(said);

    (void)opaque;
    if (level >= SNAP_LOG_NOTE)
        snprintf(said + len, sizeof(said) - len, "%s\n", msg);
}

static const struct snap_log logger = { .fn = on_log };

static void tool_ok(int status)
{
    assert_int_equal(status, 0);
}

/* A domain's folder with one disk; origin: it is a clone. */
static void put_state(const char *uuid, const char *name, const char *path,
                      const char *format, bool origin)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state st = { 0 };
    struct snap_err err = SNAP_ERR_INIT;

    st.domain_name = snap_strdup(name);
    if (origin) {
        st.origin.uuid = snap_strdup(GOLD);
        st.origin.domain = snap_strdup("gold");
        st.origin.name = snap_strdup("s1");
        st.origin.id = snap_strdup(ID);
    }
    snap_state_set_leaf(&st, "xvda",
                        (struct snap_object){ .id = path, .format = format },
                        NULL, true);
    if (snap_store_open(&s, root, uuid, true, &err) ||
        snap_state_save(&s, &st, &err))
        fail_msg("%s", err.msg);
    snap_state_dispose(&st);
    snap_store_close(&s);
}

static int set_up(void **state)
{
    (void)state;
    said[0] = '\0';
    dir = real_dir_make();
    root = snap_printf("%s/store", dir);
    base = snap_printf("%s/base.qcow2", dir);
    leaf = snap_printf("%s/leaf.qcow2", dir);
    far_dir = snap_printf("%s/far", dir);
    far = snap_printf("%s/leaf.qcow2", far_dir);
    if (mkdir(root, 0700) || mkdir(far_dir, 0700))
        return -1;
    fake_world_current = fake_world_new();
    env = (struct snap_env){
        .ops = &fake_hyp_ops,
        .drivers = snap_disk_drivers,
        .store_root = root,
        .log = &logger,
    };
    tool_ok(env.ops->open(NULL, &env.hyp, NULL));
    tool_ok(
        real_run("qemu-img", "create", "-q", "-f", "qcow2", base, "1M", NULL));
    tool_ok(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2",
                     "-b", base, leaf, NULL));
    part = (struct snap_part){
        .vdev = (char *)"xvda",
        .drv = &snap_disk_overlay,
        .type = SNAP_DISK_EXTERNAL,
        .frozen_path = base,
        .frozen_format = (char *)"qcow2",
    };
    memset(&rec, 0, sizeof(rec));
    rec.id = (char *)ID;
    memcpy(rec.domain_uuid, GOLD, 37);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    env.ops->close(env.hyp);
    fake_world_free(fake_world_current);
    real_run("rm", "-rf", root, far_dir, NULL);
    real_dir_remove(dir);
    snap_free(&dir);
    snap_free(&root);
    snap_free(&base);
    snap_free(&leaf);
    snap_free(&far);
    snap_free(&far_dir);
    return 0;
}

/* As a deletion of gold's snapshot asks. */
static int ask(char msg[SNAP_ERR_MAX])
{
    int rc;
    struct snap_clone *cs = NULL;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_disk_ctx ctx;
    size_t n = 0;

    snap_ctx_init(&ctx, &env, UINT32_MAX, NULL, "op");
    rc = snap_clones_load(&env, GOLD, &cs, &n, &err);
    if (!rc)
        rc = snap_clones_stand_on(&ctx, cs, n, &part, &err);
    snap_clones_free(&cs, &n);
    snprintf(msg, SNAP_ERR_MAX, "%s", err.msg);
    return rc;
}

/* As snapshot-info does. */
static unsigned living(void)
{
    struct snap_clone *cs = NULL;
    struct snap_err err = SNAP_ERR_INIT;
    size_t n = 0, i;
    unsigned count = 0;

    if (snap_clones_look(&env, GOLD, &cs, &n, &err))
        fail_msg("%s", err.msg);
    for (i = 0; i < n; i++)
        count += snap_clone_is_of(&cs[i], &rec);
    snap_clones_free(&cs, &n);
    return count;
}

static void nobody(void **state)
{
    char msg[SNAP_ERR_MAX];

    (void)state;
    assert_int_equal(ask(msg), 0);
    assert_int_equal(living(), 0);
}

static void named_until_it_ends(void **state)
{
    char msg[SNAP_ERR_MAX];

    (void)state;
    put_state(CLONE, "web2", leaf, "qcow2", true);
    put_state(OTHER, "idle", base, "raw", false);
    assert_int_equal(ask(msg), SNAP_REFUSED);
    assert_non_null(strstr(msg, "clone web2"));
    assert_non_null(strstr(msg, leaf));
    assert_null(strstr(msg, "idle"));
    assert_int_equal(living(), 1);
    assert_int_equal(unlink(leaf), 0);
    assert_int_equal(ask(msg), 0);
    assert_int_equal(living(), 0);
}

/* The way out that the message names. */
static void stands_alone(void **state)
{
    char msg[SNAP_ERR_MAX];

    (void)state;
    put_state(CLONE, "web2", leaf, "qcow2", true);
    tool_ok(real_run("qemu-img", "rebase", "-q", "-f", "qcow2", "-b", "", leaf,
                     NULL));
    assert_int_equal(ask(msg), 0);
}

/* A clone of the clone's snapshot: two levels above, in another folder. */
static void at_any_depth(void **state)
{
    char msg[SNAP_ERR_MAX];

    (void)state;
    tool_ok(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2",
                     "-b", "../leaf.qcow2", "-u", far, "1M", NULL));
    put_state(OTHER, "web3", far, "qcow2", false);
    assert_int_equal(ask(msg), SNAP_REFUSED);
    assert_non_null(strstr(msg, "domain web3"));
}

/* Nobody knows what is on a disk that is not mounted. */
static void a_folder_that_is_missing(void **state)
{
    char msg[SNAP_ERR_MAX];
    char *other = snap_printf("%s/other", far_dir);

    (void)state;
    put_state(CLONE, "web2", far, "qcow2", true);
    assert_int_equal(snap_file_write(other, "", 0, 0600, false, NULL), 0);
    assert_int_equal(ask(msg), 0);
    assert_int_equal(living(), 0);
    /* So a mount point looks on which nothing is mounted. */
    assert_int_equal(unlink(other), 0);
    free(other);
    assert_int_equal(ask(msg), SNAP_REFUSED);
    assert_non_null(strstr(msg, "is empty"));
    assert_int_equal(living(), 1);
    assert_int_equal(rmdir(far_dir), 0);
    assert_int_equal(ask(msg), SNAP_REFUSED);
    assert_non_null(strstr(msg, "web2"));
    assert_non_null(strstr(msg, CLONE));
    assert_int_equal(living(), 1);
    /* If it is no clone it has nothing to do with us. */
    put_state(CLONE, "web2", far, "qcow2", false);
    assert_int_equal(ask(msg), 0);
}

/* Whatever lies in a mount point on which nothing is mounted. */
static void a_file_system_that_is_not_mounted(void **state)
{
    char msg[SNAP_ERR_MAX];
    char *other = snap_printf("%s/README", far_dir);

    (void)state;
    assert_int_equal(snap_file_write(other, "", 0, 0600, false, NULL), 0);
    free(other);
    /* What is mounted here goes with us. */
    if (unshare(CLONE_NEWNS) ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
        printf("# SKIP clones: nothing can be mounted\n");
        skip();
    }
    assert_int_equal(mount("none", far_dir, "tmpfs", 0, NULL), 0);
    put_state(CLONE, "web2", far, "qcow2", true);
    assert_int_equal(ask(msg), SNAP_REFUSED); /* it is empty */
    assert_int_equal(umount(far_dir), 0);
    assert_int_equal(ask(msg), SNAP_REFUSED);
    assert_non_null(strstr(msg, far_dir));
    assert_non_null(strstr(msg, "mount"));
    assert_int_equal(living(), 1);
    /* An image that was moved to where the mount point is. */
    tool_ok(
        real_run("qemu-img", "create", "-q", "-f", "qcow2", far, "1M", NULL));
    assert_int_equal(ask(msg), 0);
    assert_int_equal(unlink(far), 0);
}

/* Its folder in the store was moved, and a link left: nobody follows it, and
 * what is behind it is not nothing. */
static void a_store_folder_that_is_a_link(void **state)
{
    char msg[SNAP_ERR_MAX];
    char *folder = snap_printf("%s/" CLONE, root);
    char *moved = snap_printf("%s/moved", far_dir);

    (void)state;
    put_state(CLONE, "web2", leaf, "qcow2", true);
    assert_int_equal(rename(folder, moved), 0);
    assert_int_equal(symlink(moved, folder), 0);
    assert_int_equal(ask(msg), SNAP_REFUSED);
    assert_non_null(strstr(msg, folder));
    assert_non_null(strstr(msg, "is a symbolic link"));
    said[0] = '\0';
    assert_int_equal(living(), 0);
    assert_non_null(strstr(said, "whether domain " CLONE " is a clone"));
    free(folder);
    free(moved);
}

/* Below what is missing may be anything. */
static void a_chain_with_a_hole(void **state)
{
    char msg[SNAP_ERR_MAX];

    (void)state;
    tool_ok(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2",
                     "-b", "../none.qcow2", "-u", far, "1M", NULL));
    put_state(CLONE, "web2", far, "qcow2", true);
    assert_int_equal(ask(msg), SNAP_REFUSED);
    assert_non_null(strstr(msg, "none.qcow2"));
    assert_int_equal(truncate(far, 3), 0);
    assert_int_equal(ask(msg), SNAP_REFUSED);
    assert_non_null(strstr(msg, "web2"));
}

/* What a guest wrote into a raw image is no header. */
static void what_a_guest_says(void **state)
{
    char msg[SNAP_ERR_MAX];

    (void)state;
    put_state(OTHER, "evil", leaf, "raw", false);
    assert_int_equal(ask(msg), 0);
    tool_ok(real_run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw",
                     "-b", leaf, "-u", far, "1M", NULL));
    put_state(OTHER, "evil", far, "qcow2", false);
    assert_int_equal(ask(msg), 0);
}

static void damage(void **state)
{
    char msg[SNAP_ERR_MAX], *path;

    (void)state;
    put_state(CLONE, "web2", leaf, "qcow2", true);
    path = snap_printf("%s/" CLONE "/state.json", root);
    assert_int_equal(snap_file_write(path, "{", 1, 0600, false, NULL), 0);
    assert_int_equal(ask(msg), SNAP_REFUSED);
    assert_non_null(strstr(msg, CLONE));
    assert_int_equal(living(), 0);
    assert_non_null(strstr(said, CLONE));
    free(path);
}

/* A name is free again when the clone of that name has ended, and the folder
 * of that one goes; a dry run only asks. */
static void a_name(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    char *path = snap_printf("%s/" CLONE, root);

    (void)state;
    put_state(CLONE, "web2", leaf, "qcow2", true);
    put_state(OTHER, "other", far, "qcow2", false);
    assert_int_equal(snap_clones_name_free(&env, "web1", NULL, false, &err),
                     0);
    assert_int_equal(snap_clones_name_free(&env, "web2", NULL, false, &err),
                     SNAP_EXISTS);
    assert_non_null(strstr(err.msg, CLONE));
    snap_err_clear(&err);
    assert_int_equal(snap_clones_name_free(&env, "other", NULL, false, &err),
                     SNAP_EXISTS);
    snap_err_clear(&err);
    assert_int_equal(unlink(leaf), 0);
    assert_int_equal(snap_clones_name_free(&env, "web2", NULL, true, &err), 0);
    assert_true(snap_file_exists(path));
    assert_int_equal(snap_clones_name_free(&env, "web2", NULL, false, &err),
                     0);
    assert_false(snap_file_exists(path));
    free(path);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nobody),
        T(named_until_it_ends),
        T(stands_alone),
        T(at_any_depth),
        T(a_folder_that_is_missing),
        T(a_file_system_that_is_not_mounted),
        T(a_store_folder_that_is_a_link),
        T(a_chain_with_a_hole),
        T(what_a_guest_says),
        T(damage),
        T(a_name),
    };
    const char *missing = real_qemu_missing();

    if (missing) {
        printf("1..0 # SKIP clones: %s is not installed\n", missing);
        return 0;
    }
    return cmocka_run_group_tests_name("clones", tests, NULL, NULL);
}

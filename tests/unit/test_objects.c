/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * One object under two names: a volume and its device, an image and a link to
 * it.  Who asks whether two are the same asks the drivers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/check.h"
#include "fakes/fake_disk_int.h"
#include "fakes/fake_host.h"
#include "lib/mem.h"
#include "lib/sample.h"
#include "model/disk_object.h"
#include "op/leaves.h"
#include "store/state.h"
#include "store/store.h"

#define OLD_LEAVES                                        \
    "[{\"vdev\":\"xvda\",\"leaf_path\":\"/img/a.qcow2\"," \
    "\"leaf_format\":\"qcow2\",\"drop_path\":null}]"
#define OTHER_UUID "22222222-2222-3333-4444-555555555555"

static struct fake_host host;

static int tear_down(void **state)
{
    (void)state;
    fake_host_dispose(&host);
    return 0;
}

static void run(fake_op *op, void *req, struct fake_outcome *out)
{
    fake_host_run(&host, op, req, DOOM_NONE, 0, 0, out);
}

static void done(fake_op *op, void *req)
{
    struct fake_outcome out;

    run(op, req, &out);
    if (out.rc)
        fail_msg("%s", out.msg);
}

static struct snap_create_req ask(const char *domain, const char *name)
{
    return (struct snap_create_req){ .domain = (char *)domain,
                                     .name = (char *)name,
                                     .live = -1,
                                     .no_wait = true,
                                     .memory = SNAP_MEM_NO };
}

static void create(const char *domain, const char *name,
                   enum snap_disk_type type)
{
    struct snap_create_req req = ask(domain, name);

    req.type = type;
    done(fake_host_create, &req);
}

static void delete (const char *name, struct fake_outcome *out)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)name,
                                   .no_wait = true };

    run(fake_host_delete, &req, out);
}

static void revert(const char *name)
{
    struct snap_revert_req req = { .domain = (char *)"vm1",
                                   .name = (char *)name,
                                   .no_wait = true };

    done(fake_host_revert, &req);
}

/* vm1 goes, and comes again with these disks. */
static void starts_with(const char *const *disks)
{
    fake_host_stop(&host);
    fake_domain_add(host.world, "vm1", FAKE_UUID, disks);
}

static void load_state(const char *uuid, struct snap_state *st)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_err err = SNAP_ERR_INIT;

    if (snap_store_open(&s, host.root, uuid, false, &err) ||
        snap_state_load(&s, st, &err))
        fail_msg("%s", err.msg);
    snap_store_close(&s);
}

/* ---- which is which ---- */

static bool same(struct snap_object a, struct snap_object b)
{
    const struct snap_disk_driver *const *d = sample_drivers;
    bool yes = snap_object_same(d, a, b);

    assert_int_equal(yes, snap_object_same(d, b, a));
    return yes;
}

static struct snap_object file(const char *path)
{
    return snap_object_file(path);
}

static void files_by_inode(void **state)
{
    char dir[] = "/tmp/snap-objects-XXXXXX";
    char *image, *alias, *other, *cmd;

    (void)state;
    assert_non_null(mkdtemp(dir));
    image = snap_printf("%s/image", dir);
    alias = snap_printf("%s/alias", dir);
    other = snap_printf("%s/other", dir);
    assert_true(same(file(image), file(image)));
    assert_false(same(file(image), file(alias)));
    assert_false(same(file(image), file(NULL)));
    assert_false(same(file(NULL), file(NULL)));
    cmd = snap_printf("touch %s %s", image, other);
    assert_int_equal(system(cmd), 0);
    free(cmd);
    assert_int_equal(symlink(image, alias), 0);
    assert_true(same(file(image), file(alias)));
    assert_false(same(file(image), file(other)));
    unlink(alias);
    assert_int_equal(link(image, alias), 0);
    assert_true(same(file(image), file(alias)));
    cmd = snap_printf("rm -r %s", dir);
    assert_int_equal(system(cmd), 0);
    free(cmd);
    free(image);
    free(alias);
    free(other);
}

/* What no driver knows is told by its kind and name. */
static void kinds_apart(void **state)
{
    const struct snap_object a = { "lvm", "vg/lv", "raw" };
    const struct snap_object b = { "zfs", "vg/lv", "raw" };
    const struct snap_object c = { "lvm", "vg/lv2", "raw" };

    (void)state;
    assert_true(same(a, a));
    assert_false(same(a, b));
    assert_false(same(a, c));
    assert_false(same(a, file("vg/lv")));
    assert_true(snap_object_has_path(file("/img/a")));
    assert_false(snap_object_has_path(file("rbd:pool/a")));
    assert_false(snap_object_has_path(
        (struct snap_object){ "lvm", "/dev/vg/lv", "raw" }));
}

static void volumes_by_their_driver(void **state)
{
    const struct snap_disk_driver *const *d = fake_disk_drivers;
    const struct snap_object frozen = { "volume", "vol/a-s1", "raw" };

    (void)state;
    fake_host_init_with(&host, FAKE_VOLUMES);
    create("vm1", "s1", SNAP_DISK_AUTO);
    assert_true(snap_object_same(d, frozen, file("/dev/mapper/vol-a--s1")));
    assert_false(snap_object_same(d, frozen, file("/dev/mapper/vol-b--s1")));
    assert_false(snap_object_same(d, frozen, file("/vol/a")));
    assert_true(
        snap_object_same(d, file("/dev/mapper/vol-a"), file("/vol/a")));
}

/* ---- what is not done to it ---- */

/* vm2 has what s1 froze, by its device.  It runs no more, so nothing but the
 * store knows. */
static void disk_of_another_stays(void **state)
{
    struct snap_object has = { .id = "/dev/mapper/vol-a--s1",
                               .format = "raw" };
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state st = { 0 };
    struct fake_outcome out;

    (void)state;
    fake_host_init_with(&host, FAKE_VOLUMES);
    create("vm1", "s1", SNAP_DISK_AUTO);
    assert_int_equal(snap_store_open(&s, host.root, OTHER_UUID, true, NULL),
                     0);
    st.domain_name = snap_strdup("vm2");
    snap_state_set_leaf(&st, "xvda", has, NULL, false);
    assert_int_equal(snap_state_save(&s, &st, NULL), 0);
    delete ("s1", &out);
    assert_int_equal(out.rc, SNAP_REFUSED);
    assert_non_null(strstr(out.msg, "domain vm2 has vol/a-s1, as "
                                    "/dev/mapper/vol-a--s1, for its disk "
                                    "xvda"));
    assert_true(fake_store_exists(host.disks, "vol/a-s1"));

    has.id = "/dev/mapper/vol-a--s2";
    snap_state_set_leaf(&st, "xvda", has, NULL, false);
    assert_int_equal(snap_state_save(&s, &st, NULL), 0);
    delete ("s1", &out);
    assert_int_equal(out.rc, 0);
    assert_false(fake_store_exists(host.disks, "vol/a-s1"));
    snap_state_dispose(&st);
    snap_store_close(&s);
}

/* Another domain's snapshot has frozen the device of what s1 froze. */
static void frozen_by_another_stays(void **state)
{
    static const char *const disks[] = { "xvda:raw:/dev/mapper/vol-a--s1",
                                         NULL };
    struct fake_outcome out;

    (void)state;
    fake_host_init_with(&host, FAKE_VOLUMES);
    create("vm1", "s1", SNAP_DISK_AUTO);
    fake_store_find(host.disks, "vol/a-s1")->frozen = false;
    fake_domain_add(host.world, "vm2", OTHER_UUID, disks);
    create("vm2", "t1", SNAP_DISK_EXTERNAL);
    delete ("s1", &out);
    assert_int_equal(out.rc, SNAP_REFUSED);
    assert_non_null(strstr(out.msg, "snapshot t1 of domain vm2 has vol/a-s1"));
    assert_true(fake_store_exists(host.disks, "vol/a-s1"));
}

/* A volume's driver sees neither a mark on a device nor what is over it. */
static void hide_overlay(void)
{
    uint32_t domid = fake_domain_find(host.world, "vm1")->domid;
    struct fake_image *over = fake_store_find(
        host.disks, fake_store_active(host.disks, domid, "xvda"));

    over->content = fake_store_content(host.disks, "/vol/a");
    over->own = true;
    over->backing = -1;
    fake_store_find(host.disks, "/vol/a")->immutable = false;
    fake_store_find(host.disks, "/vol/a")->frozen = false;
}

/* s2 froze the disk itself, under its other name, so going back to s1 must not
 * change it in place. */
static void frozen_under_another_name(void **state)
{
    static const char *const disks[] = { "xvda:raw:/dev/mapper/vol-a",
                                         "xvdb:raw:/vol/b", NULL };
    struct snap_state st = { 0 };
    uint64_t has;

    (void)state;
    fake_host_init_with(&host, FAKE_VOLUMES);
    create("vm1", "s1", SNAP_DISK_AUTO);
    starts_with(disks);
    has = fake_store_content(host.disks, "/vol/a");
    create("vm1", "s2", SNAP_DISK_EXTERNAL);
    hide_overlay();
    revert("s1");
    assert_int_equal(fake_store_content(host.disks, "/vol/a"), has);
    load_state(FAKE_UUID, &st);
    assert_string_not_equal(snap_state_leaf(&st, "xvda")->path, "/vol/a");
    assert_true(snap_state_leaf(&st, "xvda")->made);
    snap_state_dispose(&st);
}

/* ---- a link ---- */

/* An image that its user made, and that the domain knows by a link, changed in
 * place: it is his as before, and never ours to remove. */
static void link_to_the_users_image(void **state)
{
    static const char *const disks[] = { "xvda:qcow2:/img/link.qcow2",
                                         "xvdb:raw:/img/b.img", NULL };
    struct snap_state st = { 0 };
    const struct snap_leaf *leaf;

    (void)state;
    fake_host_init(&host);
    fake_store_link(host.disks, "/img/link.qcow2", "/img/a.qcow2");
    starts_with(disks);
    create("vm1", "s1", SNAP_DISK_AUTO);
    fake_store_write(host.disks, fake_domain_find(host.world, "vm1")->domid,
                     "xvda");
    revert("s1");
    load_state(FAKE_UUID, &st);
    leaf = snap_state_leaf(&st, "xvda");
    assert_string_equal(leaf->path, "/img/link.qcow2");
    assert_false(leaf->made);
    snap_state_dispose(&st);

    revert("s1");
    create("vm1", "s2", SNAP_DISK_EXTERNAL);
    revert("s1");
    assert_true(fake_store_exists(host.disks, "/img/a.qcow2"));
    assert_string_equal(host.disks->violation, "");
}

/* ---- what is no path ---- */

static void set_disk(const char *path, const char *script)
{
    struct fake_domain *d = fake_domain_find(host.world, "vm1");
    struct snap_json *j = NULL, *disk;
    char *text;

    assert_int_equal(snap_json_parse(d->config, strlen(d->config), &j, NULL),
                     0);
    disk = (struct snap_json *)snap_json_at(snap_json_get(j, "disks"), 0);
    snap_json_set_str(disk, "pdev_path", path);
    if (script)
        snap_json_set_str(disk, "script", script);
    text = snap_json_text(j, false);
    snprintf(d->config, sizeof(d->config), "%s", text);
    free(text);
    snap_json_free(j);
}

static void create_refused(const char *want)
{
    struct snap_create_req req = ask("vm1", "s1");
    struct fake_outcome out;

    run(fake_host_create, &req, &out);
    assert_int_equal(out.rc, SNAP_UNSUPPORTED);
    assert_string_equal(out.msg, want);
}

/* What a script makes a disk of, its driver knows; a path it need not be. */
static void target_of_a_script(void **state)
{
    (void)state;
    fake_host_init(&host);
    set_disk("pool/a", "block-pool");
    create_refused("xvda: made by block script block-pool, which has no "
                   "driver here; use --no-disk xvda");
}

static void target_of_qemu(void **state)
{
    (void)state;
    fake_host_init(&host);
    set_disk("nbd:host:10809", NULL);
    create_refused("xvda: image \"nbd:host:10809\" is not an absolute path; "
                   "give it one in the xl.cfg and start the domain anew, or "
                   "use --no-disk xvda");
}

/* What a journal says of the disks to come keeps the kind, and an earlier
 * form of it is refused. */
static void leaves_of_any_kind(void **state)
{
    struct snap_part p = { .vdev = (char *)"xvda",
                           .leaf_kind = (char *)"rbd",
                           .leaf_path = (char *)"pool/a-r1",
                           .leaf_format = (char *)"raw",
                           .drop_path = (char *)"/img/a.qcow2",
                           .drop_format = (char *)"qcow2" };
    struct snap_part q = { .vdev = (char *)"xvda" };
    struct snap_record rec = { .parts = &p, .n_parts = 1 };
    struct snap_intent in = { .rec = &rec };
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    in.disks = snap_leaves_json(&rec);
    rec.parts = &q;
    assert_int_equal(snap_leaves_read(&in, &err), 0);
    assert_string_equal(q.leaf_kind, "rbd");
    assert_string_equal(q.leaf_path, "pool/a-r1");
    assert_string_equal(q.leaf_format, "raw");
    assert_null(q.drop_kind);
    assert_string_equal(q.drop_path, "/img/a.qcow2");
    snap_free(&q.leaf_kind);
    snap_free(&q.leaf_path);
    snap_free(&q.leaf_format);
    snap_free(&q.drop_path);
    snap_free(&q.drop_format);
    snap_json_free(in.disks);

    assert_int_equal(
        snap_json_parse(OLD_LEAVES, strlen(OLD_LEAVES), &in.disks, NULL), 0);
    assert_int_equal(snap_leaves_read(&in, &err), SNAP_CORRUPT);
    assert_string_equal(err.msg, "journal: leaf: missing");
    snap_json_free(in.disks);
}

#define T(fn) cmocka_unit_test_teardown(fn, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_by_inode),
        cmocka_unit_test(kinds_apart),
        T(volumes_by_their_driver),
        T(disk_of_another_stays),
        T(frozen_by_another_stays),
        T(frozen_under_another_name),
        T(link_to_the_users_image),
        T(target_of_a_script),
        T(target_of_qemu),
        cmocka_unit_test(leaves_of_any_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

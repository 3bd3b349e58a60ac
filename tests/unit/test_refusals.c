/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What a plan refuses, one by one, with a domain that is in no state for it;
 * and that each command finds its domain by name, number and UUID.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fakes/fake_host.h"
#include "fakes/taken.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/clone.h"
#include "op/create.h"
#include "op/delete.h"
#include "op/revert.h"
#include "store/store.h"

#define OTHER_UUID "22222222-2222-3333-4444-555555555555"

static struct fake_host host;
static struct snap_err err;

static int setup(void **state)
{
    (void)state;
    return taken_attached(&host, &err);
}

static int teardown(void **state)
{
    (void)state;
    fake_host_detach(&host);
    fake_host_dispose(&host);
    return 0;
}

static struct fake_domain *vm(const char *name)
{
    return fake_domain_find(host.world, name);
}

static int plan_create(const char *who, bool dry_run)
{
    struct snap_create_req req = { .domain = (char *)who,
                                   .name = (char *)"s2",
                                   .live = -1,
                                   .memory = SNAP_MEM_NO,
                                   .type = SNAP_DISK_EXTERNAL };
    struct snap_create_plan p;
    int rc;

    snap_err_clear(&err);
    rc = snap_create_plan_make(&host.env, &req, dry_run, &p, &err);
    if (!rc) {
        assert_true(p.ses.there);
        assert_string_equal(p.ses.dom.uuid, FAKE_UUID);
        snap_create_plan_dispose(&p);
    }
    return rc;
}

static int plan_delete(const char *who, bool dry_run)
{
    struct snap_delete_req req = { .domain = (char *)who,
                                   .name = (char *)"s1" };
    struct snap_delete_plan p;
    int rc;

    snap_err_clear(&err);
    rc = snap_delete_plan_make(&host.env, &req, dry_run, &p, &err);
    if (!rc) {
        assert_true(p.ses.there);
        assert_string_equal(p.ses.name, "vm1");
        snap_delete_plan_dispose(&p);
    }
    return rc;
}

static int plan_revert(const char *who, bool dry_run)
{
    struct snap_revert_req req = { .domain = (char *)who,
                                   .name = (char *)"s1" };
    struct snap_revert_plan p;
    int rc;

    snap_err_clear(&err);
    rc = snap_revert_plan_make(&host.env, &req, dry_run, &p, &err);
    if (!rc)
        snap_revert_plan_dispose(&p);
    return rc;
}

static void by_whatever(void **state)
{
    char number[16];
    const char *const who[] = { "vm1", number, FAKE_UUID };
    size_t i;

    (void)state;
    snprintf(number, sizeof(number), "%u", vm("vm1")->domid);
    for (i = 0; i < 6; i++) {
        if (plan_create(who[i / 2], i % 2) || plan_delete(who[i / 2], i % 2) ||
            plan_revert(who[i / 2], i % 2))
            fail_msg("%s: %s", who[i / 2], err.msg);
    }
}

static void says(const char *words)
{
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" has no \"%s\"", err.msg, words);
}

/* Somebody saves or migrates it: its disks are not to be touched. */
static void suspended(void **state)
{
    (void)state;
    vm("vm1")->suspended = true;
    assert_int_equal(plan_create("vm1", false), SNAP_REFUSED);
    says("is suspended");
    assert_int_equal(plan_delete("vm1", false), SNAP_BUSY);
    says("is suspended");
    vm("vm1")->suspended = false;
    assert_int_equal(plan_create("vm1", false), 0);
    assert_int_equal(plan_delete("vm1", false), 0);
}

/* Kept by its on_poweroff or on_crash setting: nobody will go on with it. */
static void shut_down(void **state)
{
    (void)state;
    vm("vm1")->shutdown = true;
    assert_int_equal(plan_create("vm1", false), SNAP_REFUSED);
    says("has shut down or crashed");
    says("destroy it first");
}

/* A QEMU that cannot be reached is not one that has none of the images. */
static void a_stub_domain(void **state)
{
    (void)state;
    vm("vm1")->stubdom = true;
    assert_int_equal(plan_create("vm1", false), SNAP_UNSUPPORTED);
    says("stub domain, whose QEMU cannot be reached");
    assert_int_equal(plan_delete("vm1", false), SNAP_UNSUPPORTED);
    says("in a stub domain; shut it down");
    assert_int_equal(plan_revert("vm1", false), SNAP_UNSUPPORTED);
    says("in a stub domain");
}

/* Its state is not in what Xen saves of the guest. */
static void a_pci_device(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s2",
                                   .live = -1,
                                   .type = SNAP_DISK_EXTERNAL };
    struct snap_create_plan p;

    (void)state;
    snap_err_clear(&err);
    vm("vm1")->passthrough = true;
    assert_int_equal(snap_create_plan_make(&host.env, &req, false, &p, &err),
                     SNAP_UNSUPPORTED);
    says("PCI devices passed through");
    says("use --disk-only");
    assert_int_equal(plan_create("vm1", false), 0);
}

/* So much more is said of the last disk in the domain's configuration. */
static void say_of_xvdb(const char *more)
{
    char *config = vm("vm1")->config, *at = strstr(config, "\"xvdb\""), *rest;

    assert_non_null(at);
    at += strlen("\"xvdb\"");
    rest = snap_strdup(at);
    snprintf(at, FAKE_CONFIG - (size_t)(at - config), ",%s%s", more, rest);
    free(rest);
}

static void disks_out_of_reach(void **state)
{
    static const struct {
        const char *more, *words;
    } all[] = {
        { "\"backend_domid\":5", "xvdb: its backend is in driver domain 5" },
        { "\"specification\":\"virtio\"", "xvdb: a virtio disk" },
        { "\"script\":\"block-iscsi\"", "xvdb: made by block script" },
    };
    static char was[FAKE_CONFIG];
    struct snap_disk_choice skip = { .vdev = (char *)"xvdb", .skip = true };
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s2",
                                   .live = -1,
                                   .memory = SNAP_MEM_NO,
                                   .type = SNAP_DISK_EXTERNAL,
                                   .disks = &skip,
                                   .n_disks = 1 };
    struct snap_create_plan p;
    size_t i;

    (void)state;
    memcpy(was, vm("vm1")->config, sizeof(was));
    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        memcpy(vm("vm1")->config, was, sizeof(was));
        say_of_xvdb(all[i].more);
        assert_int_equal(plan_create("vm1", false), SNAP_UNSUPPORTED);
        says(all[i].words);
        says("use --no-disk xvdb");
        snap_err_clear(&err);
        assert_int_equal(
            snap_create_plan_make(&host.env, &req, false, &p, &err), 0);
        assert_int_equal(p.rec.n_parts, 1);
        snap_create_plan_dispose(&p);
    }
}

/* At our first look into the store: the domain was found, and is not locked. */
static int replace(const char *layer, const char *what)
{
    (void)what;
    if (!strcmp(layer, "file") && !strcmp(vm("vm1")->uuid, FAKE_UUID))
        snprintf(vm("vm1")->uuid, sizeof(vm("vm1")->uuid), OTHER_UUID);
    return 0;
}

/* A name may be another domain's by the time that we have the lock. */
static void becomes_anothers(int (*hook)(const char *, const char *))
{
    int rc;

    snap_fault_hook = hook;
    rc = plan_create("vm1", false);
    snap_fault_hook = NULL;
    assert_int_equal(rc, SNAP_BUSY);
    says("vm1 was replaced by another domain while we waited");
}

static void replaced_while_it_waited(void **state)
{
    (void)state;
    becomes_anothers(replace);
}

/* The other's guest is not ended for it. */
static void replaced_before_a_revert(void **state)
{
    int rc;

    (void)state;
    snap_fault_hook = replace;
    rc = plan_revert("vm1", false);
    snap_fault_hook = NULL;
    assert_int_equal(rc, SNAP_REFUSED);
    says("another domain (UUID " OTHER_UUID ") is named vm1");
}

/* It is still there, under another name. */
static int rename_and_replace(const char *layer, const char *what)
{
    struct fake_domain *old = vm("vm1"), *d = host.world->dom;

    (void)what;
    if (strcmp(layer, "file") != 0 || vm("vm1-old"))
        return 0;
    while (d->exists)
        d++;
    *d = *old;
    d->domid = 99;
    snprintf(d->uuid, sizeof(d->uuid), OTHER_UUID);
    snprintf(old->name, sizeof(old->name), "vm1-old");
    return 0;
}

static void renamed_while_it_waited(void **state)
{
    (void)state;
    becomes_anothers(rename_and_replace);
}

/* It runs yet, and another QEMU will open its images in a moment. */
static void migrated(void **state)
{
    (void)state;
    vm("vm1")->other_save = vm("vm1")->precopy = true;
    assert_int_equal(plan_delete("vm1", false), SNAP_BUSY);
    says("is being saved or migrated");
    vm("vm1")->other_save = vm("vm1")->precopy = false;
    assert_int_equal(plan_delete("vm1", false), 0);
}

/* What runs under the name is not the domain that the snapshot is of. */
static void a_namesake_runs(void **state)
{
    static const char *const disks[] = { "xvda:qcow2:/img/other.qcow2", NULL };

    (void)state;
    fake_host_stop(&host);
    fake_store_add(host.disks, "/img/other.qcow2", "qcow2", 1 << 20);
    assert_non_null(fake_domain_add(host.world, "vm1", OTHER_UUID, disks));
    assert_int_equal(plan_revert(FAKE_UUID, false), SNAP_REFUSED);
    says("another domain (UUID " OTHER_UUID ") is named vm1");
}

static void a_name_that_changed(void **state)
{
    struct snap_revert_req req = { .domain = (char *)FAKE_UUID,
                                   .name = (char *)"s1" };
    struct snap_revert_plan p;
    size_t i, found = 0;

    (void)state;
    snprintf(vm("vm1")->name, sizeof(vm("vm1")->name), "renamed");
    assert_int_equal(snap_revert_plan_make(&host.env, &req, true, &p, &err),
                     0);
    for (i = 0; i < p.ses.n_notes; i++)
        found += strstr(p.ses.notes[i], "called renamed now") != NULL;
    assert_int_equal(found, 1);
    snap_revert_plan_dispose(&p);
}

/* ---- what the records of others say ---- */

/* A snapshot of this domain, of the one disk that s1 took as part k, which froze
 * that image. */
static void put_record_of(struct fake_host *h, size_t k, const char *uuid,
                          const char *name, const char *frozen)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record r = { 0 };
    struct snap_part part;
    char *at;

    assert_int_equal(snap_store_open(&s, h->root, FAKE_UUID, false, &err), 0);
    assert_int_equal(snap_store_get(&s, "s1", h->env.drivers, &r, &err), 0);
    snap_store_close(&s);
    while ((at = strstr(r.config_json, r.domain_uuid)) &&
           strcmp(uuid, r.domain_uuid) != 0)
        memcpy(at, uuid, strlen(uuid));
    snprintf(r.domain_uuid, sizeof(r.domain_uuid), "%s", uuid);
    snap_set(&r.name, name);
    r.id[0] = r.id[0] == '0' ? '1' : '0';
    part = r.parts[0];
    r.parts[0] = r.parts[k];
    r.parts[k] = part;
    while (r.n_parts > 1)
        snap_part_dispose(&r.parts[--r.n_parts]);
    snap_set(&r.parts[0].path, frozen);
    snap_set(&r.parts[0].frozen_path, frozen);
    snap_set(&r.parts[0].active_path, "/img/elsewhere.qcow2");
    assert_int_equal(snap_store_open(&s, h->root, uuid, true, &err), 0);
    if (snap_store_put(&s, &r, &err))
        fail_msg("%s", err.msg);
    snap_store_close(&s);
    snap_record_dispose(&r);
}

static void put_record(const char *uuid, const char *name, const char *frozen)
{
    put_record_of(&host, 0, uuid, name, frozen);
}

/* What a revert would remove once it has come through, or NULL. */
static char *dropped(const char *note)
{
    struct snap_revert_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1" };
    struct snap_revert_plan p;
    char *path;
    size_t i, found = 0;

    snap_err_clear(&err);
    assert_int_equal(snap_revert_plan_make(&host.env, &req, true, &p, &err),
                     0);
    path = snap_strdup(p.rec.parts[0].drop_path);
    for (i = 0; note && i < p.ses.n_notes; i++)
        found += strstr(p.ses.notes[i], note) != NULL;
    if (note && !found)
        fail_msg("nobody says \"%s\"", note);
    snap_revert_plan_dispose(&p);
    return path;
}

static void a_revert_keeps_what_may_be_needed(void **state)
{
    char *bad = snap_printf("%s/%s/records/bad.json", host.root, FAKE_UUID);
    char *path = dropped(NULL);

    (void)state;
    assert_string_equal(path, "/img/a.s1.qcow2");
    free(path);
    assert_int_equal(snap_file_write(bad, "{", 1, 0600, false, &err), 0);
    assert_null(dropped("a record that cannot be read may need it"));
    assert_int_equal(remove(bad), 0);
    put_record(OTHER_UUID, "theirs", "/img/a.s1.qcow2");
    assert_null(dropped("a snapshot of another domain needs it"));
    free(bad);
}

/* Where the guest would write to after a revert to a snapshot inside xvda. */
static char *new_leaf(struct fake_host *h, const char *note)
{
    struct snap_revert_req req = { 0 };
    struct snap_revert_plan p;
    size_t i, found = 0;
    char *path;

    snap_err_clear(&err);
    taken_revert_req(&req);
    assert_int_equal(snap_revert_plan_make(&h->env, &req, true, &p, &err), 0);
    path = snap_strdup(p.rec.parts[0].leaf_path);
    for (i = 0; note && i < p.ses.n_notes; i++)
        found += strstr(p.ses.notes[i], note) != NULL;
    if (note && !found)
        fail_msg("nobody says \"%s\"", note);
    snap_revert_plan_dispose(&p);
    return path;
}

/* It may have frozen the very image, and nothing protects a device. */
static void a_revert_changes_what_may_be_needed(void **state)
{
    struct taken t = { 0 };
    const struct taken_how how = { .type = SNAP_DISK_AUTO };
    char *bad, *path;

    (void)state;
    taken_init(&t, &how);
    assert_int_equal(fake_host_attach(&t.h, &err), 0);
    path = new_leaf(&t.h, NULL);
    assert_string_equal(path, "/img/a.qcow2");
    free(path);
    bad = snap_printf("%s/%s/records/bad.json", t.h.root, FAKE_UUID);
    assert_int_equal(snap_file_write(bad, "{", 1, 0600, false, &err), 0);
    path = new_leaf(&t.h, "a record that cannot be read may need /img/a.qcow2 "
                          "as it is");
    assert_string_not_equal(path, "/img/a.qcow2");
    free(path);
    free(bad);
    fake_host_detach(&t.h);
    taken_dispose(&t);
}

/* A snapshot of its twin has: an xl.cfg without a uuid. */
static void a_revert_changes_what_another_froze(void **state)
{
    struct taken t = { 0 };
    const struct taken_how how = { .type = SNAP_DISK_AUTO };
    char *path;

    (void)state;
    taken_init(&t, &how);
    assert_int_equal(fake_host_attach(&t.h, &err), 0);
    put_record_of(&t.h, 1, OTHER_UUID, "theirs", "/img/a.qcow2");
    path = new_leaf(&t.h, "other snapshots need /img/a.qcow2 as it is");
    assert_string_not_equal(path, "/img/a.qcow2");
    free(path);
    fake_host_detach(&t.h);
    taken_dispose(&t);
}

/* While the domain still runs, and can go on: a loop device has the snapshot's
 * image, or what would be removed. */
static void a_revert_of_what_another_has(void **state)
{
    static const char *const paths[] = { "/img/a.qcow2", "/img/a.s1.qcow2" };
    struct fake_image *image;
    size_t i;

    (void)state;
    for (i = 0; i < 4; i++) {
        if (i == 2)
            fake_host_stop(&host);
        image = fake_store_find(host.disks, paths[i % 2]);
        image->looped = true;
        assert_int_equal(plan_revert(FAKE_UUID, true), SNAP_BUSY);
        says(paths[i % 2]);
        says("loop device");
        says("end that first");
        image->looped = false;
        assert_int_equal(plan_revert(FAKE_UUID, true), 0);
    }
}

static void a_delete_below_another_domain(void **state)
{
    (void)state;
    put_record(OTHER_UUID, "theirs", "/img/a.qcow2");
    assert_int_equal(plan_delete("vm1", false), SNAP_REFUSED);
    says("snapshot theirs of domain vm1 has /img/a.qcow2");
}

/* One that does not run: nobody has its images open. */
static void a_clone_stands_on_it(void **state)
{
    struct snap_clone_req req = { .domain = (char *)"vm1",
                                  .name = (char *)"s1",
                                  .new_name = (char *)"vm2",
                                  .no_start = true };

    (void)state;
    assert_int_equal(fake_host_clone(&host, &req, &err), 0);
    assert_int_equal(plan_delete("vm1", false), SNAP_REFUSED);
    says("is what others stand on");
}

/* Two snapshots of one image: it stays when one of them goes. */
static void an_image_that_two_froze(void **state)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1" };
    struct snap_delete_plan p;

    (void)state;
    put_record(FAKE_UUID, "twin", "/img/a.qcow2");
    assert_int_equal(snap_delete_plan_make(&host.env, &req, false, &p, &err),
                     0);
    assert_int_equal(p.del[0].how, SNAP_DELETE_STAY);
    snap_delete_plan_dispose(&p);
}

static void take_another(const char *name)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)name,
                                   .live = -1,
                                   .memory = SNAP_MEM_NO,
                                   .type = SNAP_DISK_EXTERNAL };

    assert_int_equal(fake_host_create(&host, &req, &err), 0);
}

/* Nothing is moved into a snapshot that is damaged: nobody could tell after
 * that.  One that is not there may stand on what goes. */
static void a_child_that_is_not_whole(void **state)
{
    struct fake_image *child;

    (void)state;
    take_another("s2");
    child = fake_store_find(host.disks, "/img/a.s1.qcow2");
    child->stamp++;
    assert_int_equal(plan_delete("vm1", false), SNAP_CORRUPT);
    says("snapshot s2 stands on this one, and cannot be used");
    child->stamp--;
    assert_int_equal(plan_delete("vm1", false), 0);
    child->exists = false;
    assert_int_equal(plan_delete("vm1", false), SNAP_REFUSED);
    says("/img/a.s1.qcow2, which snapshot s2 needs, may stand on");
}

static void a_disk_that_is_not_there(void **state)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1" };
    struct snap_delete_plan p;

    (void)state;
    fake_host_stop(&host);
    fake_store_find(host.disks, "/img/a.s1.qcow2")->exists = false;
    assert_int_equal(snap_delete_plan_make(&host.env, &req, false, &p, &err),
                     SNAP_REFUSED);
    says("/img/a.s1.qcow2, the domain's disk, may stand on");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(by_whatever, setup, teardown),
        cmocka_unit_test_setup_teardown(suspended, setup, teardown),
        cmocka_unit_test_setup_teardown(shut_down, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stub_domain, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pci_device, setup, teardown),
        cmocka_unit_test_setup_teardown(disks_out_of_reach, setup, teardown),
        cmocka_unit_test_setup_teardown(renamed_while_it_waited, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(replaced_before_a_revert, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(replaced_while_it_waited, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(migrated, setup, teardown),
        cmocka_unit_test_setup_teardown(a_namesake_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_that_changed, setup, teardown),
        cmocka_unit_test(a_revert_changes_what_may_be_needed),
        cmocka_unit_test(a_revert_changes_what_another_froze),
        cmocka_unit_test_setup_teardown(a_revert_of_what_another_has, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_revert_keeps_what_may_be_needed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_delete_below_another_domain, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_clone_stands_on_it, setup, teardown),
        cmocka_unit_test_setup_teardown(an_image_that_two_froze, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_child_that_is_not_whole, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_is_not_there, setup,
                                        teardown),
    };

    return cmocka_run_group_tests_name("test_refusals", tests, NULL, NULL);
}

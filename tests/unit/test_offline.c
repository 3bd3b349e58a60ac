/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Snapshots of a domain that does not run: where its configuration and its
 * images come from, what is refused, what the user is told, and what the
 * record and the state say afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/check.h"
#include "fakes/fake_host.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "model/domain_json.h"
#include "op/create.h"
#include "op/parts.h"
#include "op/resolve.h"
#include "op/revert.h"
#include "store/state.h"

#define OTHER_UUID  "22222222-2222-3333-4444-555555555555"
#define RANDOM_UUID "00000000-1111-4222-8333-444444444444" /* fake_hyp.c */

static struct fake_host host;
static char cfg[] = "/tmp/snap-offline-XXXXXX";
static struct before had;
static struct snap_err err;
static struct snap_record rec; /* of the last snapshot that succeeded */
static char *notes, *hint;

/* An xl.cfg of vm1; the disks begin on line 4. */
static void xl_cfg(const char *uuid, const char *a, const char *b)
{
    char *text = snap_printf("name='vm1'\n%s%s%s\nmemory=64\n"
                             "disk=[ 'format=qcow2,vdev=xvda,target=%s',\n"
                             "       'format=%s,vdev=xvdb,target=%s' ]\n",
                             uuid ? "uuid='" : "# no uuid", uuid ? uuid : "",
                             uuid ? "'" : "", a,
                             strstr(b, "qcow2") ? "qcow2" : "raw", b);

    assert_int_equal(
        snap_file_write(cfg, text, strlen(text), 0600, false, &err), 0);
    free(text);
}

static int setup(void **state)
{
    (void)state;
    snap_err_clear(&err);
    fake_host_init(&host);
    before_take(&had, &host);
    fake_host_stop(&host);
    xl_cfg(FAKE_UUID, "/img/a.qcow2", "/img/b.img");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    snap_fault_hook = NULL;
    snap_record_dispose(&rec);
    memset(&rec, 0, sizeof(rec));
    snap_free(&notes);
    snap_free(&hint);
    fake_host_dispose(&host);
    return 0;
}

static struct snap_create_req ask(const char *name, const char *file)
{
    struct snap_create_req req = {
        .domain = (char *)"vm1",
        .name = (char *)name,
        .live = -1,
        .no_wait = true,
        .domain_config = (char *)file,
    };

    return req;
}

static int take_as(const struct snap_create_req *req, bool dry)
{
    struct snap_create_plan p;
    struct snap_create_result r = { 0 };
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_buf b = { 0 };
    size_t i;
    int rc;

    snap_err_clear(&err);
    snap_record_dispose(&rec);
    memset(&rec, 0, sizeof(rec));
    snap_free(&notes);
    snap_free(&hint);
    assert_int_equal(fake_host_attach(&host, &err), 0);
    rc = snap_create_plan_make(&host.env, req, dry, &p, &err);
    if (rc)
        goto out;
    for (i = 0; i < p.ses.n_notes; i++)
        snap_buf_addf(&b, "%s\n", p.ses.notes[i]);
    notes = b.data;
    if (!dry)
        rc = snap_create_run(&host.env, req, &p, &r, &err);
    if (!rc && !dry) {
        hint = snap_strdup(r.stale_path_hint);
        assert_null(r.monitor_note);
        assert_int_equal(
            snap_store_open(&s, host.root, p.rec.domain_uuid, false, &err), 0);
        assert_int_equal(
            snap_store_get(&s, p.rec.name, host.env.drivers, &rec, &err), 0);
        snap_store_close(&s);
    }
    snap_create_result_dispose(&r);
    snap_create_plan_dispose(&p);

out:
    fake_host_detach(&host);
    assert_string_equal(host.disks->violation, "");
    return rc;
}

static int take(const char *name, const char *file, enum snap_disk_type type)
{
    struct snap_create_req req = ask(name, file);

    req.type = type;
    return take_as(&req, false);
}

static void good(int rc)
{
    assert_string_equal(err.msg, "");
    assert_int_equal(rc, 0);
}

/* It failed so, in these words, and there is nothing of it. */
static void refused(int rc, int want, const char *words)
{
    char *files = fake_host_files(&host);
    const char *keep[] = { "/img/a.qcow2", "/img/b.img", "/img/a.s1.qcow2",
                           "/img/b.s1.qcow2", NULL };
    const char *tags[] = { "/img/a.qcow2@s1", NULL };

    if (!strstr(err.msg, words))
        print_error("\"%s\" does not say \"%s\"\n", err.msg, words);
    assert_non_null(strstr(err.msg, words));
    assert_int_equal(rc, want);
    assert_null(strstr(files, "bad.json"));
    assert_null(strstr(files, "journal"));
    assert_null(fake_store_check(host.disks, keep, tags));
    free(files);
}

static struct snap_state state_now(void)
{
    struct snap_state st = { 0 };
    struct snap_store s = SNAP_STORE_INIT;

    assert_int_equal(snap_store_open(&s, host.root, FAKE_UUID, false, &err),
                     0);
    assert_int_equal(snap_state_load(&s, &st, &err), 0);
    snap_store_close(&s);
    return st;
}

static void test_record(void **unused)
{
    struct snap_state st;

    (void)unused;
    good(take("s1", cfg, SNAP_DISK_AUTO));
    assert_string_equal(rec.consistency, "offline");
    assert_false(rec.has_memory);
    assert_false(rec.paused);
    assert_true(rec.window_ms == 0);
    assert_string_equal(rec.domain_name, "vm1");
    assert_int_equal(rec.mem_kb, 64 * 1024);
    assert_int_equal(rec.n_parts, 2);
    assert_int_equal(rec.parts[0].type, SNAP_DISK_INTERNAL);
    assert_int_equal(rec.parts[1].type, SNAP_DISK_EXTERNAL);
    assert_int_equal(fake_store_snap(host.disks, "/img/a.qcow2", "s1"), had.a);
    assert_int_equal(fake_store_content(host.disks, "/img/b.img"), had.b);
    assert_true(fake_store_find(host.disks, "/img/b.img")->immutable);
    assert_null(fake_domain_find(host.world, "vm1"));

    st = state_now();
    assert_string_equal(st.current, "s1");
    assert_string_equal(snap_state_leaf(&st, "xvda")->path, "/img/a.qcow2");
    assert_false(snap_state_leaf(&st, "xvda")->made);
    assert_string_equal(snap_state_leaf(&st, "xvdb")->path, "/img/b.s1.qcow2");
    assert_string_equal(snap_state_leaf(&st, "xvdb")->format, "qcow2");
    assert_true(snap_state_leaf(&st, "xvdb")->made);
    snap_state_dispose(&st);

    fake_host_start(&host);
    assert_null(check_guest(&host, &had));
}

/* The path that a snapshot inside the image is known by stays that image's. */
static void test_kept_path(void **unused)
{
    struct snap_create_req req = ask("bad", NULL);

    (void)unused;
    good(take("s1", cfg, SNAP_DISK_AUTO));
    req.keep_path = true;
    refused(take_as(&req, false), SNAP_REFUSED,
            "snapshot s1 is inside /img/a.qcow2");
    fake_host_start(&host);
    refused(take_as(&req, false), SNAP_REFUSED,
            "snapshot s1 is inside /img/a.qcow2");
}

/* Which line of which file goes stale, and when none does. */
static void test_hint(void **unused)
{
    struct snap_create_req req;
    char *line4 = snap_printf("line 4 of %s", cfg);
    char *line5 = snap_printf("line 5 of %s", cfg);

    (void)unused;
    good(take("s1", cfg, SNAP_DISK_EXTERNAL));
    assert_non_null(strstr(hint, line4));
    assert_non_null(strstr(hint, line5));
    assert_non_null(strstr(hint, "target=/img/a.s1.qcow2"));
    good(take("s2", NULL, SNAP_DISK_EXTERNAL));
    /* From what the store knows, as of a running domain: libxl does not say
     * which of its disks were attached later. */
    assert_non_null(strstr(hint, "in vm1's xl.cfg, or the xl block-attach "
                                 "that plugs it in, change"));
    req = ask("s3", NULL);
    req.type = SNAP_DISK_EXTERNAL;
    req.keep_path = true;
    good(take_as(&req, false));
    assert_null(hint);
    good(take("s4", NULL, SNAP_DISK_INTERNAL));
    assert_null(hint);
    free(line4);
    free(line5);
}

static void test_known_to_the_store(void **unused)
{
    (void)unused;
    refused(take("bad", NULL, SNAP_DISK_AUTO), SNAP_NOTFOUND,
            "with --domain-config FILE");
    good(take("s1", cfg, SNAP_DISK_EXTERNAL));
    assert_null(notes);
    /* The images are those over the frozen ones. */
    good(take("s2", NULL, SNAP_DISK_EXTERNAL));
    assert_non_null(strstr(notes, "the one of snapshot s1"));
    assert_string_equal(rec.parent, "s1");
    assert_string_equal(rec.parts[0].frozen_path, "/img/a.s1.qcow2");
    assert_string_equal(rec.parts[0].active_path, "/img/a.s2.qcow2");
    assert_non_null(strstr(rec.config_json, "/img/a.s1.qcow2"));
    assert_null(strstr(rec.config_json, "/img/a.qcow2"));

    /* By UUID, too. */
    {
        struct snap_create_req req = ask("s3", NULL);

        req.domain = (char *)FAKE_UUID;
        good(take_as(&req, false));
        assert_string_equal(rec.parent, "s2");
    }
}

/* After a revert: that of the snapshot which the domain descends from. */
static void test_config_of_current(void **unused)
{
    struct snap_revert_req back = { .domain = (char *)"vm1",
                                    .name = (char *)"s1",
                                    .no_wait = true };

    (void)unused;
    good(take("s1", cfg, SNAP_DISK_EXTERNAL));
    good(take("s2", NULL, SNAP_DISK_EXTERNAL));
    good(fake_host_attach(&host, &err));
    good(fake_host_revert(&host, &back, &err));
    fake_host_detach(&host);
    assert_null(check_guest(&host, &had));
    fake_host_stop(&host);
    good(take("s3", NULL, SNAP_DISK_EXTERNAL));
    assert_non_null(strstr(notes, "the one of snapshot s1"));
    assert_string_equal(rec.parent, "s1");
    fake_host_start(&host);
    assert_null(check_guest(&host, &had));
}

static void test_what_needs_a_guest(void **unused)
{
    struct snap_create_req req = ask("bad", cfg);

    (void)unused;
    req.memory = SNAP_MEM_YES;
    refused(take_as(&req, false), SNAP_REFUSED, "no memory to save");
    req.origin_memory = (char *)"s.cfg:3";
    refused(take_as(&req, false), SNAP_REFUSED, "s.cfg:3");
    req = ask("bad", cfg);
    req.live = 1;
    refused(take_as(&req, false), SNAP_REFUSED, "nothing to take live");
    req = ask("bad", cfg);
    req.paused = true;
    refused(take_as(&req, false), SNAP_REFUSED, "cannot be left paused");
    /* Not asking for memory is fine, and so is a dry run. */
    req = ask("s1", cfg);
    req.memory = SNAP_MEM_NO;
    good(take_as(&req, true));
    {
        char *files = fake_host_files(&host);

        assert_string_equal(files, "");
        free(files);
    }
    good(take_as(&req, false));

    fake_host_start(&host);
    refused(take("bad", cfg, SNAP_DISK_AUTO), SNAP_REFUSED, "leave it out");
}

/* A plan that fails leaves no folder for a domain nobody has heard of. */
static void test_no_folder(void **unused)
{
    char *dir = snap_printf("%s/" FAKE_UUID, host.root);

    (void)unused;
    xl_cfg(FAKE_UUID, "/img/none.qcow2", "/img/b.img");
    refused(take("bad", cfg, SNAP_DISK_AUTO), SNAP_NOTFOUND,
            "/img/none.qcow2");
    assert_false(snap_file_exists(dir));
    free(dir);
}

static void test_identity(void **unused)
{
    struct snap_create_req req = ask("bad", cfg);

    (void)unused;
    refused(take("bad", "/tmp/none.cfg", SNAP_DISK_AUTO), SNAP_NOTFOUND,
            "/tmp/none.cfg");
    req.domain = (char *)"vm2";
    refused(take_as(&req, false), SNAP_INVAL, "of vm1, not of vm2");
    req.domain = (char *)OTHER_UUID;
    refused(take_as(&req, false), SNAP_INVAL, "of vm1, not of 2222");
    xl_cfg(NULL, "/img/a.qcow2", "/img/b.img");
    refused(take_as(&req, false), SNAP_INVAL, "of vm1, not of 2222");
    xl_cfg(FAKE_UUID, "/img/a.qcow2", "/img/b.img");
    req = ask("s1", cfg);
    req.domain = (char *)FAKE_UUID;
    good(take_as(&req, false));
    /* It runs, under another name than it had. */
    fake_host_start(&host);
    strcpy(host.world->dom[0].name, "renamed");
    refused(take("bad", cfg, SNAP_DISK_AUTO), SNAP_REFUSED, "renamed runs");
}

/* An xl.cfg without a UUID: one is chosen once, and said. */
static void test_no_uuid(void **unused)
{
    (void)unused;
    xl_cfg(NULL, "/img/a.qcow2", "/img/b.img");
    good(take("s1", cfg, SNAP_DISK_AUTO));
    assert_string_equal(rec.domain_uuid, RANDOM_UUID);
    assert_non_null(strstr(notes, "uuid=\"" RANDOM_UUID "\""));
}

/* The store knows the domain by its name: its UUID it is. */
static void test_uuid_of_store(void **unused)
{
    (void)unused;
    good(take("s1", cfg, SNAP_DISK_EXTERNAL));
    xl_cfg(NULL, "/img/a.s1.qcow2", "/img/b.s1.qcow2");
    good(take("s2", cfg, SNAP_DISK_EXTERNAL));
    assert_string_equal(rec.domain_uuid, FAKE_UUID);
    assert_string_equal(rec.parent, "s1");
    assert_non_null(strstr(rec.config_json, FAKE_UUID));
    assert_null(strstr(rec.config_json, RANDOM_UUID));
    assert_null(notes);
}

static void test_frozen(void **unused)
{
    char *words = snap_printf("line 4 of %s names /img/a.qcow2", cfg);
    static const char *const none[] = { NULL };

    (void)unused;
    good(take("s1", cfg, SNAP_DISK_EXTERNAL));
    /* The xl.cfg went stale. */
    refused(take("bad", cfg, SNAP_DISK_AUTO), SNAP_REFUSED, words);
    assert_non_null(strstr(err.msg, "target=/img/a.s1.qcow2"));
    free(words);
    /* And so did one of another domain. */
    fake_domain_add(host.world, "vm2", OTHER_UUID, none);
    host.world->dom[0].exists = false;
    xl_cfg(OTHER_UUID, "/img/a.qcow2", "/img/b.s1.qcow2");
    refused(take("bad", cfg, SNAP_DISK_AUTO), SNAP_REFUSED,
            "which a snapshot froze");
}

/* What another domain's snapshots froze cannot be told: nothing protects a
 * device, or an image where there is no chattr. */
static void test_unseen(void **unused)
{
    char *folder = snap_printf("%s/%s", host.root, OTHER_UUID);
    char *records = snap_printf("%s/records", folder);
    char *file = snap_printf("%s/s9.json", records);

    (void)unused;
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    refused(take("bad", cfg, SNAP_DISK_AUTO), SNAP_REFUSED, folder);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_int_equal(mkdir(records, 0700), 0);
    assert_int_equal(snap_file_write(file, "{", 1, 0600, false, &err), 0);
    refused(take("bad", cfg, SNAP_DISK_AUTO), SNAP_REFUSED, file);
    assert_int_equal(unlink(file), 0);
    /* And of itself. */
    good(take("s1", cfg, SNAP_DISK_AUTO));
    free(file);
    file = snap_printf("%s/%s/records/s9.json", host.root, FAKE_UUID);
    assert_int_equal(snap_file_write(file, "{", 1, 0600, false, &err), 0);
    refused(take("bad", NULL, SNAP_DISK_AUTO), SNAP_REFUSED, file);
    assert_int_equal(unlink(file), 0);
    good(take("s2", NULL, SNAP_DISK_AUTO));
    free(file);
    free(records);
    free(folder);
}

/* A name that is not found may be that of a folder that cannot be read. */
static void test_name_unseen(void **unused)
{
    char uuid[37] = "";
    char *folder = snap_printf("%s/%s", host.root, OTHER_UUID);

    (void)unused;
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    snap_err_clear(&err);
    assert_int_equal(snap_store_resolve(&host.env, "vm9", uuid, &err),
                     SNAP_NOTFOUND);
    assert_non_null(strstr(err.msg, folder));
    assert_int_equal(chmod(folder, 0700), 0);
    snap_err_clear(&err);
    assert_int_equal(snap_store_resolve(&host.env, "vm9", uuid, &err),
                     SNAP_NOTFOUND);
    assert_null(strstr(err.msg, folder));
    free(folder);
}

static void test_in_use(void **unused)
{
    static const char *const disks[] = { "xvda:raw:/img/b.img", NULL };

    (void)unused;
    fake_domain_add(host.world, "vm2", OTHER_UUID, disks);
    refused(take("bad", cfg, SNAP_DISK_AUTO), SNAP_REFUSED,
            "also used by vm2 (xvda)");
}

static int start_it(const char *layer, const char *what)
{
    static const char *const none[] = { NULL };

    if (!strcmp(layer, "disk") && !strcmp(what, "take done xvdb") &&
        !fake_domain_find(host.world, "vm1"))
        fake_domain_add(host.world, "vm1", FAKE_UUID, none);
    return 0;
}

/* Somebody starts it in between: given up, all is as it was.  Its name is
 * known from then on, for whoever has to recover. */
static void test_started(void **unused)
{
    char uuid[37];

    (void)unused;
    assert_int_equal(snap_store_resolve(&host.env, "vm1", uuid, NULL),
                     SNAP_NOTFOUND);
    snap_fault_hook = start_it;
    refused(take("bad", cfg, SNAP_DISK_AUTO), SNAP_BUSY,
            "was started while its disks were taken");
    assert_int_equal(fake_store_snap(host.disks, "/img/a.qcow2", "bad"), 0);
    assert_false(fake_store_exists(host.disks, "/img/b.bad.qcow2"));
    assert_int_equal(snap_store_resolve(&host.env, "vm1", uuid, NULL), 0);
    assert_string_equal(uuid, FAKE_UUID);
}

/* No record is left that knows its configuration. */
static void test_nothing_known(void **unused)
{
    char *path = snap_printf("%s/" FAKE_UUID "/records/s1.json", host.root);

    (void)unused;
    good(take("s1", cfg, SNAP_DISK_AUTO));
    assert_int_equal(unlink(path), 0);
    free(path);
    assert_int_equal(take("bad", NULL, SNAP_DISK_AUTO), SNAP_NOTFOUND);
    assert_non_null(strstr(err.msg, "no snapshot of it is left"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_record),
        T(test_kept_path),
        T(test_hint),
        T(test_known_to_the_store),
        T(test_config_of_current),
        T(test_what_needs_a_guest),
        T(test_no_folder),
        T(test_identity),
        T(test_no_uuid),
        T(test_uuid_of_store),
        T(test_frozen),
        T(test_unseen),
        T(test_name_unseen),
        T(test_in_use),
        T(test_started),
        T(test_nothing_known),
    };
    int fd = mkstemp(cfg), failed;

    close(fd);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(cfg);
    return failed;
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A domain that does not run, on real images: snapshots inside and over them
 * from an xl.cfg and from what the store knows, back to each, and deleted.
 * The hypervisor is the fake one; qemu-io plays the guest.
 */
#include <fcntl.h>
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

#include "fakes/fake_host.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/run.h"
#include "model/disk_ops.h"
#include "op/clone.h"
#include "op/create.h"
#include "op/delete.h"
#include "store/state.h"
#include "store/store.h"
#include "tools/real_dir.h"
#include "tools/real_qemu.h"

static struct fake_host host;
static struct snap_err err;
static char *dir, *cfg, *image[2];
static const char *const vdevs[] = { "xvda", "xvdb" };

static char *tool(const char *const *argv)
{
    struct snap_run r = SNAP_RUN_INIT;
    char *out;

    r.argv = argv;
    if (snap_run(&r, &err))
        fail_msg("%s: %s", argv[0], err.msg);
    out = snap_strdup(r.out);
    snap_run_dispose(&r);
    return out;
}

/* The image that the state, or at first the xl.cfg, names for a disk. */
static char *active(int disk, const char **format_r)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state st = { 0 };
    const struct snap_leaf *leaf;
    char *path;

    if (!snap_store_open(&s, host.root, FAKE_UUID, false, &err))
        snap_state_load(&s, &st, &err);
    leaf = snap_state_leaf(&st, vdevs[disk]);
    path = snap_strdup(leaf ? leaf->path : image[disk]);
    *format_r = (leaf ? !strcmp(leaf->format, "qcow2") : !disk) ? "qcow2"
                                                                : "raw";
    snap_state_dispose(&st);
    snap_store_close(&s);
    return path;
}

static void io(int disk, const char *what)
{
    const char *format;
    char *path = active(disk, &format);

    free(tool((const char *const[]){ "qemu-io", "-f", format, "-c", what, path,
                                     NULL }));
    free(path);
}

static void guest_writes(int pattern)
{
    char *what = snap_printf("write -P %d 0 1M", pattern);

    io(0, what);
    io(1, what);
    free(what);
}

/* qemu-io fails if what it reads is something else. */
static void guest_reads(int pattern)
{
    char *what = snap_printf("read -P %d 0 1M", pattern);
    const char *format;
    int i;

    for (i = 0; i < 2; i++) {
        char *path = active(i, &format), *out;

        out = tool((const char *const[]){ "qemu-io", "-f", format, "-c", what,
                                          path, NULL });
        if (strstr(out, "verification failed"))
            fail_msg("%s does not hold %d:\n%s", path, pattern, out);
        free(out);
        free(path);
    }
    free(what);
}

static void operate(int (*fn)(struct fake_host *h, void *arg,
                              struct snap_err *err),
                    void *arg)
{
    snap_err_clear(&err);
    if (fake_host_attach(&host, &err) || fn(&host, arg, &err))
        fail_msg("%s", err.msg);
    fake_host_detach(&host);
}

static void create(const char *name, enum snap_disk_type type,
                   const char *file, bool keep_path)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)name,
                                   .live = -1,
                                   .type = type,
                                   .keep_path = keep_path,
                                   .domain_config = (char *)file };

    operate(fake_host_create, &req);
}

/* It boots, on the images of the snapshot; then it is off again. */
static void revert(const char *name)
{
    struct snap_revert_req req = { .domain = (char *)"vm1",
                                   .name = (char *)name };

    operate(fake_host_revert, &req);
    fake_domain_find(host.world, "vm1")->exists = false;
}

static void delete (const char *name)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)name };

    operate(fake_host_delete, &req);
}

static int setup(void **state)
{
    char *text;
    struct stat st;

    (void)state;
    snap_err_clear(&err);
    fake_host_init(&host);
    fake_host_stop(&host);
    host.world->started = NULL;
    host.world->stopped = NULL;
    host.env.drivers = snap_disk_drivers;
    dir = real_dir_make();
    image[0] = snap_printf("%s/a.qcow2", dir);
    image[1] = snap_printf("%s/b.img", dir);
    cfg = snap_printf("%s/vm1.cfg", dir);
    free(tool((const char *const[]){ "qemu-img", "create", "-q", "-f", "qcow2",
                                     image[0], "8M", NULL }));
    free(tool((const char *const[]){ "qemu-img", "create", "-q", "-f", "raw",
                                     image[1], "8M", NULL }));
    text = snap_printf("name='vm1'\nuuid='" FAKE_UUID "'\nmemory=64\n"
                       "disk=[ 'format=qcow2,vdev=xvda,target=%s',\n"
                       "       'format=raw,vdev=xvdb,target=%s' ]\n",
                       image[0], image[1]);
    assert_int_equal(
        snap_file_write(cfg, text, strlen(text), 0600, false, &err), 0);
    free(text);
    return stat(cfg, &st);
}

static int teardown(void **state)
{
    (void)state;
    real_dir_remove(dir);
    fake_host_dispose(&host);
    snap_free(&dir);
    snap_free(&cfg);
    snap_free(&image[0]);
    snap_free(&image[1]);
    return 0;
}

/* Inside and over, mixed; each one is there whatever comes after it. */
static void test_mixed(void **state)
{
    (void)state;
    guest_writes(1);
    create("s1", SNAP_DISK_AUTO, cfg, false);
    guest_reads(1);
    guest_writes(2);
    create("s2", SNAP_DISK_INTERNAL, NULL, false);
    guest_writes(3);
    create("s3", SNAP_DISK_EXTERNAL, NULL, false);
    guest_writes(4);
    revert("s2");
    guest_reads(2);
    revert("s1");
    guest_reads(1);
    revert("s3");
    guest_reads(3);
}

/* Internal is only the default where it can be; the note says why not, and
 * does not advise what was done. */
static void test_taken_externally(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .live = -1,
                                   .domain_config = cfg };
    struct snap_create_plan p;
    char *why;

    (void)state;
    free(tool((const char *const[]){ "qemu-img", "create", "-q", "-f", "qcow2",
                                     "-o", "refcount_bits=1", image[0], "8M",
                                     NULL }));
    guest_writes(1);
    assert_int_equal(fake_host_attach(&host, &err), 0);
    assert_int_equal(snap_create_plan_make(&host.env, &req, true, &p, &err),
                     0);
    assert_int_equal(p.rec.parts[0].type, SNAP_DISK_EXTERNAL);
    why = snap_printf("xvda: taken externally, since %s counts the users of a "
                      "cluster in 1 bits, which is too few for another "
                      "snapshot inside it",
                      image[0]);
    assert_true(p.ses.n_notes > 0);
    assert_string_equal(p.ses.notes[0], why);
    free(why);
    snap_create_plan_dispose(&p);
    /* Who asks for it in so many words is refused. */
    req.type = SNAP_DISK_INTERNAL;
    assert_int_equal(snap_create_plan_make(&host.env, &req, true, &p, &err),
                     SNAP_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "use type=external"));
    fake_host_detach(&host);
    create("s1", SNAP_DISK_AUTO, cfg, false);
    guest_writes(2);
    revert("s1");
    guest_reads(1);
}

static void test_chain(void **state)
{
    (void)state;
    guest_writes(1);
    create("s1", SNAP_DISK_EXTERNAL, cfg, false);
    guest_writes(2);
    create("s2", SNAP_DISK_EXTERNAL, NULL, false);
    guest_writes(3);
    create("s3", SNAP_DISK_EXTERNAL, NULL, true);
    guest_reads(3);
    guest_writes(4);
    delete ("s2");
    guest_reads(4);
    revert("s1");
    guest_reads(1);
    revert("s3");
    guest_reads(3);
    delete ("s1");
    delete ("s3");
    guest_reads(3);
}

/* What one disk was promised is not there for the next one. */
static void test_space_adds_up(void **state)
{
    struct snap_create_req create_req = { .domain = (char *)"vm1",
                                          .name = (char *)"s3",
                                          .live = -1,
                                          .type = SNAP_DISK_EXTERNAL };
    struct snap_delete_req delete_req = { .domain = (char *)"vm1",
                                          .name = (char *)"s1" };
    struct snap_clone_req clone_req = { .domain = (char *)"vm1",
                                        .name = (char *)"s0",
                                        .new_name = (char *)"vm2" };
    struct snap_create_plan c;
    struct snap_delete_plan d;
    struct snap_clone_plan n;
    uint64_t a, b;

    (void)state;
    guest_writes(1);
    create("s0", SNAP_DISK_AUTO, cfg, false);
    create("s1", SNAP_DISK_EXTERNAL, NULL, false);
    guest_writes(2);
    create("s2", SNAP_DISK_EXTERNAL, NULL, false);
    assert_int_equal(fake_host_attach(&host, &err), 0);

    assert_int_equal(
        snap_create_plan_make(&host.env, &create_req, true, &c, &err), 0);
    assert_int_equal(c.ses.space.n, 1);
    assert_int_equal(c.ses.space.fs[0].kept, 64 << 20);
    assert_int_equal(c.ses.space.fs[0].taken, 0);
    snap_create_plan_dispose(&c);

    assert_int_equal(
        snap_delete_plan_make(&host.env, &delete_req, true, &d, &err), 0);
    a = d.del[0].bytes;
    b = d.del[1].bytes;
    assert_true(a && b);
    assert_int_equal(d.ses.space.n, 1);
    assert_int_equal(d.ses.space.fs[0].taken, a + b);
    snap_delete_plan_dispose(&d);

    assert_int_equal(
        snap_clone_plan_make(&host.env, &clone_req, true, &n, &err), 0);
    assert_int_equal(n.ses.space.n, 1);
    assert_true(n.ses.space.fs[0].taken >= 1 << 20);
    snap_clone_plan_dispose(&n);
    fake_host_detach(&host);
}

/* An image that somebody has open is left alone. */
static void test_in_use(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .live = -1,
                                   .domain_config = cfg };
    char *before, *after;
    FILE *f;

    (void)state;
    guest_writes(1);
    before = real_dir_digest(dir);
    f = fopen(image[1], "r+");
    assert_non_null(f);
    assert_int_equal(fake_host_attach(&host, &err), 0);
    assert_int_equal(fake_host_create(&host, &req, &err), SNAP_BUSY);
    fake_host_detach(&host);
    assert_non_null(strstr(err.msg, image[1]));
    fclose(f);
    after = real_dir_digest(dir);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

/* --keep-path lets the old path name another image.  The snapshot inside the
 * one before is found, and the image stays: a record needs it. */
static void test_inside_a_kept_path(void **state)
{
    (void)state;
    guest_writes(9);
    create("s0", SNAP_DISK_EXTERNAL, cfg, false);
    guest_writes(1);
    create("s1", SNAP_DISK_EXTERNAL, NULL, true);
    guest_writes(2);
    create("i2", SNAP_DISK_INTERNAL, NULL, false);
    guest_writes(3);
    create("s3", SNAP_DISK_EXTERNAL, NULL, false);
    revert("s1");
    guest_reads(1);
    revert("i2");
    guest_reads(2);
    revert("s3");
    guest_reads(3);
    revert("s1");
    delete ("s3");
    delete ("i2");
    delete ("s1");
    guest_reads(1);
}

/* A leaf that --keep-path made is ours: it goes when nobody needs it. */
static void test_no_orphan_of_a_kept_path(void **state)
{
    char *leaf, *text;

    (void)state;
    guest_writes(1);
    text = snap_printf("name='vm1'\nuuid='" FAKE_UUID "'\nmemory=64\n"
                       "disk=[ 'format=qcow2,vdev=xvda,target=%s' ]\n",
                       image[0]);
    assert_int_equal(
        snap_file_write(cfg, text, strlen(text), 0600, false, &err), 0);
    free(text);
    create("s1", SNAP_DISK_EXTERNAL, cfg, true);
    leaf = realpath(image[0], NULL);
    assert_non_null(leaf);
    assert_string_not_equal(leaf, image[0]);
    revert("s1");
    guest_reads(1);
    assert_false(snap_file_exists(leaf));
    free(leaf);
}

/* What the user made inside the image is his. */
static void test_somebody_elses_snapshot_inside(void **state)
{
    const char *format;
    char *leaf;

    (void)state;
    guest_writes(1);
    create("s1", SNAP_DISK_EXTERNAL, cfg, false);
    leaf = active(0, &format);
    free(tool((const char *const[]){ "qemu-img", "snapshot", "-c", "mine",
                                     leaf, NULL }));
    revert("s1");
    guest_reads(1);
    assert_true(snap_file_exists(leaf));
    free(leaf);
}

/* The domain came again under another UUID, as it does from an xl.cfg without
 * one.  Its snapshot is inside the image that the first one would drop. */
static const char other[] = "99999999-2222-3333-4444-555555555555";

static void test_needed_under_another_uuid(void **state)
{
    const char *format;
    char *leaf, *text;

    (void)state;
    guest_writes(1);
    create("s1", SNAP_DISK_EXTERNAL, cfg, false);
    leaf = active(0, &format);
    text = snap_printf("name='vm2'\nuuid='%s'\nmemory=64\n"
                       "disk=[ 'format=qcow2,vdev=xvda,target=%s' ]\n",
                       other, leaf);
    assert_int_equal(
        snap_file_write(cfg, text, strlen(text), 0600, false, &err), 0);
    free(text);
    {
        struct snap_create_req req = { .domain = (char *)"vm2",
                                       .name = (char *)"t1",
                                       .live = -1,
                                       .type = SNAP_DISK_INTERNAL,
                                       .domain_config = cfg };

        operate(fake_host_create, &req);
    }
    revert("s1");
    guest_reads(1);
    assert_true(snap_file_exists(leaf));
    free(leaf);
}

/* Who knows what a record needs that cannot be read? */
static void test_a_neighbour_that_cannot_be_read(void **state)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1" };
    const char *format;
    char *leaf, *before, *after, *folder, *record;

    (void)state;
    folder = snap_printf("%s/%s/records", host.root, other);
    record = snap_printf("%s/x.json", folder);
    guest_writes(1);
    create("s1", SNAP_DISK_EXTERNAL, cfg, false);
    leaf = active(0, &format);
    assert_int_equal(snap_dir_make(folder, 0700, &err), 0);
    assert_int_equal(snap_file_write(record, "{", 1, 0600, true, &err), 0);

    revert("s1");
    guest_reads(1);
    assert_true(snap_file_exists(leaf));

    before = real_dir_digest(dir);
    assert_int_equal(fake_host_attach(&host, &err), 0);
    assert_int_equal(fake_host_delete(&host, &req, &err), SNAP_REFUSED);
    fake_host_detach(&host);
    assert_non_null(strstr(err.msg, record));
    assert_non_null(strstr(err.msg, "move it away"));
    after = real_dir_digest(dir);
    assert_string_equal(before, after);

    /* As the message says. */
    assert_int_equal(unlink(record), 0);
    delete ("s1");
    guest_reads(1);
    free(leaf);
    free(before);
    free(after);
    free(folder);
    free(record);
}

/* And what those need whose folder is a link, which nobody follows? */
static void test_a_neighbour_behind_a_link(void **state)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1" };
    const char *format;
    char *leaf, *before, *after, *folder;

    (void)state;
    folder = snap_printf("%s/%s", host.root, other);
    guest_writes(1);
    create("s1", SNAP_DISK_EXTERNAL, cfg, false);
    leaf = active(0, &format);
    assert_int_equal(symlink("/nowhere", folder), 0);
    revert("s1");
    guest_reads(1);
    assert_true(snap_file_exists(leaf));

    before = real_dir_digest(dir);
    assert_int_equal(fake_host_attach(&host, &err), 0);
    assert_int_equal(fake_host_delete(&host, &req, &err), SNAP_REFUSED);
    fake_host_detach(&host);
    assert_non_null(strstr(err.msg, folder));
    after = real_dir_digest(dir);
    assert_string_equal(before, after);
    assert_int_equal(unlink(folder), 0);
    delete ("s1");
    guest_reads(1);
    free(leaf);
    free(before);
    free(after);
    free(folder);
}

static void tool_ok(const char *program, const char *option, const char *file)
{
    free(tool((const char *const[]){ program, option, file, NULL }));
}

/* s1 cannot be deleted, and nothing happens to any image. */
static void refused(const char *name, const char *const *words)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)name };
    char *before = real_dir_digest(dir), *after;

    snap_err_clear(&err);
    assert_int_equal(fake_host_attach(&host, &err), 0);
    assert_int_equal(fake_host_delete(&host, &req, &err), SNAP_REFUSED);
    fake_host_detach(&host);
    for (; *words; words++)
        if (!strstr(err.msg, *words))
            fail_msg("\"%s\" does not say \"%s\"", err.msg, *words);
    after = real_dir_digest(dir);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

/* What is not there may stand on the image that would go: not mounted, moved
 * away, its header damaged. */
static void test_what_is_not_seen(void **state)
{
    const char *format;
    char *leaf, *middle, *away = snap_printf("%s/away", dir);
    static const char zeros[4];
    char head[4];
    struct stat st;
    FILE *f;

    (void)state;
    guest_writes(1);
    create("s1", SNAP_DISK_EXTERNAL, cfg, false);
    middle = active(0, &format);
    guest_writes(2);
    create("s2", SNAP_DISK_EXTERNAL, NULL, false);
    leaf = active(0, &format);
    guest_writes(3);

    assert_int_equal(rename(leaf, away), 0);
    refused("s1", (const char *const[]){ leaf, "the domain's disk",
                                         "not there", NULL });
    refused("s2", (const char *const[]){ leaf, "the domain's disk", NULL });
    assert_int_equal(rename(away, leaf), 0);

    tool_ok("chattr", "-i", middle);
    assert_int_equal(rename(middle, away), 0);
    refused("s1", (const char *const[]){ middle, "snapshot s2 needs",
                                         "delete s2 first", NULL });
    assert_int_equal(rename(away, middle), 0);

    assert_int_equal(stat(middle, &st), 0);
    f = fopen(middle, "r+");
    assert_non_null(f);
    assert_int_equal(fread(head, 1, 4, f), 4);
    rewind(f);
    assert_int_equal(fwrite(zeros, 1, 4, f), 4);
    assert_int_equal(fclose(f), 0);
    refused("s1", (const char *const[]){ middle, "snapshot s2 needs", NULL });
    f = fopen(middle, "r+");
    assert_non_null(f);
    assert_int_equal(fwrite(head, 1, 4, f), 4);
    assert_int_equal(fclose(f), 0);

    utimensat(AT_FDCWD, middle, (struct timespec[]){ st.st_atim, st.st_mtim },
              0);
    tool_ok("chattr", "+i", middle);

    /* All is there again, and nothing was lost. */
    guest_reads(3);
    delete ("s1");
    guest_reads(3);
    revert("s2");
    guest_reads(2);
    free(leaf);
    free(middle);
    free(away);
}

/* The image of a snapshot is lost for good.  The others can be given up. */
static void test_lost_for_good(void **state)
{
    const char *format;
    char *middle, *path;
    int i;

    (void)state;
    guest_writes(1);
    create("s1", SNAP_DISK_EXTERNAL, cfg, false);
    middle = active(0, &format);
    path = active(1, &format);
    guest_writes(2);
    create("s2", SNAP_DISK_EXTERNAL, NULL, false);
    create("s3", SNAP_DISK_EXTERNAL, NULL, false);
    for (i = 0; i < 2; i++) {
        tool_ok("chattr", "-i", i ? path : middle);
        assert_int_equal(unlink(i ? path : middle), 0);
    }
    refused("s1", (const char *const[]){ "delete s2 first", NULL });
    revert("s1");
    guest_reads(1);
    delete ("s3");
    delete ("s2");
    delete ("s1");
    guest_reads(1);
    free(middle);
    free(path);
}

/* An xl.cfg from before; nothing is frozen any more, and what it names is old.
 * A file that is no record does not stop a deletion. */
static void test_a_stale_file(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s3",
                                   .live = -1,
                                   .domain_config = cfg };
    const char *format;
    char *now, *note;

    (void)state;
    guest_writes(1);
    create("i1", SNAP_DISK_AUTO, cfg, false);
    create("s2", SNAP_DISK_EXTERNAL, NULL, false);
    guest_writes(2);
    create("s3", SNAP_DISK_EXTERNAL, NULL, false);
    note = snap_printf("%s/" FAKE_UUID "/records/README", host.root);
    assert_int_equal(snap_file_write(note, "hi", 2, 0600, true, &err), 0);
    delete ("s2");
    delete ("s3");
    delete ("i1");
    now = active(0, &format);
    if (strcmp(now, image[0]) != 0) {
        snap_err_clear(&err);
        assert_int_equal(fake_host_attach(&host, &err), 0);
        assert_int_equal(fake_host_create(&host, &req, &err), SNAP_REFUSED);
        fake_host_detach(&host);
        assert_non_null(strstr(err.msg, "but the domain wrote to"));
        assert_non_null(strstr(err.msg, now));
    } else {
        fail_msg("the disk has its old path: this tests nothing");
    }
    guest_reads(2);
    assert_int_equal(unlink(note), 0);
    free(now);
    free(note);
}

/* A link is no way around: the image behind it is frozen. */
static void test_frozen_behind_a_link(void **state)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s2",
                                   .live = -1,
                                   .domain_config = cfg };
    char *text, *link = snap_printf("%s/link.qcow2", dir);

    (void)state;
    guest_writes(1);
    create("s1", SNAP_DISK_EXTERNAL, cfg, false);
    assert_int_equal(symlink(image[0], link), 0);
    text = snap_printf("name='vm1'\nuuid='" FAKE_UUID "'\nmemory=64\n"
                       "disk=[ 'format=qcow2,vdev=xvda,target=%s' ]\n",
                       link);
    assert_int_equal(
        snap_file_write(cfg, text, strlen(text), 0600, false, &err), 0);
    free(text);
    assert_int_equal(fake_host_attach(&host, &err), 0);
    assert_int_equal(fake_host_create(&host, &req, &err), SNAP_REFUSED);
    fake_host_detach(&host);
    assert_non_null(strstr(err.msg, "which a snapshot froze"));
    free(link);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_mixed),
        T(test_taken_externally),
        T(test_chain),
        T(test_space_adds_up),
        T(test_in_use),
        T(test_inside_a_kept_path),
        T(test_no_orphan_of_a_kept_path),
        T(test_somebody_elses_snapshot_inside),
        T(test_needed_under_another_uuid),
        T(test_a_neighbour_that_cannot_be_read),
        T(test_a_neighbour_behind_a_link),
        T(test_what_is_not_seen),
        T(test_lost_for_good),
        T(test_a_stale_file),
        T(test_frozen_behind_a_link),
    };
    const char *missing = real_qemu_missing();

    if (missing) {
        printf("1..0 # SKIP a domain that does not run, on real images: %s\n",
               missing);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

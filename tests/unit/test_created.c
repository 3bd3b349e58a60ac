/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What a create leaves behind: nobody but its owner can read the memory of a
 * guest, nobody can write to what it froze, and a file of somebody else's is
 * neither removed nor taken for the memory image.
 */
#include <errno.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/check.h"
#include "fakes/fake_host.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "store/store.h"

#define OTHER_UUID "22222222-2222-3333-4444-555555555555"

static struct fake_host host;
static struct snap_err err;

static int setup(void **state)
{
    (void)state;
    snap_err_clear(&err);
    fake_host_init(&host);
    return fake_host_attach(&host, &err);
}

static int teardown(void **state)
{
    (void)state;
    snap_fault_hook = NULL;
    fake_host_detach(&host);
    fake_host_dispose(&host);
    return 0;
}

static int create(enum snap_memory_want memory)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .live = -1,
                                   .memory = memory,
                                   .type = SNAP_DISK_EXTERNAL };

    return fake_host_create(&host, &req, &err);
}

static mode_t mode_of(const char *name)
{
    struct stat st;
    char *path = snap_printf("%s/%s/%s", host.root, FAKE_UUID, name);

    if (stat(path, &st))
        fail_msg("%s is not there", path);
    free(path);
    return st.st_mode & 07777;
}

/* What is being written of the memory of s1: there is one, of this mode. */
static void look_for_parts(mode_t mode)
{
    struct stat st;
    glob_t g;
    char *pattern = snap_printf("%s/%s/memory/s1.save.part*", host.root,
                                FAKE_UUID);

    assert_int_equal(glob(pattern, 0, NULL, &g), 0);
    assert_int_equal(g.gl_pathc, 1);
    assert_int_equal(stat(g.gl_pathv[0], &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
    globfree(&g);
    free(pattern);
}

/* With the least umask there is: while it is written, and afterwards. */
static unsigned looks;

static int look_while_it_is_written(const char *layer, const char *what)
{
    if (strcmp(layer, "hyp") != 0 || strcmp(what, "save") != 0)
        return 0;
    look_for_parts(0600);
    looks++;
    return 0;
}

static void memory_is_for_its_owner(void **state)
{
    mode_t old = umask(0);

    (void)state;
    looks = 0;
    snap_fault_hook = look_while_it_is_written;
    assert_int_equal(create(SNAP_MEM_DEFAULT), 0);
    umask(old);
    assert_int_equal(looks, 1);
    assert_int_equal(mode_of("memory/s1.save"), 0600);
    assert_int_equal(mode_of("records/s1.json"), 0600);
    assert_int_equal(mode_of("state.json"), 0600);
}

static void what_is_frozen_is_protected(void **state)
{
    static const char *const frozen[] = { "/img/a.qcow2", "/img/b.img" };
    size_t i;

    (void)state;
    assert_int_equal(create(SNAP_MEM_NO), 0);
    for (i = 0; i < 2; i++)
        assert_true(fake_store_find(host.disks, frozen[i])->immutable);
}

/* ---- --memory FILE, and somebody else's file ---- */

static char folder[] = "/tmp/snap-created-XXXXXX", *file, *theirs;
static struct before before;

static int setup_file(void **state)
{
    if (!mkdtemp(folder))
        return -1;
    file = snap_printf("%s/m.save", folder);
    theirs = snap_printf("%s/m.save.part", folder);
    if (setup(state))
        return -1;
    before_take(&before, &host);
    return 0;
}

static int teardown_file(void **state)
{
    unlink(file);
    unlink(theirs);
    /* Nothing else is left. */
    assert_int_equal(rmdir(folder), 0);
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
    snap_free(&file);
    snap_free(&theirs);
    return teardown(state);
}

static int create_in_file(void)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .live = -1,
                                   .memory = SNAP_MEM_YES,
                                   .memory_file = file,
                                   .type = SNAP_DISK_EXTERNAL };

    snap_err_clear(&err);
    return fake_host_create(&host, &req, &err);
}

static void put(const char *path, const char *text)
{
    unlink(path);
    assert_int_equal(
        snap_file_write(path, text, strlen(text), 0600, true, NULL), 0);
}

static void has(const char *path, const char *text)
{
    char *now = NULL;
    size_t len;

    assert_int_equal(snap_file_read(path, 1 << 20, &now, &len, &err), 0);
    assert_string_equal(now, text);
    free(now);
}

static int recover(void)
{
    struct fake_outcome out;

    fake_host_run(&host, fake_host_recover, NULL, DOOM_NONE, 0, 0, &out);
    snap_err_clear(&err);
    return out.rc ? snap_fail(&err, out.rc, "%s", out.msg) : 0;
}

/* Its size and checksum are those of what is in the file. */
static void has_its_memory(bool memory)
{
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record r = { 0 };
    bool there;
    const char *w;

    w = check_record(&host, "s1", true, &before, &there);
    if (w)
        fail_msg("%s", w);
    assert_true(there);
    assert_int_equal(snap_store_open(&s, host.root, FAKE_UUID, false, &err),
                     0);
    assert_int_equal(snap_store_get(&s, "s1", host.env.drivers, &r, &err), 0);
    assert_int_equal(r.has_memory, memory);
    if (memory)
        assert_string_equal(r.mem_path, file);
    snap_record_dispose(&r);
    snap_store_close(&s);
}

static void a_file_of_the_users(void **state)
{
    (void)state;
    put(theirs, "a user's own");
    assert_int_equal(create_in_file(), 0);
    has(theirs, "a user's own");
    has_its_memory(true);
}

/* Another command's image, or a user's, under the name that ours is to get. */
static int make_it_meanwhile(const char *layer, const char *what)
{
    if (!strcmp(layer, "hyp") && !strcmp(what, "save"))
        put(file, "somebody else's");
    return 0;
}

static void a_file_that_was_made_meanwhile(void **state)
{
    (void)state;
    snap_fault_hook = make_it_meanwhile;
    assert_int_equal(create_in_file(), SNAP_RECOVER);
    snap_fault_hook = NULL;
    has(file, "somebody else's");
    assert_non_null(strstr(err.msg, file));
    assert_non_null(strstr(err.msg, "move it away"));
    /* Until then it is not finished, and nothing is lost. */
    assert_int_equal(recover(), SNAP_RECOVER);
    has(file, "somebody else's");
    assert_non_null(strstr(err.msg, "move it away"));
    assert_int_equal(unlink(file), 0);
    assert_int_equal(recover(), 0);
    has_its_memory(true);
}

static int end_when_it_has_its_name(const char *layer, const char *what)
{
    static bool named;

    if (named)
        _exit(0);
    named = !strcmp(layer, "file") && snap_has_prefix(what, "rename ") &&
            strstr(what, file);
    return 0;
}

static void dies(void)
{
    pid_t pid;
    int status;

    fflush(NULL);
    pid = fork();
    if (!pid) {
        snap_fault_hook = end_when_it_has_its_name;
        create_in_file();
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(snap_file_exists(file));
}

static void a_death_when_it_has_its_name(void **state)
{
    (void)state;
    dies();
    assert_int_equal(recover(), 0);
    has_its_memory(true);
}

/* Ours is gone, and there is another one. */
static void a_file_that_came_instead(void **state)
{
    (void)state;
    dies();
    put(theirs, "somebody else's");
    assert_int_equal(rename(theirs, file), 0);
    assert_int_equal(recover(), 0);
    has(file, "somebody else's");
    has_its_memory(false);
}

/* vm2, of as many bytes as vm1, gets an image in the same file. */
static void another_domain_takes(bool record)
{
    static const char *const disks[] = { "xvda:qcow2:/img/c.qcow2",
                                         "xvdb:raw:/img/d.img", NULL };
    struct snap_create_req req = { .domain = (char *)"vm2",
                                   .name = (char *)"s1",
                                   .live = -1,
                                   .memory = SNAP_MEM_YES,
                                   .memory_file = file,
                                   .no_metadata = !record,
                                   .output = record ? NULL : theirs,
                                   .type = SNAP_DISK_EXTERNAL };

    fake_store_add(host.disks, "/img/c.qcow2", "qcow2", 1 << 30);
    fake_store_add(host.disks, "/img/d.img", "raw", 1 << 30);
    fake_domain_add(host.world, "vm2", OTHER_UUID, disks);
    if (fake_host_create(&host, &req, &err))
        fail_msg("%s", err.msg);
}

static void delete_s1(void)
{
    struct snap_delete_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1" };

    host.said[0] = '\0';
    if (fake_host_delete(&host, &req, &err))
        fail_msg("%s", err.msg);
}

/* Ours was moved to an archive, and its name is another image's now. */
static void a_name_that_is_anothers_now(bool record)
{
    struct stat ours, now;

    assert_int_equal(create_in_file(), 0);
    assert_int_equal(stat(file, &ours), 0);
    assert_int_equal(unlink(file), 0);
    another_domain_takes(record);
    assert_int_equal(stat(file, &now), 0);
    assert_int_equal(now.st_size, ours.st_size);
    delete_s1();
    assert_true(snap_file_exists(file));
    assert_non_null(strstr(host.said, file));
    assert_non_null(strstr(host.said, "is kept"));
}

static void a_name_in_another_record(void **state)
{
    (void)state;
    a_name_that_is_anothers_now(true);
}

static void a_name_in_no_record(void **state)
{
    (void)state;
    a_name_that_is_anothers_now(false);
}

/* Not even an image, or not the whole of it. */
static void a_name_that_is_no_images_now(void **state)
{
    (void)state;
    assert_int_equal(create_in_file(), 0);
    put(file, "somebody else's");
    delete_s1();
    has(file, "somebody else's");
    assert_non_null(strstr(host.said, file));
}

static void what_is_ours_goes(void **state)
{
    (void)state;
    assert_int_equal(create_in_file(), 0);
    delete_s1();
    assert_false(snap_file_exists(file));
    assert_null(strstr(host.said, file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(memory_is_for_its_owner, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_frozen_is_protected, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_file_of_the_users, setup_file,
                                        teardown_file),
        cmocka_unit_test_setup_teardown(a_file_that_was_made_meanwhile,
                                        setup_file, teardown_file),
        cmocka_unit_test_setup_teardown(a_death_when_it_has_its_name,
                                        setup_file, teardown_file),
        cmocka_unit_test_setup_teardown(a_file_that_came_instead, setup_file,
                                        teardown_file),
        cmocka_unit_test_setup_teardown(a_name_in_another_record, setup_file,
                                        teardown_file),
        cmocka_unit_test_setup_teardown(a_name_in_no_record, setup_file,
                                        teardown_file),
        cmocka_unit_test_setup_teardown(a_name_that_is_no_images_now,
                                        setup_file, teardown_file),
        cmocka_unit_test_setup_teardown(what_is_ours_goes, setup_file,
                                        teardown_file),
    };

    return cmocka_run_group_tests_name("test_created", tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/* What there is to list is found, with Xen and without, and what cannot be
 * read is named. */
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
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "op/listing.h"
#include "op/resolve.h"
#include "store/journal.h"
#include "store/lock.h"
#include "store/store.h"

#define OTHER_UUID "11111111-2222-3333-4444-5555555555aa"

static struct fake_host host;

static int setup(void **state)
{
    static const char *const none[] = { NULL };
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .live = -1 };
    struct snap_err err = SNAP_ERR_INIT;

    (void)state;
    fake_host_init(&host);
    fake_domain_add(host.world, "vm2", OTHER_UUID, none);
    if (fake_host_attach(&host, &err) || fake_host_create(&host, &req, &err))
        return -1;
    host.said[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    snap_fault_hook = NULL;
    fake_host_detach(&host);
    fake_host_dispose(&host);
    return 0;
}

static struct snap_listing *ls;
static size_t n;

static int load(const char *who)
{
    struct snap_err err = SNAP_ERR_INIT;
    int rc;

    snap_listings_free(&ls, &n);
    rc = snap_listings_load(&host.env, who, &ls, &n, &err);
    assert_int_equal(rc, err.rc);
    if (rc)
        assert_null(ls);
    return rc;
}

static void says(const char *words)
{
    if (!strstr(host.said, words))
        fail_msg("\"%s\" does not say \"%s\"", host.said, words);
}

static void one_domain(void **state)
{
    static const char *const names[] = { "vm1", "1", FAKE_UUID };
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        assert_int_equal(load(names[i]), 0);
        assert_int_equal(n, 1);
        assert_string_equal(ls->name, "vm1");
        assert_string_equal(ls->uuid, FAKE_UUID);
        assert_true(ls->there);
        assert_string_equal(ls->current, "s1");
        assert_null(ls->interrupted);
        assert_int_equal(ls->n, 1);
        assert_string_equal(ls->rs[0].name, "s1");
        assert_null(ls->rs[0].config_json);
    }
    assert_int_equal(load("nobody"), SNAP_NOTFOUND);
    /* Never snapshotted: there, and without any. */
    assert_int_equal(load("vm2"), 0);
    assert_int_equal(ls->n, 0);
    assert_int_equal(load("11111111-2222-3333-4444-5555555555AA"), 0);
    assert_string_equal(ls->name, "vm2");
    assert_string_equal(host.said, "");
    snap_listings_free(&ls, &n);
}

static void all_of_the_store(void **state)
{
    (void)state;
    assert_int_equal(load(NULL), 0);
    assert_int_equal(n, 1);
    assert_string_equal(ls->name, "vm1");
    snap_listings_free(&ls, &n);
}

static void a_domain_that_is_gone(void **state)
{
    (void)state;
    fake_domain_find(host.world, "vm1")->exists = false;
    assert_int_equal(load("vm1"), 0);
    assert_false(ls->there);
    assert_string_equal(ls->name, "vm1");
    assert_int_equal(load(FAKE_UUID), 0);
    assert_int_equal(load("1"), SNAP_NOTFOUND);
    assert_int_equal(load(NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(ls->n, 1);
    snap_listings_free(&ls, &n);
}

static void a_domain_with_another_name(void **state)
{
    (void)state;
    snprintf(fake_domain_find(host.world, "vm1")->name, 64, "renamed");
    assert_int_equal(load(NULL), 0);
    assert_string_equal(ls->name, "renamed");
    assert_int_equal(load("renamed"), 0);
    assert_int_equal(ls->n, 1);
    snap_listings_free(&ls, &n);
}

static void without_xen(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    char uuid[37] = "";

    (void)state;
    fake_host_detach(&host);
    assert_int_equal(load("vm1"), 0);
    assert_false(ls->there);
    assert_int_equal(ls->n, 1);
    assert_int_equal(load(NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(load("vm2"), SNAP_NOTFOUND);
    assert_int_equal(snap_resolve(&host.env, "vm1", uuid, &err), 0);
    assert_string_equal(uuid, FAKE_UUID);
    snap_listings_free(&ls, &n);
}

static int no_domain(const char *layer, const char *what)
{
    return !strcmp(layer, "hyp") && !strncmp(what, "find", 4) ? 5 : 0;
}

/* Xen that fails is not a domain that does not exist. */
static void xen_fails(void **state)
{
    (void)state;
    snap_fault_hook = no_domain;
    assert_int_not_equal(load("vm1"), 0);
    assert_int_equal(load(NULL), 0);
    says(FAKE_UUID ": ");
    assert_int_equal(ls->n, 1);
    assert_string_equal(ls->name, "vm1");
    snap_listings_free(&ls, &n);
}

static char *below(const char *name)
{
    return snap_printf("%s/" FAKE_UUID "/%s", host.root, name);
}

static void plant(const char *name, const char *text)
{
    struct snap_err err = SNAP_ERR_INIT;
    char *path = below(name);

    assert_int_equal(
        snap_file_write(path, text, strlen(text), 0600, false, &err), 0);
    free(path);
}

static void damage(void **state)
{
    char *path;

    (void)state;
    plant("records/torn.json", "{");
    plant("state.json", "garbage");
    assert_int_equal(load("vm1"), 0);
    says("snapshot torn is damaged and left out");
    says("it is not known which snapshot is current: ");
    assert_int_equal(ls->n, 1);
    assert_null(ls->current);

    /* A name that nobody knows is the one in the newest record. */
    fake_domain_find(host.world, "vm1")->exists = false;
    assert_int_equal(load(NULL), 0);
    assert_string_equal(ls->name, "vm1");
    assert_int_equal(load("vm1"), 0);
    assert_int_equal(ls->n, 1);
    path = below("records/s1.json");
    unlink(path);
    free(path);
    assert_int_equal(load(NULL), 0);
    assert_string_equal(ls->name, FAKE_UUID);

    /* A folder that cannot be trusted: the others are listed. */
    path = below("");
    chmod(path, 0777);
    free(path);
    host.said[0] = '\0';
    assert_int_equal(load(NULL), 0);
    assert_int_equal(n, 0);
    says("domain " FAKE_UUID " is left out: ");
    assert_int_equal(load(FAKE_UUID), SNAP_REFUSED);
    snap_listings_free(&ls, &n);
}

static void a_journal_that_waits(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_journal j = SNAP_JOURNAL_INIT;
    struct snap_json *plan = snap_json_object();
    struct snap_store s = SNAP_STORE_INIT;
    char *path = below("journal");

    (void)state;
    assert_int_equal(snap_journal_begin(&j, path, "revert", plan, &err), 0);
    snap_journal_dispose(&j);
    snap_json_free(plan);
    assert_int_equal(load("vm1"), 0);
    assert_string_equal(ls->interrupted, "revert");
    says("vm1: an interrupted snapshot-revert waits to be recovered; run "
         "xl snapshot-recover vm1\n");
    assert_true(snap_file_exists(path));

    /* Its command lives. */
    assert_int_equal(snap_store_open(&s, host.root, FAKE_UUID, false, &err),
                     0);
    assert_int_equal(snap_store_lock(&s, false, "snapshot-revert", NULL, &err),
                     0);
    host.said[0] = '\0';
    assert_int_equal(load("vm1"), 0);
    assert_null(ls->interrupted);
    says("vm1: snapshot-revert (pid ");
    says(") is at work\n");
    snap_store_close(&s);

    plant("journal", "garbage\ngarbage\n");
    host.said[0] = '\0';
    assert_int_equal(load("vm1"), 0);
    assert_string_equal(ls->interrupted, "unknown");
    says("vm1: an interrupted snapshot command waits to be recovered");
    unlink(path);
    free(path);
    host.said[0] = '\0';
    assert_int_equal(load("vm1"), 0);
    assert_null(ls->interrupted);
    assert_string_equal(host.said, "");
    snap_listings_free(&ls, &n);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(one_domain),
        T(all_of_the_store),
        T(a_domain_that_is_gone),
        T(a_domain_with_another_name),
        T(without_xen),
        T(xen_fails),
        T(damage),
        T(a_journal_that_waits),
    };

    return cmocka_run_group_tests_name("listing", tests, NULL, NULL);
}

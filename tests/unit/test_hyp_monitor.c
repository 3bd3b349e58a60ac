/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The life of the monitor of a domain that we booted: a process of its own, as
 * create() starts it, over the fakes' Xen.  What it does when the guest ends in
 * any way, what it logs, and what it leaves alone.
 */
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/xen/fake_xenstore.h"
#include "fakes/xen/xen_scene.h"
#include "hyp/ctx.h"
#include "hyp/daemon.h"
#include "hyp/limits.h"
#include "hyp/monitor.h"
#include "lib/file.h"

#define SOON_MS 20000 /* for what comes at once */
#define NAP_US  2000

/* As libxl writes it; "destroy" is what it leaves out. */
#define ON(what, action) ",\"on_" what "\":\"" action "\""

struct life {
    struct xen_scene *s;
    pid_t daemon;
    char *log;
};
static struct life life;

static int begin(void **state)
{
    int rc = xen_scene_begin(state);

    life = (struct life){ .s = *state };
    life.log = xen_scene_path(life.s, "xl-g.log");
    return rc;
}

static int end(void **state)
{
    if (life.daemon) {
        kill(life.daemon, SIGKILL);
        waitpid(life.daemon, NULL, 0);
    }
    free(life.log);
    return xen_scene_end(state);
}

/* --- what a test does and sees ----------------------------------------- */

/* The one child that we have. */
static pid_t child(void)
{
    char path[64], text[64] = "";
    FILE *f;

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
    f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof(text), f));
    fclose(f);
    return (pid_t)strtol(text, NULL, 10);
}

/* It watches the guest, which has this in its configuration. */
static int start(const char *more)
{
    struct fake_guest *d = fake_guest(life.s->dom.domid);
    char *config = xen_scene_config(more);
    pid_t self = getpid();
    int rc;

    if (d)
        snprintf(d->config, sizeof(d->config), "%s", config);
    free(config);
    rc = hyp_monitor_main(life.s->dom.domid, life.log);
    if (getpid() != self)
        _exit(rc); /* as the program does */
    life.daemon = child();
    if (rc) {
        assert_int_equal(waitpid(life.daemon, NULL, 0), life.daemon);
        life.daemon = 0;
    }
    return rc;
}

/* What it wrote so far; caller frees. */
static char *log_text(void)
{
    char *text = NULL;
    size_t len;

    if (snap_file_read(life.log, 1 << 20, &text, &len, NULL))
        return snap_strdup("");
    return text;
}

static void logged(const char *words)
{
    double deadline = snap_now_ms() + SOON_MS;
    char *text = log_text();

    while (!strstr(text, words) && snap_now_ms() < deadline) {
        usleep(NAP_US);
        free(text);
        text = log_text();
    }
    xen_scene_says(text, words);
    free(text);
}

static int times_logged(const char *words)
{
    char *text = log_text(), *p = text;
    int n = 0;

    while ((p = strstr(p, words))) {
        p++;
        n++;
    }
    free(text);
    return n;
}

/* It ends; its status. */
static int ended(void)
{
    double deadline = snap_now_ms() + SOON_MS;
    pid_t pid = 0;
    int status;

    while (!pid && snap_now_ms() < deadline) {
        pid = waitpid(life.daemon, &status, WNOHANG);
        usleep(NAP_US);
    }
    assert_int_equal(pid, life.daemon);
    life.daemon = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void runs_on(void)
{
    assert_int_equal(waitpid(life.daemon, NULL, WNOHANG), 0);
}

/* It says that it watches this one. */
static void watches(uint32_t domid)
{
    char *words = snap_printf("Waiting for domain g (domid %u) to die "
                              "[pid %d]\n",
                              domid, (int)life.daemon);

    logged(words);
    free(words);
}

/* A new domain of the guest runs, and is watched; its number. */
static uint32_t is_reborn(void)
{
    uint32_t old = life.s->dom.domid, domid = old + 1;
    struct fake_guest *d;

    watches(domid);
    d = fake_guest(domid);
    assert_non_null(d);
    assert_string_equal(d->uuid, SCENE_UUID);
    assert_int_equal(d->pauses, 0);
    assert_true(d->cpu_time > 0);
    assert_int_equal(fake_xen->creates, 1);
    assert_int_equal(fake_guest_named("g"), domid);
    return domid;
}

/* It gave up, and why; nothing was built in the guest's place. */
static void gave_up(const char *words)
{
    assert_int_equal(ended(), 0);
    logged(words);
    assert_int_equal(times_logged("Waiting for domain"), 1);
}

static int guests(void)
{
    int n = 0, i;

    for (i = 0; i < FAKE_GUESTS; i++)
        n += fake_xen->d[i].used;
    return n;
}

static void stop(int reason)
{
    fake_guest_stop(life.s->dom.domid, reason);
}

/* --- it begins --------------------------------------------------------- */

static void test_begins(void **state)
{
    (void)state;
    assert_int_equal(start(""), 0);
    watches(life.s->dom.domid);
    assert_int_equal(hyp_monitor_find(life.s->dom.domid, "g"), life.daemon);
    runs_on();
    /* Somebody destroys it. */
    fake_guest_end(life.s->dom.domid);
    assert_int_equal(ended(), 0);
    logged("has been destroyed.\nDone. Exiting now\n");
    assert_int_equal(fake_xen->creates, 0);
}

/* Whoever started it must know that nobody watches. */
static void test_cannot_begin(void **state)
{
    (void)state;
    fake_xen->config_fails = true;
    assert_int_equal(start(""), 1);
    logged("cannot read the configuration of domain");
    fake_xen->config_fails = false;
    fake_xen->watch_fails = true;
    assert_int_equal(start(""), 1);
    logged("cannot watch it: create watch");
    fake_xen->watch_fails = false;
    assert_int_equal(truncate(hyp_capabilities, 0), 0);
    assert_int_equal(start(""), 1);
    logged("not Xen's control domain");
    assert_int_equal(times_logged("Done."), 0);
}

/* --- what the configuration says --------------------------------------- */

/* Each reason has an action of its own; "preserve" leaves the dead domain. */
static void test_actions(void **state)
{
    static const struct {
        int reason;
        const char *kept, *ended; /* its action: preserve, and all others */
    } rows[] = {
#define OTHERS(a, b, c, d) \
    ON(a, "preserve") ON(b, "preserve") ON(c, "preserve") ON(d, "preserve")
        { LIBXL_SHUTDOWN_REASON_POWEROFF, ON("poweroff", "preserve"),
          OTHERS("reboot", "crash", "watchdog", "soft_reset")
              ON("poweroff", "destroy") },
        { LIBXL_SHUTDOWN_REASON_REBOOT, ON("reboot", "preserve"),
          OTHERS("poweroff", "crash", "watchdog", "soft_reset")
              ON("reboot", "destroy") },
        { LIBXL_SHUTDOWN_REASON_CRASH, ON("crash", "preserve"),
          OTHERS("poweroff", "reboot", "watchdog", "soft_reset")
              ON("crash", "destroy") },
        { LIBXL_SHUTDOWN_REASON_WATCHDOG, ON("watchdog", "preserve"),
          OTHERS("poweroff", "reboot", "crash", "soft_reset")
              ON("watchdog", "destroy") },
        { LIBXL_SHUTDOWN_REASON_SOFT_RESET, ON("soft_reset", "preserve"),
          OTHERS("poweroff", "reboot", "crash", "watchdog")
              ON("soft_reset", "destroy") },
    };
    size_t i;
    int kept;

    for (i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        kept = i % 2;
        assert_int_equal(start(kept ? rows[i / 2].kept : rows[i / 2].ended),
                         0);
        stop(rows[i / 2].reason);
        assert_int_equal(ended(), 0);
        assert_int_equal(fake_guest(life.s->dom.domid) != NULL, kept);
        assert_int_equal(fake_xen->destroys, !kept);
        assert_int_equal(fake_xen->creates, 0);
        logged(kept ? "is preserve\n" : "is destroy\n");
        end(state);
        begin(state);
    }
}

static void test_reboot(void **state)
{
    uint32_t domid;

    (void)state;
    assert_int_equal(start(ON("reboot", "restart")), 0);
    stop(LIBXL_SHUTDOWN_REASON_REBOOT);
    domid = is_reborn();
    assert_null(fake_guest(life.s->dom.domid));
    assert_int_equal(fake_xen->destroys, 1);
    logged("has shut down, reason code 1 0x1\n");
    logged("Action for shutdown reason code 1 is restart\n");
    /* The same again, and then somebody destroys it. */
    fake_guest_stop(domid, LIBXL_SHUTDOWN_REASON_REBOOT);
    watches(domid + 1);
    fake_guest_end(domid + 1);
    assert_int_equal(ended(), 0);
    assert_int_equal(fake_xen->creates, 2);
    assert_int_equal(fake_guest_named("g"), 0);
}

static void is_built(uint32_t domid)
{
    double deadline = snap_now_ms() + 10000;

    while (!fake_guest(domid) && snap_now_ms() < deadline)
        usleep(1000);
    assert_non_null(fake_guest(domid));
}

/* Xen does not let the new one run at once, or not at all: then somebody does
 * it by hand, and it is watched. */
static void test_paused_after_reboot(void **state)
{
    (void)state;
    assert_int_equal(start(ON("reboot", "restart")), 0);
    fake_xen->unpauses_fail = 2;
    stop(LIBXL_SHUTDOWN_REASON_REBOOT);
    is_reborn();
    assert_int_equal(fake_xen->unpauses_fail, 0);
    fake_guest_stop(life.s->dom.domid + 1, LIBXL_SHUTDOWN_REASON_REBOOT);
    fake_xen->unpauses_fail = INT_MAX;
    logged("stays paused: ");
    watches(life.s->dom.domid + 2);
    assert_int_equal(fake_guest(life.s->dom.domid + 2)->pauses, 1);
    runs_on();
    fake_xen->unpauses_fail = 0;
    fake_guest_stop(life.s->dom.domid + 2, LIBXL_SHUTDOWN_REASON_REBOOT);
    watches(life.s->dom.domid + 3);
    assert_int_equal(fake_guest(life.s->dom.domid + 3)->pauses, 0);
    /* Or its user destroys it: nobody is waited for any longer. */
    fake_xen->unpauses_fail = INT_MAX;
    fake_guest_stop(life.s->dom.domid + 3, LIBXL_SHUTDOWN_REASON_REBOOT);
    is_built(life.s->dom.domid + 4);
    fake_guest_end(life.s->dom.domid + 4);
    assert_int_equal(ended(), 0);
    assert_int_equal(times_logged("stays paused: "), 1);
}

static void test_crash(void **state)
{
    (void)state;
    assert_int_equal(start(ON("crash", "coredump_restart")), 0);
    stop(LIBXL_SHUTDOWN_REASON_CRASH);
    is_reborn();
    assert_string_equal(fake_xen->dumped, HYP_DUMP_DIR "/g");
    assert_null(fake_guest(life.s->dom.domid));
    end(state);
    begin(state);
    /* No dump is no reason not to go on. */
    fake_xen->dump_fails = true;
    assert_int_equal(start(ON("crash", "coredump_restart")), 0);
    stop(LIBXL_SHUTDOWN_REASON_CRASH);
    is_reborn();
    logged("core dump failed: core dumping domain");
    end(state);
    begin(state);
    assert_int_equal(start(ON("crash", "coredump_destroy")), 0);
    stop(LIBXL_SHUTDOWN_REASON_CRASH);
    assert_int_equal(ended(), 0);
    assert_string_equal(fake_xen->dumped, HYP_DUMP_DIR "/g");
    assert_int_equal(fake_guest_named("g"), 0);
    assert_int_equal(fake_xen->creates, 0);
}

/* The dead one stays under another name, beside the new one. */
static void test_renamed(void **state)
{
    struct fake_guest *old = fake_guest(life.s->dom.domid);

    (void)state;
    assert_int_equal(start(ON("crash", "restart_rename")), 0);
    stop(LIBXL_SHUTDOWN_REASON_CRASH);
    is_reborn();
    assert_ptr_equal(fake_guest(life.s->dom.domid), old);
    assert_string_not_equal(old->uuid, SCENE_UUID);
    assert_int_equal(fake_xen->destroys, 0);
    end(state);
    begin(state);
    fake_xen->preserve_fails = true;
    assert_int_equal(start(ON("crash", "restart_rename")), 0);
    stop(LIBXL_SHUTDOWN_REASON_CRASH);
    gave_up("Preserving domain");
    assert_int_equal(times_logged("Rebooting now"), 0);
    assert_int_equal(fake_xen->creates, 0);
    assert_int_equal(fake_xen->destroys, 0);
}

static void test_soft_reset(void **state)
{
    struct fake_guest *d = fake_guest(life.s->dom.domid);

    (void)state;
    assert_int_equal(start(ON("soft_reset", "soft_reset")), 0);
    stop(LIBXL_SHUTDOWN_REASON_SOFT_RESET);
    logged("Done. Rebooting now\nWaiting for domain g");
    assert_int_equal(fake_xen->soft_resets, 1);
    assert_int_equal(fake_xen->creates + fake_xen->destroys, 0);
    assert_int_equal(d->pauses, 0);
    assert_false(d->shutdown);
    runs_on();
}

/* Its disks, and what is to be done, may have changed since it began. */
static void test_changed_since(void **state)
{
    struct fake_guest *d = fake_guest(life.s->dom.domid);
    char *config = xen_scene_config(
        ON("poweroff", "restart") ",\"disks\":"
                                  "[{\"vdev\":\"xvdq\"}]");
    uint32_t domid;

    (void)state;
    assert_int_equal(start(ON("poweroff", "destroy")), 0);
    snprintf(d->config, sizeof(d->config), "%s", config);
    free(config);
    stop(LIBXL_SHUTDOWN_REASON_POWEROFF);
    domid = is_reborn();
    xen_scene_says(fake_guest(domid)->config, "xvdq");
    /* What cannot be had leaves the last one. */
    fake_xen->config_fails = true;
    fake_guest_stop(domid, LIBXL_SHUTDOWN_REASON_POWEROFF);
    watches(domid + 1);
    logged("using the last one known");
    xen_scene_says(fake_guest(domid + 1)->config, "xvdq");
}

/* A mark is of one domain. */
static void test_mark(void **state)
{
    struct fake_guest *d = fake_guest(life.s->dom.domid);
    uint32_t domid;

    (void)state;
    assert_int_equal(start(ON("reboot", "restart")), 0);
    snprintf(d->config, sizeof(d->config),
             "{\"c_info\":{\"type\":\"pvh\",\"name\":\"g\",\"uuid\":"
             "\"" SCENE_UUID "\",\"xsdata\":{\"xl-snapshot\":\"m1\"}},"
             "\"b_info\":{\"type.pvh\":{}}" ON("reboot", "restart") "}");
    stop(LIBXL_SHUTDOWN_REASON_REBOOT);
    domid = is_reborn();
    assert_null(strstr(fake_guest(domid)->config, "xl-snapshot"));
}

/* --- a suspend is not the end ------------------------------------------ */

static void test_suspended(void **state)
{
    struct fake_guest *d = fake_guest(life.s->dom.domid);
    double deadline;
    int i;

    (void)state;
    assert_int_equal(start(ON("reboot", "restart")), 0);
    for (i = 1; i <= 2; i++) {
        stop(LIBXL_SHUTDOWN_REASON_SUSPEND);
        deadline = snap_now_ms() + SOON_MS;
        while (times_logged("Continue waiting for domain") < i &&
               snap_now_ms() < deadline)
            usleep(NAP_US);
        usleep(20 * NAP_US); /* it is told once */
        assert_int_equal(times_logged("Domain has suspended."), i);
        d->shutdown = false;
    }
    runs_on();
    assert_int_equal(fake_xen->destroys, 0);
    /* And what comes then is heard. */
    stop(LIBXL_SHUTDOWN_REASON_REBOOT);
    is_reborn();
}

/* --- it cannot be built at once ---------------------------------------- */

/* The old domain's memory comes back late: with dom0 giving memory, and
 * without. */
static void test_memory_comes_late(void **state)
{
    int i;

    for (i = 0; i < 2; i++) {
        hyp_limits.again_limit_ms = SOON_MS;
        assert_int_equal(start(ON("reboot", "restart")), 0);
        fake_xen->no_ballooning = i;
        fake_xen->free_kb = 0;
        fake_xen->late_ms = snap_now_ms() + 250;
        stop(LIBXL_SHUTDOWN_REASON_REBOOT);
        logged("; trying again\nWaiting for domain g");
        assert_int_not_equal(fake_guest_named("g"), 0);
        assert_int_equal(fake_guest(fake_guest_named("g"))->pauses, 0);
        /* What failed is gone. */
        assert_int_equal(guests(), 1);
        end(state);
        begin(state);
    }
}

static void test_memory_never_comes(void **state)
{
    double begun;

    (void)state;
    assert_int_equal(start(ON("reboot", "restart")), 0);
    fake_xen->free_kb = 0;
    fake_xen->late_ms = snap_now_ms() + 3600 * 1000.0;
    begun = snap_now_ms();
    stop(LIBXL_SHUTDOWN_REASON_REBOOT);
    gave_up("cannot boot it again: g: needs 64 MB of memory");
    assert_true(snap_now_ms() - begun > hyp_limits.again_limit_ms);
    assert_true(times_logged("; trying again\n") > 1);
}

/* It would fail again. */
static void test_other_reason(void **state)
{
    int i;

    for (i = 0; i < 2; i++) {
        assert_int_equal(start(ON("reboot", "restart")), 0);
        fake_xen->creates_fail = 1;
        fake_xen->create_leaves = i;
        stop(LIBXL_SHUTDOWN_REASON_REBOOT);
        gave_up("cannot boot it again: g: cannot create it: cannot (re-)");
        assert_int_equal(fake_xen->creates, 1);
        /* Nothing is left of it. */
        assert_int_equal(fake_guest_named("g"), 0);
        end(state);
        begin(state);
    }
}

/* dom0 has what is missing. */
static void test_dom0_gives(void **state)
{
    (void)state;
    assert_int_equal(start(ON("reboot", "restart")), 0);
    fake_xen->free_kb = 0;
    fake_xen->late_ms = snap_now_ms() + 3600 * 1000.0;
    fake_xen->dom0_gives_kb = 2 * FAKE_NEEDS_KB;
    stop(LIBXL_SHUTDOWN_REASON_REBOOT);
    is_reborn();
    assert_int_equal(fake_xen->dom0_gives_kb, FAKE_NEEDS_KB);
}

/* --- somebody else was quicker ----------------------------------------- */

/* He starts it by hand while we wait for memory: never two of them. */
static void test_started_meanwhile(void **state)
{
    uint32_t domid;

    (void)state;
    hyp_limits.again_limit_ms = SOON_MS;
    assert_int_equal(start(ON("reboot", "restart")), 0);
    fake_xen->free_kb = 0;
    fake_xen->late_ms = snap_now_ms() + 3600 * 1000.0;
    stop(LIBXL_SHUTDOWN_REASON_REBOOT);
    logged("; trying again\n");
    domid = fake_guest_add("g", SCENE_UUID, "{}");
    fake_xen->free_kb = 4 * FAKE_NEEDS_KB;
    gave_up("somebody else started it meanwhile, as domain");
    assert_int_equal(fake_xen->creates, 0);
    assert_non_null(fake_guest(domid));
    assert_int_equal(fake_guest(domid)->pauses, 0);
}

/* Another domain has its name by now. */
static void test_name_taken(void **state)
{
    uint32_t domid;

    (void)state;
    hyp_limits.again_limit_ms = SOON_MS;
    assert_int_equal(start(ON("reboot", "restart")), 0);
    fake_xen->free_kb = 0;
    fake_xen->late_ms = snap_now_ms() + 3600 * 1000.0;
    stop(LIBXL_SHUTDOWN_REASON_REBOOT);
    logged("; trying again\n");
    domid = fake_guest_add("g", SCENE_OTHER, "{}");
    fake_xen->free_kb = 4 * FAKE_NEEDS_KB;
    gave_up("domain with name \"g\" already exists");
    assert_int_equal(fake_guest_named("g"), domid);
    assert_int_equal(fake_guest(domid)->pauses, 0);
    assert_true(fake_guest(domid)->used);
}

/* --- the old one does not go ------------------------------------------- */

/* Two on one disk would be the end of it. */
static void test_does_not_go(void **state)
{
    char number[16];
    const char *const qemu[] = { "qemu",  "--idle", "-xen-domid", number,
                                 "-name", "g",      NULL };
    pid_t pid;

    hyp_limits.gone_ms = 500;
    assert_int_equal(start(ON("reboot", "restart")), 0);
    fake_xen->destroy_fails = true;
    stop(LIBXL_SHUTDOWN_REASON_REBOOT);
    gave_up("cannot destroy it: Unable to destroy guest");
    assert_int_equal(fake_xen->creates, 0);
    end(state);
    begin(state);

    hyp_limits.gone_ms = 500;
    assert_int_equal(start(ON("reboot", "restart")), 0);
    fake_xen->destroy_leaves = true;
    stop(LIBXL_SHUTDOWN_REASON_REBOOT);
    gave_up("destroyed, and still there");
    assert_int_equal(fake_xen->creates, 0);
    end(state);
    begin(state);

    snprintf(number, sizeof(number), "%u", life.s->dom.domid);
    hyp_limits.gone_ms = 500;
    assert_int_equal(start(ON("reboot", "restart")), 0);
    pid = xen_scene_play(life.s, qemu, NULL);
    stop(LIBXL_SHUTDOWN_REASON_REBOOT);
    gave_up("is still there after 0 s and may write to the images");
    assert_int_equal(fake_xen->creates, 0);
    xen_scene_end_of(pid);
}

/* --- the CD ------------------------------------------------------------ */

static void test_eject(void **state)
{
    double deadline = snap_now_ms() + SOON_MS;

    (void)state;
    assert_int_equal(start(",\"disks\":[{\"vdev\":\"xvda\"},{\"vdev\":\"hdc\","
                           "\"removable\":1,\"is_cdrom\":1}]"),
                     0);
    strcpy(fake_xen->eject_vdev, "xvda");
    fake_xen->eject_domid = life.s->dom.domid;
    usleep(20 * NAP_US);
    assert_int_equal(fake_xen->inserts, 0);
    strcpy(fake_xen->eject_vdev, "hdc");
    while (!fake_xen->inserts && snap_now_ms() < deadline)
        usleep(NAP_US);
    assert_string_equal(fake_xen->inserted, "hdc");
    runs_on();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_begins),
        TEST(test_cannot_begin),
        TEST(test_actions),
        TEST(test_reboot),
        TEST(test_paused_after_reboot),
        TEST(test_crash),
        TEST(test_renamed),
        TEST(test_soft_reset),
        TEST(test_changed_since),
        TEST(test_mark),
        TEST(test_suspended),
        TEST(test_memory_comes_late),
        TEST(test_memory_never_comes),
        TEST(test_other_reason),
        TEST(test_dom0_gives),
        TEST(test_started_meanwhile),
        TEST(test_name_taken),
        TEST(test_does_not_go),
        TEST(test_eject),
    };
    int status;

    if (xen_scene_main(argc, argv, &status))
        return status;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

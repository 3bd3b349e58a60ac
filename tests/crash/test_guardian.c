/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The guardian as a real second process: its command ends at every call, is
 * stopped, its group is killed, cannot resume the guest.  Nobody recovers
 * before the guest is looked at: it runs, and what Xen would boot it from is
 * what QEMU writes to.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "fakes/check.h"
#include "fakes/fake_guardian.h"
#include "fakes/sweep.h"
#include "lib/cgroup.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/run.h"
#include "lib/scope.h"
#include "op/guardian.h"
#include "store/lock.h"

struct kind {
    const char *name;
    enum snap_disk_type type;
    bool memory;
    bool live;
    bool delete; /* of s1, instead of a create of it */
};

static const struct kind kinds[] = {
    { .name = "memory, mixed", .memory = true },
    { .name = "live memory, external",
      .type = SNAP_DISK_EXTERNAL,
      .memory = true,
      .live = true },
    { .name = "disk-only, external", .type = SNAP_DISK_EXTERNAL },
    { .name = "delete, external", .type = SNAP_DISK_EXTERNAL, .delete = true },
};

struct scene {
    struct fake_host h;
    const struct kind *k;
    struct before b;
    struct snap_create_req req;
    struct snap_delete_req del;
};

static void ask(struct scene *s)
{
    s->req = (struct snap_create_req){
        .domain = (char *)"vm1",
        .name = (char *)"s1",
        .type = s->k->type,
        .live = s->k->live ? 1 : -1,
        .memory = s->k->memory ? SNAP_MEM_DEFAULT : SNAP_MEM_NO,
        .no_wait = true,
    };
    s->del = (struct snap_delete_req){ .domain = (char *)"vm1",
                                       .name = (char *)"s1",
                                       .no_wait = true };
}

static void scene_init(void *scene, const void *kind)
{
    struct scene *s = scene;

    s->k = kind;
    fake_host_init(&s->h);
    ask(s);
    if (s->k->delete)
        sweep_must(&s->h, fake_host_create, &s->req, "create s1");
    before_take(&s->b, &s->h);
    fake_guardian_use(&s->h, 0);
}

static void scene_dispose(void *scene)
{
    struct scene *s = scene;

    fake_host_dispose(&s->h);
}

static struct fake_domain *vm(struct scene *s)
{
    return fake_domain_find(s->h.world, "vm1");
}

static bool run(void *scene, enum fake_doom doom, unsigned n, int errnum,
                struct fake_outcome *out)
{
    struct scene *s = scene;

    return s->k->delete ? fake_host_run(&s->h, fake_host_delete, &s->del, doom,
                                        n, errnum, out)
                        : fake_host_run(&s->h, fake_host_create, &s->req, doom,
                                        n, errnum, out);
}

/* ---- deaths everywhere ---- */

static unsigned rescued, reboots;

/* A command that died before it had a guardian, or after it had dismissed it,
 * leaves its journal to the next one. */
static const char *look_at_guest(struct scene *s, const struct before *b)
{
    const char *w = check_guest(&s->h, b);

    return w && !strcmp(w, "a journal is left") ? NULL : w;
}

/* The guest writes, reboots from what Xen has of it, and has what it wrote. */
static void reboot(struct scene *s)
{
    struct before b;
    struct fake_image *a, *c;
    char *pa, *pb, *da, *db;
    const char *w;

    before_take(&b, &s->h);
    pa = fake_domain_path(vm(s), "xvda");
    pb = fake_domain_path(vm(s), "xvdb");
    a = fake_store_find(s->h.disks, pa);
    c = fake_store_find(s->h.disks, pb);
    if (!a || !c)
        sweep_fail("Xen names an image that is gone");
    da = snap_printf("xvda:%s:%s", a->format, pa);
    db = snap_printf("xvdb:%s:%s", c->format, pb);
    fake_host_stop(&s->h);
    fake_domain_add(s->h.world, "vm1", FAKE_UUID,
                    (const char *const[]){ da, db, NULL });
    w = look_at_guest(s, &b);
    if (w)
        sweep_fail("after its reboot: %s", w);
    free(da);
    free(db);
    free(pa);
    free(pb);
    reboots++;
}

static void look_then_reboot(void *scene, bool hit)
{
    struct scene *s = scene;
    const char *w;
    bool there = false;

    (void)hit;
    rescued += fake_guardian_wait() > 0;
    if (!fake_domain_runs(vm(s)))
        sweep_fail("the guest does not run");
    w = look_at_guest(s, &s->b);
    if (w)
        sweep_fail("%s", w);
    reboot(s);
    sweep_must(&s->h, fake_host_recover, NULL, "recover");
    w = s->k->delete ? NULL
                     : check_record(&s->h, "s1", s->k->memory, &s->b, &there);
    if (w)
        sweep_fail("%s", w);
}

static const struct sweep guarded = {
    SWEEP_KINDS(kinds),  .scene_size = sizeof(struct scene),
    .begin = scene_init, .end = scene_dispose,
    .run = run,
};

static void test_every_death(void **state)
{
    (void)state;
    rescued = reboots = 0;
    sweep_each_death(&guarded, "dead", 1, look_then_reboot);
    print_message("%u deaths with a guardian, %u reboots\n", rescued, reboots);
    assert_true(rescued > 20 || getenv("CRASH_KIND"));
}

/* ---- one command, hit at one call ---- */

static const char *at; /* "hyp: save done" */
static int with; /* a signal to ourselves, or an errno */
static const char *and_at; /* "hyp: rescue", fails as well */

static int hook(const char *layer, const char *what)
{
    char call[200];

    snprintf(call, sizeof(call), "%s: %s", layer, what);
    if (and_at && !strcmp(call, and_at))
        return EIO;
    if (!at || strcmp(call, at) != 0)
        return 0;
    if (with != SIGSTOP && with != SIGKILL)
        return with;
    at = NULL;
    kill(with == SIGKILL ? 0 : getpid(), with);
    return 0;
}

static void begin(struct scene *s, const struct kind *k, unsigned stall_ms)
{
    memset(s, 0, sizeof(*s));
    and_at = NULL;
    scene_init(s, k);
    fake_guardian_use(&s->h, stall_ms);
}

static pid_t start(struct scene *s, const char *call, int sig)
{
    at = call;
    with = sig;
    return s->k->delete ? fake_command(&s->h, fake_host_delete, &s->del, hook)
                        : fake_command(&s->h, fake_host_create, &s->req, hook);
}

static bool soon_runs(struct scene *s, unsigned ms)
{
    double deadline = snap_now_ms() + ms;

    while (!fake_domain_runs(vm(s)) && snap_now_ms() < deadline)
        poll(NULL, 0, 5);
    return fake_domain_runs(vm(s));
}

static void wait_stopped(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
}

/* Ctrl-C, SIGKILL to a session, a unit that is stopped: all of the group. */
static void test_group_killed(void **state)
{
    static const char *const calls[] = { "hyp: save done", "hyp: set_active",
                                         "hyp: resume" };
    size_t i;
    struct scene s;

    (void)state;
    for (i = 0; i < 3; i++) {
        begin(&s, &kinds[1], 0);
        assert_int_equal(
            fake_command_end(start(&s, calls[i], SIGKILL), NULL, 0), -1000);
        assert_int_equal(fake_guardian_wait(), 1);
        assert_null(check_guest(&s.h, &s.b));
        scene_dispose(&s);
    }
}

/* Stopped with the guest at rest: it goes on; and when the command wakes up it
 * makes no snapshot that says "memory". */
static void stopped_at(const struct kind *k, const char *call,
                       bool reboots_then)
{
    struct scene s;
    struct snap_err err = SNAP_ERR_INIT;
    char msg[SNAP_ERR_MAX];
    bool there;
    int rc;
    pid_t pid;

    begin(&s, k, 300);
    pid = start(&s, call, SIGSTOP);
    wait_stopped(pid);
    assert_false(fake_domain_runs(vm(&s)));
    assert_true(soon_runs(&s, 10000));
    assert_int_not_equal(s.h.world->rescued, pid);
    vm(&s)->tick++;
    if (reboots_then) {
        /* It hangs for long.  What it holds is void then. */
        reboot(&s);
        kill(pid, SIGKILL);
        fake_command_end(pid, NULL, 0);
        fake_guardian_wait();
        assert_null(check_guest(&s.h, NULL));
        scene_dispose(&s);
        return;
    }
    kill(pid, SIGCONT);
    rc = fake_command_end(pid, msg, sizeof(msg));
    assert_int_not_equal(rc, 0);
    assert_int_not_equal(rc, -1000);
    assert_true(msg[0]);
    fake_guardian_wait();
    assert_null(check_guest(&s.h, NULL));
    assert_null(check_record(&s.h, "s1", false, &s.b, &there));
    (void)err;
    scene_dispose(&s);
}

static void test_command_stopped(void **state)
{
    (void)state;
    size_t i;

    for (i = 0; i < 2; i++) {
        stopped_at(&kinds[0], "hyp: save done", i);
        stopped_at(&kinds[0], "hyp: stands", i);
        stopped_at(&kinds[1], "hyp: set_active", i);
        stopped_at(&kinds[1], "hyp: resume", i);
    }
    stopped_at(&kinds[2], "hyp: set_active", true);
}

/* It beats: a command that is slow, and gets on, is left alone. */
static int slow(const char *layer, const char *what)
{
    if (!strcmp(layer, "hyp") &&
        (!strcmp(what, "stands") || !strcmp(what, "set_active") ||
         !strcmp(what, "resume")))
        poll(NULL, 0, 350);
    return 0;
}

static void test_slow_is_left_alone(void **state)
{
    struct scene s;
    bool there;

    (void)state;
    begin(&s, &kinds[1], 600);
    assert_int_equal(
        fake_command_end(fake_command(&s.h, fake_host_create, &s.req, slow),
                         NULL, 0),
        0);
    assert_int_equal(s.h.world->rescued, 0);
    assert_null(check_guest(&s.h, &s.b));
    assert_null(check_record(&s.h, "s1", true, &s.b, &there));
    assert_true(there);
    scene_dispose(&s);
}

/* So does the save, as its image grows: for longer than the limit. */
static void test_a_long_save_is_left_alone(void **state)
{
    struct scene s;
    bool there;

    (void)state;
    begin(&s, &kinds[0], 1000);
    s.h.world->save_grows = 30;
    assert_int_equal(
        fake_command_end(fake_command(&s.h, fake_host_create, &s.req, NULL),
                         NULL, 0),
        0);
    assert_int_equal(s.h.world->rescued, 0);
    assert_null(check_guest(&s.h, &s.b));
    assert_null(check_record(&s.h, "s1", true, &s.b, &there));
    assert_true(there);
    scene_dispose(&s);
}

/* A command that can neither resume nor rescue: its guardian does. */
static void test_resume_fails(void **state)
{
    struct scene s;
    char msg[SNAP_ERR_MAX];

    (void)state;
    begin(&s, &kinds[1], 0);
    at = "hyp: resume";
    with = EIO;
    and_at = "hyp: rescue";
    assert_int_equal(
        fake_command_end(fake_command(&s.h, fake_host_create, &s.req, hook),
                         msg, sizeof(msg)),
        SNAP_RECOVER);
    assert_non_null(strstr(msg, "xl snapshot-recover vm1"));
    assert_null(strstr(msg, "runs"));
    assert_null(strstr(msg, "unpause"));
    assert_int_equal(fake_guardian_wait(), 1);
    assert_null(check_guest(&s.h, &s.b));
    scene_dispose(&s);
}

/* ---- before it goes on ---- */

static struct scene *the_scene;

/* When its guardian lets it go on, what Xen has of it is what it writes to, and
 * goes on to: QEMU comes to what it was told then, and no sooner. */
static int known_first(const char *layer, const char *what)
{
    static const char *const vdevs[] = { "xvda", "xvdb" };
    struct scene *s = the_scene;
    char *known;
    size_t i;

    if (strcmp(layer, "hyp") || strcmp(what, "rescue"))
        return 0;
    fake_store_comes_to_it(s->h.disks);
    for (i = 0; i < 2; i++) {
        known = fake_domain_path(vm(s), vdevs[i]);
        if (!snap_streq(known, fake_store_active(s->h.disks, vm(s)->domid,
                                                 vdevs[i]))) {
            s->h.world->bad = true;
            snprintf(s->h.world->why_bad, sizeof(s->h.world->why_bad),
                     "Xen has %s for %s", known ? known : "nothing", vdevs[i]);
        }
        free(known);
    }
    return 0;
}

/* A take whose end nobody noted is seen as well. */
static void test_known_before_it_goes_on(void **state)
{
    static const char *const calls[] = { "disk: take done xvdb",
                                         "hyp: set_active" };
    static struct scene s;
    size_t i, k;

    (void)state;
    the_scene = &s;
    fake_guardian_hook = known_first;
    snap_guard_tell_ms = 60000;
    for (i = 0; i < 2; i++)
        for (k = 1; k < 3; k++) {
            begin(&s, &kinds[k], 100000);
            fake_command_end(start(&s, calls[i], SIGKILL), NULL, 0);
            assert_int_equal(fake_guardian_wait(), 1);
            if (check_guest(&s.h, &s.b))
                fail_msg("%s: %s", calls[i], check_guest(&s.h, &s.b));
            scene_dispose(&s);
        }
    fake_guardian_hook = NULL;
    snap_guard_tell_ms = 10000;
}

/* A deletion in the exchange of its images: before QEMU was told, while it has
 * not come to it, and after. */
static void test_known_in_an_exchange(void **state)
{
    static const char *const calls[] = {
        "hyp: pause",
        "hyp: set_active",
        "hyp: set_active done",
        "disk: merge_switch xvdb",
        "disk: merge_switch sent xvda",
        "disk: merge_switch sent xvdb",
        "disk: merge_switch done xvda",
    };
    static struct scene s;
    size_t i;

    (void)state;
    the_scene = &s;
    fake_guardian_hook = known_first;
    snap_guard_tell_ms = 60000;
    for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        begin(&s, &kinds[3], 100000);
        assert_int_equal(
            fake_command_end(start(&s, calls[i], SIGKILL), NULL, 0), -1000);
        assert_int_equal(fake_guardian_wait(), 1);
        if (check_guest(&s.h, &s.b))
            fail_msg("%s: %s", calls[i], check_guest(&s.h, &s.b));
        assert_string_equal(
            fake_store_active(s.h.disks, vm(&s)->domid, "xvda"),
            "/img/a.qcow2");
        scene_dispose(&s);
    }
    fake_guardian_hook = NULL;
    snap_guard_tell_ms = 10000;
}

/* The deletion hangs there, with QEMU's ear: nobody can be asked, nobody is
 * told anything, and that is said.  When it wakes up it finishes. */
static void test_hangs_in_an_exchange(void **state)
{
    static const char *const calls[] = { "hyp: set_active done",
                                         "disk: merge_switch sent xvda" };
    struct scene s;
    size_t i;
    pid_t pid;

    (void)state;
    for (i = 0; i < 2; i++) {
        begin(&s, &kinds[3], 300);
        pid = start(&s, calls[i], SIGSTOP);
        wait_stopped(pid);
        assert_false(fake_domain_runs(vm(&s)));
        assert_true(soon_runs(&s, 10000));
        kill(pid, SIGCONT);
        assert_int_equal(fake_command_end(pid, NULL, 0), 0);
        fake_guardian_wait();
        assert_non_null(
            strstr(fake_guardian_said(),
                   "vm1: its images are not known to Xen: xvda: whether QEMU "
                   "writes to /img/a.s1.qcow2 or /img/a.qcow2 is not known"));
        assert_null(check_guest(&s.h, &s.b));
        reboot(&s);
        scene_dispose(&s);
    }
}

/* It fails three times, and is not given up; and that is said. */
static int fails_at_first(const char *layer, const char *what)
{
    static unsigned n;

    return !strcmp(layer, "hyp") && !strcmp(what, "rescue") && n++ < 3 ? EIO
                                                                       : 0;
}

static void test_tries_again(void **state)
{
    static const char says[] = "vm1: fake rescue: ";
    struct scene s;

    (void)state;
    fake_guardian_hook = fails_at_first;
    begin(&s, &kinds[1], 100000);
    fake_command_end(start(&s, "hyp: set_active", SIGKILL), NULL, 0);
    assert_int_equal(fake_guardian_wait(), 1);
    fake_guardian_hook = NULL;
    assert_null(check_guest(&s.h, &s.b));
    if (!strstr(fake_guardian_said(), says) ||
        !strstr(fake_guardian_said(), "; trying again\n") ||
        !strstr(fake_guardian_said(), "the command that had stopped it "
                                      "ended; it goes on\n"))
        fail_msg("it said: %s", fake_guardian_said());
    scene_dispose(&s);
}

/* Xen does not answer for long: the guest goes on all the same. */
static int tells_nothing(const char *layer, const char *what)
{
    if (!strcmp(layer, "hyp") && !strcmp(what, "set_active") &&
        !fake_domain_runs(vm(the_scene)))
        poll(NULL, 0, 60000);
    return 0;
}

static void test_goes_on_untold(void **state)
{
    static struct scene s;
    double begun = snap_now_ms();

    (void)state;
    the_scene = &s;
    fake_guardian_hook = tells_nothing;
    begin(&s, &kinds[1], 100000);
    fake_command_end(start(&s, "hyp: set_active", SIGKILL), NULL, 0);
    assert_true(fake_guardian_wait() > 0); /* or what it started */
    fake_guardian_hook = NULL;
    assert_true(snap_now_ms() - begun < 20000);
    assert_non_null(strstr(fake_guardian_said(), "vm1: it goes on before Xen "
                                                 "knows its images"));
    assert_null(check_guest(&s.h, &s.b));
    scene_dispose(&s);
}

/* Where no process can be started, of all moments then: in place of the C
 * library's. */
static bool no_process;

pid_t fork(void)
{
    pid_t (*real)(void) = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");

    if (!no_process)
        return real();
    errno = EAGAIN;
    return -1;
}

int kill(pid_t pid, int sig)
{
    if (pid != -1)
        return (int)syscall(SYS_kill, pid, sig);
    syslog(LOG_ERR, "it kills everybody");
    return 0;
}

static int starts_none(const char *layer, const char *what)
{
    if (!strcmp(layer, "hyp"))
        no_process = strcmp(what, "rescue") != 0;
    return 0;
}

static void test_no_process(void **state)
{
    static struct scene s;

    (void)state;
    fake_guardian_hook = starts_none;
    begin(&s, &kinds[1], 100000);
    fake_command_end(start(&s, "hyp: set_active", SIGKILL), NULL, 0);
    fake_guardian_wait();
    fake_guardian_hook = NULL;
    assert_null(strstr(fake_guardian_said(), "it kills everybody"));
    assert_non_null(strstr(fake_guardian_said(), "no process can be started"));
    assert_null(check_guest(&s.h, &s.b));
    scene_dispose(&s);
}

/* ---- what it is protected by ---- */

/* A control group of its own, in a folder that looks like cgroup2's. */
static char groups[64], procs[96], mounts[96];

static void make_groups(void)
{
    char line[200];
    struct snap_err err = SNAP_ERR_INIT;

    snprintf(groups, sizeof(groups), "/tmp/test-guardian-XXXXXX");
    assert_non_null(mkdtemp(groups));
    snprintf(procs, sizeof(procs), "%s/" SNAP_CGROUP_NAME, groups);
    assert_int_equal(mkdir(procs, 0755), 0);
    snprintf(procs, sizeof(procs), "%s/" SNAP_CGROUP_NAME "/cgroup.procs",
             groups);
    snprintf(mounts, sizeof(mounts), "%s/mounts", groups);
    snprintf(line, sizeof(line), "cgroup2 %s cgroup2 rw 0 0\n", groups);
    assert_int_equal(snap_file_write(procs, "", 0, 0600, false, &err), 0);
    assert_int_equal(
        snap_file_write(mounts, line, strlen(line), 0600, false, &err), 0);
    snap_cgroup_mounts = mounts;
}

static void remove_groups(void)
{
    char dir[96];

    snap_cgroup_mounts = "/proc/self/mounts";
    snprintf(dir, sizeof(dir), "%s/" SNAP_CGROUP_NAME, groups);
    assert_int_equal(unlink(procs), 0);
    assert_int_equal(unlink(mounts), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(rmdir(groups), 0);
}

/* A number in a file of /proc after this word, or the first one. */
static long number_in(const char *path, const char *word)
{
    char *text = NULL, *from;
    size_t len;
    long n = -1;
    struct snap_err err = SNAP_ERR_INIT;

    if (!snap_file_read(path, 1 << 16, &text, &len, &err)) {
        from = word ? strstr(text, word) : text;
        if (from)
            n = strtol(from + (word ? strlen(word) : 0), NULL, 10);
    }
    free(text);
    return n;
}

/* The one that was put into the group: the guardian. */
static pid_t guardian_pid(pid_t command)
{
    pid_t pid = number_in(procs, NULL);

    assert_true(pid > 1);
    assert_int_not_equal(pid, command);
    return pid;
}

static bool may_have_score(void)
{
    pid_t pid = fork();
    int fd, status = 1;

    if (!pid) {
        fd = open("/proc/self/oom_score_adj", O_WRONLY);
        _exit(fd >= 0 && write(fd, "-1000", 5) == 5 ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    return !status;
}

/* Its command's control group, session and an OOM killer are not its own. */
static void test_sheltered(void **state)
{
    struct scene s;
    char path[64];
    pid_t pid, guardian;

    (void)state;
    begin(&s, &kinds[1], 100000);
    make_groups();
    pid = start(&s, "hyp: set_active", SIGSTOP);
    wait_stopped(pid);
    guardian = guardian_pid(pid);
    assert_int_equal(getsid(guardian), guardian);
    assert_int_not_equal(getsid(pid), guardian);
    if (may_have_score()) {
        snprintf(path, sizeof(path), "/proc/%ld/oom_score_adj",
                 (long)guardian);
        assert_int_equal(number_in(path, NULL), -1000);
        snprintf(path, sizeof(path), "/proc/%ld/status", (long)guardian);
        assert_true(number_in(path, "VmLck:") > 0);
    } else {
        print_message("# SKIP the guardian and the OOM killer: -1000 may not "
                      "be written to oom_score_adj here\n");
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(fake_guardian_wait(), 1);
    assert_null(check_guest(&s.h, &s.b));
    remove_groups();
    scene_dispose(&s);
}

/* Nobody gets in between the command's death and the guardian's end.  It is
 * stopped, so that its end does not come too early for the test. */
static void test_holds_the_lock(void **state)
{
    struct scene s;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store store = SNAP_STORE_INIT;
    pid_t pid, guardian;
    bool stood;
    int rc;

    (void)state;
    begin(&s, &kinds[1], 100000);
    make_groups();
    pid = start(&s, "hyp: resume", SIGSTOP);
    wait_stopped(pid);
    guardian = guardian_pid(pid);
    kill(guardian, SIGSTOP);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(snap_store_open(&store, s.h.root, FAKE_UUID, false, &err),
                     0);
    rc = snap_store_lock(&store, false, "test", NULL, &err);
    stood = !fake_domain_runs(vm(&s));
    kill(guardian, SIGCONT);
    assert_int_equal(rc, SNAP_BUSY);
    assert_true(stood);
    fake_guardian_wait();
    snap_err_clear(&err);
    assert_int_equal(snap_store_lock(&store, false, "test", NULL, &err), 0);
    snap_store_close(&store);
    assert_null(check_guest(&s.h, &s.b));
    remove_groups();
    scene_dispose(&s);
}

/* Its command dies while a transaction is on its way, which QEMU comes to
 * later: the guest runs at once, and nobody decides anything before QEMU
 * answers. */
static void test_late_after_death(void **state)
{
    static const size_t which[] = { 1, 2 };
    struct scene s;
    size_t i;
    bool there = false;

    (void)state;
    for (i = 0; i < 2; i++) {
        begin(&s, &kinds[which[i]], 100000);
        s.h.disks->late = 4;
        assert_int_equal(
            fake_command_end(start(&s, "disk: take sent", SIGKILL), NULL, 0),
            -1000);
        assert_int_equal(fake_guardian_wait(), 1);
        assert_int_equal(s.h.disks->late, 0);
        assert_null(check_guest(&s.h, &s.b));
        /* Whether it stood until then nobody can say. */
        assert_null(check_record(&s.h, "s1", false, &s.b, &there));
        assert_true(there);
        scene_dispose(&s);
    }
}

/* --paused: once all is taken the guest stays as its user wants it; before
 * that there is no snapshot, and it runs. */
static void dead_with_paused(const struct kind *k, const char *call,
                             bool stays)
{
    struct scene s;
    struct fake_domain *d;
    bool there = false;

    begin(&s, k, 100000);
    s.req.paused = true;
    assert_int_equal(fake_command_end(start(&s, call, SIGKILL), NULL, 0),
                     -1000);
    assert_int_equal(fake_guardian_wait(), 1);
    d = vm(&s);
    assert_int_equal(d->paused, stays);
    assert_false(d->suspended || d->monitor_held);
    sweep_recovered(&s.h, fake_host_recover);
    assert_null(check_record(&s.h, "s1", k->memory, &s.b, &there));
    assert_int_equal(there, stays);
    assert_int_equal(vm(&s)->paused, stays);
    scene_dispose(&s);
}

static void test_dead_with_paused(void **state)
{
    (void)state;
    dead_with_paused(&kinds[1], "hyp: set_active", true);
    dead_with_paused(&kinds[1], "hyp: resume", true);
    dead_with_paused(&kinds[2], "hyp: set_active", true);
    dead_with_paused(&kinds[1], "hyp: stands", false);
    dead_with_paused(&kinds[2], "hyp: stands", false);
}

/* The parent is at rest in its window and its user did something else. */
static void test_not_ours(void **state)
{
    struct scene s;
    pid_t pid;

    (void)state;
    /* Paused by its user before the window: stays so. */
    begin(&s, &kinds[0], 0);
    pid = start(&s, "hyp: window_open", SIGSTOP);
    wait_stopped(pid);
    vm(&s)->paused = true;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    fake_guardian_wait();
    assert_true(vm(&s)->paused);
    assert_int_equal(s.h.world->rescued, 0);
    scene_dispose(&s);

    /* Suspended by an xl save, that began before: stays so. */
    begin(&s, &kinds[0], 0);
    pid = start(&s, "hyp: window_open", SIGSTOP);
    wait_stopped(pid);
    vm(&s)->suspended = true;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    fake_guardian_wait();
    assert_true(vm(&s)->suspended);
    scene_dispose(&s);
}

/* A store that cannot be read is no reason for a guest to stand. */
static void test_journal_damaged(void **state)
{
    struct scene s;
    pid_t pid;
    char *path;
    int fd;

    (void)state;
    begin(&s, &kinds[1], 100000);
    pid = start(&s, "hyp: set_active", SIGSTOP);
    wait_stopped(pid);
    path = snap_printf("%s/%s/journal", s.h.root, FAKE_UUID);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "nothing", 7, 0), 7);
    close(fd);
    free(path);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(fake_guardian_wait(), 1);
    assert_true(fake_domain_runs(vm(&s)));
    scene_dispose(&s);
}

/* A guardian that does not listen any more keeps nobody waiting. */
static void test_guardian_stopped(void **state)
{
    struct snap_guardian g = SNAP_GUARDIAN_INIT;
    struct scene s;
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store store = SNAP_STORE_INIT;
    struct snap_domain dom = { 0 };
    const struct snap_guarded what = { .dom = &dom, .suspend = true };
    double begun;

    (void)state;
    begin(&s, &kinds[0], 0);
    assert_int_equal(fake_host_attach(&s.h, &err), 0);
    assert_int_equal(s.h.env.ops->find(s.h.env.hyp, "vm1", &dom, &err), 0);
    assert_int_equal(snap_store_open(&store, s.h.root, FAKE_UUID, true, &err),
                     0);
    assert_int_equal(snap_store_lock(&store, false, "test", NULL, &err), 0);
    assert_int_equal(snap_guardian_start(&s.h.env, &store, &what, &g, &err),
                     0);
    kill(g.pid, SIGSTOP);
    begun = snap_now_ms();
    snap_guardian_end(&g);
    assert_true(snap_now_ms() - begun < 8000);
    assert_int_equal(fake_guardian_wait(), 0);
    snap_store_close(&store);
    snap_domain_dispose(&dom);
    fake_host_detach(&s.h);
    scene_dispose(&s);
}

/* It starts one, and that is all. */
static int just_start(struct fake_host *h, struct snap_err *err)
{
    struct snap_guardian g = SNAP_GUARDIAN_INIT;
    struct snap_store store = SNAP_STORE_INIT;
    struct snap_domain dom = { 0 };
    const struct snap_guarded what = { .dom = &dom, .suspend = true };
    int rc;

    rc = fake_host_attach(h, err);
    if (!rc)
        rc = h->env.ops->find(h->env.hyp, "vm1", &dom, err);
    if (!rc)
        rc = snap_store_open(&store, h->root, FAKE_UUID, true, err);
    if (!rc)
        rc = snap_store_lock(&store, false, "test", NULL, err);
    if (!rc)
        rc = snap_guardian_start(&h->env, &store, &what, &g, err);
    snap_guardian_end(&g);
    fake_guardian_wait();
    snap_store_close(&store);
    snap_domain_dispose(&dom);
    fake_host_detach(h);
    return rc;
}

/* ProtectControlGroups=: systemd is asked; if that does nothing, its user is
 * told what it means. */
static void test_cannot_leave_its_group(void **state)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct scene s;
    char *busctl, *script, *args;

    (void)state;
    begin(&s, &kinds[0], 0);
    make_groups();
    assert_int_equal(just_start(&s.h, &err), 0);
    assert_null(strstr(s.h.said, "control group"));
    assert_int_equal(unlink(procs), 0);
    assert_int_equal(mkdir(procs, 0755), 0); /* nobody can write to it */
    args = snap_printf("%s/args", groups);
    busctl = snap_printf("%s/busctl", groups);
    script = snap_printf("#!/bin/sh\necho \"$*\" >%s\nexit 1\n", args);
    assert_int_equal(
        snap_file_write(busctl, script, strlen(script), 0755, false, &err), 0);
    snap_run_path_first = groups;
    snap_scope_systemd = groups;
    assert_int_equal(just_start(&s.h, &err), 0);
    snap_run_path_first = NULL;
    snap_scope_systemd = "/run/systemd/system";
    assert_non_null(strstr(s.h.said, "the guest stands until xl "
                                     "snapshot-recover vm1; KillMode="));
    assert_non_null(strstr(fake_guardian_said(), "cannot leave the control "
                                                 "group"));
    assert_int_equal(unlink(args), 0);
    assert_int_equal(unlink(busctl), 0);
    assert_int_equal(rmdir(procs), 0);
    assert_int_equal(snap_file_write(procs, "", 0, 0600, false, &err), 0);
    remove_groups();
    free(script);
    free(busctl);
    free(args);
    scene_dispose(&s);
}

/* The guardian of a command that is stopped: its only child. */
static pid_t guardian_of(pid_t command)
{
    char *path = snap_printf("/proc/%d/task/%d/children", (int)command,
                             (int)command);
    char line[64] = "";
    bool there = snap_line_read(AT_FDCWD, path, line, sizeof(line));

    free(path);
    return there ? (pid_t)strtol(line, NULL, 10) : 0;
}

/* What ends others does not reach it, and does not end it. */
static void test_deaf(void **state)
{
    struct scene s;
    pid_t pid, guardian;

    (void)state;
    begin(&s, &kinds[1], 100000);
    pid = start(&s, "hyp: set_active", SIGSTOP);
    wait_stopped(pid);
    guardian = guardian_of(pid);
    assert_true(guardian > 1);
    kill(guardian, SIGINT);
    kill(guardian, SIGHUP);
    kill(guardian, SIGTERM);
    kill(guardian, SIGPIPE);
    /* A session of its own: a signal to the command's group is not for it. */
    kill(-pid, SIGINT);
    kill(-pid, SIGHUP);
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(fake_guardian_wait(), 1);
    assert_null(check_guest(&s.h, &s.b));
    scene_dispose(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_death),
        cmocka_unit_test(test_group_killed),
        cmocka_unit_test(test_command_stopped),
        cmocka_unit_test(test_slow_is_left_alone),
        cmocka_unit_test(test_a_long_save_is_left_alone),
        cmocka_unit_test(test_resume_fails),
        cmocka_unit_test(test_tries_again),
        cmocka_unit_test(test_known_before_it_goes_on),
        cmocka_unit_test(test_known_in_an_exchange),
        cmocka_unit_test(test_hangs_in_an_exchange),
        cmocka_unit_test(test_goes_on_untold),
        cmocka_unit_test(test_no_process),
        cmocka_unit_test(test_sheltered),
        cmocka_unit_test(test_holds_the_lock),
        cmocka_unit_test(test_late_after_death),
        cmocka_unit_test(test_dead_with_paused),
        cmocka_unit_test(test_not_ours),
        cmocka_unit_test(test_journal_damaged),
        cmocka_unit_test(test_guardian_stopped),
        cmocka_unit_test(test_cannot_leave_its_group),
        cmocka_unit_test(test_deaf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See toolcrash.h.  For each call that the tools make and each doom: the
 * folder as it was set up, the work with its tool hit, recovery, a look; then
 * the same work once more, which must come through now.  Likewise for each
 * tool and each lie.  The folder is kept as a copy beside it.
 *
 * All pairs with CRASH_ALL=1, else some, spread over the calls, and others for
 * each kind.
 *
 * The power goes at a call of a tool's or at one of ours that syncs or gives a
 * name.  Then the disk has of each file what it held at its last sync, ours or
 * the tool's, and of the rest what left[] says.  So that our own
 * syncs are held by a test, the tools make none of theirs in some.
 */
#include "toolcrash/toolcrash.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fakes/durable.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "lib/run.h"
#include "toolcrash/doom.h"

#define BLOCKS    8
#define CALLS_MAX 2000

static struct {
    char *dir; /* with the wrappers and the file that they map */
    char *shim;
    struct doom *doom;
} tools;

static const struct {
    const char *name;
    enum doom_how how;
    bool stays;
} dooms[] = {
    { "killed", DOOM_KILL, false },
    { "torn", DOOM_TEAR, false },
    { "EIO", DOOM_EIO, false },
    { "EIO for good", DOOM_EIO, true },
    { "ENOSPC", DOOM_ENOSPC, true },
    { "nothing, and 0", DOOM_NOTHING, false },
    { "all, and 1", DOOM_SAYS_1, false },
};
#define DOOMS        (sizeof(dooms) / sizeof(dooms[0]))
#define CALL_DOOMS   5 /* of them are of calls, the rest of tools */
#define EIO_ONCE     2
#define EIO_FOR_GOOD 3
#define LAST_CALLS   3
#define LIES         2 /* tools that tell each of them */

/* ---- the wrappers ---- */

static char *real_tool(const char *name)
{
    static const char *const where[] = { "/usr/bin", "/usr/local/bin",
                                         "/bin" };
    size_t i;
    char *path;

    for (i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
        path = snap_printf("%s/%s", where[i], name);
        if (!access(path, X_OK))
            return path;
        free(path);
    }
    fail_msg("there is no %s", name);
    return NULL;
}

static void wrap(const char *name)
{
    char *path = snap_printf("%s/%s", tools.dir, name);
    char *real = real_tool(name);
    char *text = snap_printf("#!/bin/sh\nexec env LD_PRELOAD='%s' "
                             "TOOLCRASH='%s/doom' %s \"$@\"\n",
                             tools.shim, tools.dir, real);

    assert_int_equal(
        snap_file_write(path, text, strlen(text), 0755, true, NULL), 0);
    free(text);
    free(real);
    free(path);
}

static int tools_set_up(void **state)
{
    char exe[4096], *path;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    int fd;

    (void)state;
    assert_true(n > 0);
    exe[n] = '\0';
    *strrchr(exe, '/') = '\0';
    tools.shim = snap_printf("%s/shim.so", exe);
    tools.dir = real_dir_make();
    path = snap_printf("%s/doom", tools.dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && !ftruncate(fd, sizeof(*tools.doom)));
    tools.doom = mmap(NULL, sizeof(*tools.doom), PROT_READ | PROT_WRITE,
                      MAP_SHARED, fd, 0);
    assert_ptr_not_equal(tools.doom, MAP_FAILED);
    close(fd);
    free(path);
    wrap("qemu-img");
    wrap("qemu-io");
    return 0;
}

static int tools_tear_down(void **state)
{
    (void)state;
    munmap(tools.doom, sizeof(*tools.doom));
    real_dir_remove(tools.dir);
    free(tools.dir);
    free(tools.shim);
    return 0;
}

/* ---- images ---- */

static void make_image(const char *path, const char *format, const char *below)
{
    int status = below ? real_run("qemu-img", "create", "-q", "-f", format,
                                  "-b", below, "-F", "qcow2", path, "1M", NULL)
                       : real_run("qemu-img", "create", "-q", "-f", format,
                                  path, "1M", NULL);

    assert_int_equal(status, 0);
}

void crash_image(struct crash_world *w)
{
    unsigned i;
    char *below = NULL, *name, *path;

    for (i = 0; i < w->layers; i++) {
        name = snap_printf("base%u.qcow2", i);
        path = scene_path(w->f, name);
        free(name);
        make_image(path, "qcow2", below);
        real_image_write(path, "qcow2", i, 0x60 + i);
        w->before[i] = 0x60 + i;
        free(below);
        below = path;
    }
    name = snap_printf("a.%s", w->format);
    w->image = scene_path(w->f, name);
    free(name);
    make_image(w->image, w->format, below);
    for (i = 2; i < 5; i++) {
        real_image_write(w->image, w->format, i, 0x10 + i);
        w->before[i] = 0x10 + i;
    }
    memcpy(w->after, w->before, sizeof(w->after));
    free(below);
}

void crash_reads(const char *path, const char *format,
                 const unsigned char *want)
{
    crash_reads_most(path, format, want, NULL);
}

void crash_reads_most(const char *path, const char *format,
                      const unsigned char *want, const bool *doubt)
{
    int status;

    if (!real_image_has_most(path, format, want, doubt, BLOCKS))
        fail_msg("%s does not read what it should", path);
    if (strcmp(format, "qcow2"))
        return;
    status = real_run("qemu-img", "check", "-q", "-U", "-f", format, path,
                      NULL);
    if (status && status != 3)
        fail_msg("qemu-img check of %s: %d", path, status);
}

/* Not before it has come up: what it does until then is of no interest. */
void crash_start_qemu(struct crash_world *w, const char *path,
                      const char *format, void (*first)(struct crash_world *w))
{
    unsigned at = tools.doom->at;
    char *doom = snap_printf("%s/doom", tools.dir);

    tools.doom->at = 0;
    setenv("TOOLCRASH", doom, 1);
    real_qemu_preload = tools.shim;
    scene_start(w->f);
    real_qemu_preload = NULL;
    unsetenv("TOOLCRASH");
    real_qemu_add(w->f->q, "xvda", path, format);
    if (first)
        first(w);
    tools.doom->calls = 0;
    tools.doom->at = at;
    free(doom);
}

/* ---- one case ---- */

static void copy_dir(const char *from, const char *to)
{
    char *all = snap_printf("%s/.", from);

    assert_int_equal(real_run("cp", "-a", "--sparse=always", all, to, NULL),
                     0);
    free(all);
}

static void restore(const struct crash_world *w, const char *kept)
{
    real_dir_remove(w->f->dir);
    assert_int_equal(mkdir(w->f->dir, 0700), 0);
    copy_dir(kept, w->f->dir);
}

static int work(const struct crash_kind *k, struct crash_world *w,
                struct snap_err *err)
{
    int rc;

    snap_run_path_first = tools.dir;
    rc = k->work(w, err);
    snap_run_path_first = NULL;
    return rc;
}

static void set_doom(unsigned n, enum doom_how how, bool stays)
{
    memset(tools.doom, 0, sizeof(*tools.doom));
    tools.doom->at = n;
    tools.doom->how = how;
    tools.doom->from_then_on = stays;
}

static bool was_hit(void)
{
    return (doom_of_tools(tools.doom->how)
                ? tools.doom->tools
                : tools.doom->calls) >= tools.doom->at;
}

/* After work() was hit: recovery, a look, and the work once more. */
static void afterwards(const struct crash_kind *k, struct crash_world *w,
                       bool done)
{
    struct snap_err err = SNAP_ERR_INIT;

    tools.doom->at = 0;
    done = done || k->recover(w);
    k->check(w, done);
    if (done)
        return;
    scene_ok(work(k, w, &err), &err);
    k->check(w, true);
}

static void tell(const struct crash_kind *k, const char *how, int rc,
                 const char *msg)
{
    if (getenv("VERBOSE"))
        fprintf(stderr, "%s: number %u (%s) %s: %d %s\n", k->name,
                tools.doom->at, tools.doom->what, how, rc, msg);
}

/* CRASH_AT=n: none but this one. */
static bool is_left_out(unsigned n)
{
    const char *at = getenv("CRASH_AT");

    return at && strtoul(at, NULL, 10) != n;
}

/* True if there was such a call, or tool. */
static bool one(const struct crash_kind *k, struct crash_world *w,
                const char *kept, unsigned n, size_t how)
{
    int rc;
    bool hit;
    struct snap_err err = SNAP_ERR_INIT;

    if (is_left_out(n))
        return true;
    restore(w, kept);
    set_doom(n, dooms[how].how, dooms[how].stays);
    rc = work(k, w, &err);
    hit = was_hit();
    tell(k, dooms[how].name, rc, err.msg);
    afterwards(k, w, !rc);
    return hit;
}

/* ---- the power ---- */

static bool first_page(unsigned page)
{
    return !page;
}

static bool even_pages(unsigned page)
{
    return page % 2 == 0;
}

static bool odd_pages(unsigned page)
{
    return page % 2;
}

/* What the disk has of what nobody synced. */
static const struct {
    bool names, data;
    bool (*keeps)(unsigned page);
} left[] = {
    { false, false, NULL },      { true, false, NULL },
    { true, false, first_page }, { true, false, even_pages },
    { true, false, odd_pages },  { false, true, NULL },
};
#define LEFT (sizeof(left) / sizeof(left[0]))

static unsigned own_calls; /* our own syncs, and names that we give */
static bool in_place;

static bool gives_a_name(const char *layer, const char *what)
{
    return !strcmp(layer, "file") &&
           (!strcmp(what, "link") || !strcmp(what, "symlink") ||
            snap_has_prefix(what, "rename"));
}

static void count_sync(int fd)
{
    (void)fd;
    own_calls++;
}

static int count_name(const char *layer, const char *what)
{
    own_calls += gives_a_name(layer, what);
    return 0;
}

/* The power goes before one of our own calls: each counts as a tool's, or as a
 * tool. */
static void before_own(const char *what)
{
    unsigned *n = tools.doom->how == DOOM_POWER ? &tools.doom->calls
                                                : &tools.doom->tools;

    if (__atomic_add_fetch(n, 1, __ATOMIC_SEQ_CST) != tools.doom->at)
        return;
    if (in_place && tools.doom->how == DOOM_LAZY_POWER)
        return;
    snprintf(tools.doom->what, sizeof(tools.doom->what), "our own %s", what);
    kill(getpid(), SIGKILL);
}

static void before_sync(int fd)
{
    (void)fd;
    before_own("sync");
}

static int before_name(const char *layer, const char *what)
{
    if (gives_a_name(layer, what))
        before_own(what);
    return 0;
}

/* In a process that dies when the power goes.  0: it came to its end. */
static int work_in_child(const struct crash_kind *k, struct crash_world *w)
{
    int status = 0, other;
    struct snap_err err = SNAP_ERR_INIT;
    pid_t pid;

    fflush(NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        durable_before_sync = before_sync;
        snap_fault_hook = before_name;
        status = work(k, w, &err);
        tell(k, "power", status, err.msg);
        _exit(status != 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    while (waitpid(-1, &other, 0) > 0)
        ;
    return status;
}

/* The power goes at this call, or before this tool; or in the end. */
static bool one_cut(const struct crash_kind *k, struct crash_world *w,
                    const char *kept, unsigned n, enum doom_how how, size_t l)
{
    int status;
    bool hit;

    if (is_left_out(n))
        return true;
    restore(w, kept);
    set_doom(n, how, false);
    durable_begin(w->f->dir);
    snprintf(tools.doom->disk, sizeof(tools.doom->disk), "%s.disk", w->f->dir);
    status = work_in_child(k, w);
    hit = was_hit();
    tools.doom->disk[0] = '\0';
    durable_keeps = left[l].keeps;
    durable_cut(left[l].names, left[l].data);
    durable_end();
    tell(k, how == DOOM_POWER ? "power" : "power, no tool synced", status, "");
    afterwards(k, w, !status);
    return hit;
}

/* ---- all of them ---- */

struct sweep {
    const struct crash_kind *k;
    struct crash_world *w;
    const char *kept;
    unsigned calls, tools, own; /* of a run that nothing hits */
    unsigned turn; /* another one for each kind */
    bool all;
    unsigned runs;
};

static void count(struct sweep *s)
{
    struct snap_err err = SNAP_ERR_INIT;
    const char *at;

    restore(s->w, s->kept);
    set_doom(0, DOOM_KILL, false);
    own_calls = 0;
    durable_before_sync = count_sync;
    snap_fault_hook = count_name;
    scene_ok(work(s->k, s->w, &err), &err);
    durable_before_sync = NULL;
    snap_fault_hook = NULL;
    s->own = own_calls;
    s->calls = tools.doom->calls;
    s->tools = tools.doom->tools;
    s->k->check(s->w, true);
    for (at = s->k->name; *at; at++)
        s->turn = s->turn * 31 + (unsigned char)*at;
    s->turn %= 1000;
}

/* The i-th of some numbers from 1 to n, spread over them. */
static unsigned pick(const struct sweep *s, unsigned i, unsigned some,
                     unsigned n)
{
    return n ? 1 + (i * n / some + s->turn) % n : 1;
}

static void hit_calls(struct sweep *s)
{
    unsigned n, i;
    size_t how;

    for (n = 1; s->all && n <= s->calls; n++)
        for (how = 0; how < CALL_DOOMS; how++)
            s->runs += one(s->k, s->w, s->kept, n, how);
    for (i = 0; !s->all && i < CALL_DOOMS; i++)
        s->runs += one(s->k, s->w, s->kept, pick(s, i, CALL_DOOMS, s->calls),
                       (i + s->turn) % CALL_DOOMS);
    /* A QEMU that goes on after an error tells nobody of it. */
    for (n = 1; !s->all && s->k->live && n <= s->calls; n++)
        s->runs += one(s->k, s->w, s->kept, n, EIO_ONCE);
    /* What cannot be written when an image is closed is not in an exit
     * status. */
    for (i = 0; !s->all && i < LAST_CALLS && i < s->calls; i++)
        for (how = EIO_ONCE; how <= EIO_FOR_GOOD; how++)
            s->runs += one(s->k, s->w, s->kept, s->calls - i, how);
    printf("%u deaths and errors of tools: %s\n", s->runs, s->k->name);
}

static void hit_tools(struct sweep *s)
{
    unsigned n, i, runs = 0;
    size_t how;

    for (how = CALL_DOOMS; how < DOOMS; how++) {
        for (n = 1; s->all && n <= s->tools; n++)
            runs += one(s->k, s->w, s->kept, n, how);
        for (i = 0; !s->all && i < LIES; i++)
            runs += one(s->k, s->w, s->kept, pick(s, i + how, LIES, s->tools),
                        how);
    }
    printf("%u lies of tools: %s\n", runs, s->k->name);
    s->runs += runs;
}

/* At QEMU's calls and ours, and in the end.  What was not synced is gone at
 * every other call at least: that tells most. */
static void cut_power_live(struct sweep *s)
{
    unsigned n, runs = 0, calls = s->calls + s->own;
    size_t l;

    for (l = 0; s->all && l < LEFT; l++)
        for (n = 1; n <= calls; n++)
            runs += one_cut(s->k, s->w, s->kept, n, DOOM_POWER, l);
    for (n = 1 + s->turn % 2; !s->all && n <= calls; n += 2)
        runs += one_cut(s->k, s->w, s->kept, n, DOOM_POWER, 1);
    for (l = 2; !s->all && l < LEFT; l++)
        runs += one_cut(s->k, s->w, s->kept, pick(s, l, LEFT, calls),
                        DOOM_POWER, l);
    runs += !one_cut(s->k, s->w, s->kept, CALLS_MAX, DOOM_POWER, 1);
    printf("%u power cuts: %s\n", runs, s->k->name);
    s->runs += runs;
}

/* In the end, too, when nobody has synced but we. */
static void cut_power(struct sweep *s)
{
    unsigned n, runs = 0;
    unsigned calls = s->calls + s->own, some = s->tools + s->own;
    size_t l;

    for (l = 0; l < LEFT; l++) {
        for (n = 1; s->all && n <= calls; n++)
            runs += one_cut(s->k, s->w, s->kept, n, DOOM_POWER, l);
        for (n = 1; s->all && n <= some; n++)
            runs += one_cut(s->k, s->w, s->kept, n, DOOM_LAZY_POWER, l);
        if (s->all || l < 3)
            runs += !one_cut(s->k, s->w, s->kept, CALLS_MAX, DOOM_LAZY_POWER,
                             l);
    }
    if (!s->all) {
        runs += one_cut(s->k, s->w, s->kept, pick(s, 0, 1, calls), DOOM_POWER,
                        s->turn % LEFT);
        runs += one_cut(s->k, s->w, s->kept, pick(s, 0, 1, some),
                        DOOM_LAZY_POWER, s->turn / LEFT % LEFT);
        runs += one_cut(s->k, s->w, s->kept, some, DOOM_LAZY_POWER, 2);
    }
    printf("%u power cuts: %s\n", runs, s->k->name);
    s->runs += runs;
}

static void sweep(const struct crash_kind *k, struct crash_world *w,
                  const char *kept)
{
    struct sweep s = { .k = k, .w = w, .kept = kept };

    s.all = getenv("CRASH_ALL") != NULL;
    in_place = k->in_place;
    count(&s);
    hit_calls(&s);
    if (k->live) {
        cut_power_live(&s);
    } else {
        hit_tools(&s);
        cut_power(&s);
    }
    assert_true(s.runs > CALL_DOOMS / 2);
}

static void test_kind(void **state)
{
    const struct crash_kind *k = *state;
    struct crash_world w = { .layers = k->layers, .format = k->format };
    void *scene = NULL;
    char *kept = real_dir_make();

    scene_set_up(&scene);
    w.f = scene;
    k->set_up(&w);
    copy_dir(w.f->dir, kept);
    sweep(k, &w, kept);
    snap_delete_dispose(&w.d);
    snap_part_dispose(&w.p);
    free(w.image);
    scene_tear_down(&scene);
    real_dir_remove(kept);
    free(kept);
}

void crash_to_delete(struct crash_world *w, bool merge)
{
    struct snap_err e = SNAP_ERR_INIT;

    crash_image(w);
    scene_ask(&w->p, "xvda", w->image, w->format, SNAP_DISK_EXTERNAL);
    scene_take(w->f, &w->p);
    real_image_write(w->p.active_path, "qcow2", 3, 0x33);
    real_image_write(w->p.active_path, "qcow2", 6, 0x36);
    w->after[3] = 0x33;
    w->after[6] = 0x36;
    w->f->c.op_id = "op2";
    w->d.leaf = snap_strdup(w->p.active_path);
    w->d.may_merge = merge;
    w->d.others_inside = merge; /* rather than a pull */
    scene_ok(w->p.drv->delete_plan(&w->f->c, &w->p, &w->d, &e), &e);
    assert_int_equal(w->d.how, merge ? SNAP_DELETE_MERGE : SNAP_DELETE_PULL);
}

int crash_main(const char *name, const struct crash_kind *kinds, size_t n)
{
    size_t i;
    int failed;
    const char *missing = real_qemu_missing();
    struct CMUnitTest *tests;

    /* Inodes there are not used again (fakes/durable.h), and a sync costs
     * nothing. */
    if (!access("/dev/shm", W_OK))
        setenv("TMPDIR", "/dev/shm", 0);
    if (missing) {
        printf("1..0 # SKIP %s: %s\n", name, missing);
        return 0;
    }
    tests = snap_zalloc(n * sizeof(*tests));
    for (i = 0; i < n; i++) {
        tests[i].name = kinds[i].name;
        tests[i].test_func = test_kind;
        tests[i].initial_state = (void *)&kinds[i];
    }
    cmocka_set_test_filter(getenv("ONLY") ? getenv("ONLY")
                                          : getenv("CRASH_KIND"));
    failed = _cmocka_run_group_tests(name, tests, n, tools_set_up,
                                     tools_tear_down);
    free(tests);
    return failed;
}

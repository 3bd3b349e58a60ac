/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Saving, resuming and rescuing, with this machine's real libxenlight over a
 * Xen, a xenstore and a guest that fit on a page: what happens when a save
 * ends at the wrong moment, or somebody else lets the guest go on.  The save
 * helper is this program again, which libxl starts by LIBXL_SAVE_HELPER.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/xen/fake_xenstore.h"
#include "hyp/call.h"
#include "hyp/destroy.h"
#include "hyp/domain.h"
#include "hyp/hyp.h"
#include "hyp/limits.h"
#include "hyp/lockfile.h"
#include "hyp/proc.h"
#include "hyp/qmp_sock.h"
#include "hyp/rescue.h"
#include "hyp/save.h"
#include "hyp/savers.h"
#include "hyp/served.h"
#include "hyp/settle.h"
#include "hyp/stopwatch.h"
#include "lib/run.h"

#include <xenctrl.h>
#include <xenguest.h>

#define UUID    "11111111-1111-1111-1111-111111111111"
#define REQUEST home("control/shutdown")
#define NAME    home("name")
#define ASKED   of_libxl("xl-snapshot-asked")

/* Helpers are looked for in /proc: two of this test must not meet. */
static uint32_t domid_here;

static const char *home(const char *what)
{
    static _Thread_local char path[64];

    snprintf(path, sizeof(path), "/local/domain/%u/%s", domid_here, what);
    return path;
}

static const char *of_libxl(const char *what)
{
    static _Thread_local char path[64];

    snprintf(path, sizeof(path), "/libxl/%u/%s", domid_here, what);
    return path;
}

/* --- Xen, and the guest ------------------------------------------------ */

static struct {
    double ack_ms, stop_ms; /* it acknowledges after, and then stops after */
    double asked_at, acked_at;
    bool suspended, paused, dying;
    int resumed, shadow_off;
    double others_resume_ms; /* somebody lets it go on, that long after */
    double stopped_at;
    bool list_fails, twins, died;
} guest;
static pthread_t guest_thread;
static volatile bool guest_ends;

/* How far it came, for other processes; "/test/WHAT" in the store. */
static void wait_until(const char *what)
{
    bool yes = false;

    while (!yes) {
        usleep(1000);
        fake_xs_lock();
        yes = fake_xs_get(what);
        fake_xs_unlock();
    }
}
#define ACKED   "/test/acked"
#define STOPPED "/test/stopped"

static void guest_moves(double now)
{
    bool request = snap_streq(fake_xs_get(REQUEST), "suspend");

    if (request && guest.asked_at == 0)
        guest.asked_at = now;
    if (request && !guest.paused && now - guest.asked_at >= guest.ack_ms) {
        fake_xs_set(REQUEST, "");
        guest.acked_at = now;
        fake_xs_set(ACKED, "");
        guest.asked_at = 0;
    }
    if (guest.acked_at > 0 && !guest.paused &&
        now - guest.acked_at >= guest.stop_ms) {
        guest.acked_at = 0;
        guest.suspended = true;
        guest.stopped_at = now;
        fake_xs_set(STOPPED, "");
        fake_xs_fire("@releaseDomain");
    }
    if (guest.suspended && guest.others_resume_ms > 0 &&
        now - guest.stopped_at >= guest.others_resume_ms)
        guest.suspended = false;
}

static void *guest_main(void *arg)
{
    (void)arg;
    while (!guest_ends) {
        fake_xs_lock();
        guest_moves(snap_now_ms());
        fake_xs_unlock();
        usleep(2000);
    }
    return NULL;
}

xc_interface *xc_interface_open(xentoollog_logger *a, xentoollog_logger *b,
                                unsigned flags)
{
    static int any;

    (void)a;
    (void)b;
    (void)flags;
    return (xc_interface *)&any;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

static void describe(xc_domaininfo_t *i, uint32_t domid)
{
    memset(i, 0, sizeof(*i));
    i->domain = domid;
    if (!domid)
        return;
    memset(i->handle, 0x11, sizeof(i->handle));
    i->flags = XEN_DOMINF_hvm_guest;
    i->cpu_time = 1000;
    if (guest.suspended)
        i->flags |= XEN_DOMINF_shutdown | SHUTDOWN_suspend
                                              << XEN_DOMINF_shutdownshift;
    else
        i->flags |= XEN_DOMINF_running;
    if (guest.paused)
        i->flags |= XEN_DOMINF_paused;
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned int max,
                          xc_domaininfo_t *info)
{
    const uint32_t domids[] = { 0, domid_here, domid_here + 1 };
    unsigned int i, n = 0;

    (void)xch;
    fake_xs_lock();
    for (i = 0; i < (guest.twins ? 3u : 2u) && n < max; i++)
        if (domids[i] >= first && !(guest.died && domids[i]))
            describe(&info[n++], domids[i]);
    fake_xs_unlock();
    errno = EFAULT;
    return guest.list_fails ? -1 : (int)n;
}

/* What libxl asks from Xen 4.18 on, whose header alone has it. */
int xc_domain_getinfo_single(xc_interface *xch, uint32_t domid,
                             xc_domaininfo_t *info);
int xc_domain_getinfo_single(xc_interface *xch, uint32_t domid,
                             xc_domaininfo_t *info)
{
    int n = xc_domain_getinfolist(xch, domid, 1, info);

    if (n == 1 && info->domain == domid)
        return 0;
    if (n >= 0)
        errno = ESRCH;
    return -1;
}

int xc_domain_getvnuma(xc_interface *xch, uint32_t domid, uint32_t *a,
                       uint32_t *b, uint32_t *c, xen_vmemrange_t *v,
                       unsigned int *e, unsigned int *f)
{
    (void)xch, (void)domid, (void)a, (void)b, (void)c, (void)v, (void)e;
    (void)f;
    errno = EOPNOTSUPP;
    return -1;
}

int xc_hvm_param_get(xc_interface *xch, uint32_t domid, uint32_t param,
                     uint64_t *value)
{
    (void)xch, (void)domid;
    *value = param == HVM_PARAM_CALLBACK_IRQ;
    return 0;
}

int xc_domain_resume(xc_interface *xch, uint32_t domid, int fast)
{
    (void)xch, (void)domid, (void)fast;
    fake_xs_lock();
    assert_true(guest.suspended);
    guest.suspended = false;
    guest.resumed++;
    fake_xs_unlock();
    return 0;
}

int xc_domain_pause(xc_interface *xch, uint32_t domid)
{
    (void)xch, (void)domid;
    guest.paused = true;
    return 0;
}

int xc_domain_unpause(xc_interface *xch, uint32_t domid)
{
    (void)xch, (void)domid;
    guest.paused = false;
    return 0;
}

int xc_shadow_control(xc_interface *xch, uint32_t domid, unsigned int op,
                      unsigned int *mb, unsigned int mode)
{
    (void)xch, (void)domid, (void)mb, (void)mode;
    guest.shadow_off += op == XEN_DOMCTL_SHADOW_OP_OFF;
    return 0;
}

int xs_suspend_evtchn_port(int domid)
{
    (void)domid;
    return -1;
}

int xc_flask_sid_to_context(xc_interface *xch, int sid, char *buf,
                            uint32_t size)
{
    (void)xch, (void)sid, (void)buf, (void)size;
    errno = ENOSYS;
    return -1;
}

/* --- the save helper --------------------------------------------------- */

static volatile sig_atomic_t told_to_end;

static void on_term(int sig)
{
    (void)sig;
    told_to_end = 1;
}

/* As libxl_save_helper.c: one message to libxl, and its answer.  A signal
 * that comes while it waits for that is its end. */
static int call(const void *msg, uint16_t len)
{
    int answer;

    if (write(1, &len, 2) != 2 || write(1, msg, len) != len ||
        read(0, &answer, sizeof(answer)) != sizeof(answer))
        _exit(254);
    return answer;
}

/* HELPER_DIES_MS: killed that long after it began, or with HELPER_DIES_WHEN
 * after the guest came that far.  HELPER_SAVES_MS: how long
 * it writes after the guest has stopped, HELPER_BEFORE_MS: before.
 * HELPER_QUIET: it is at it for as long, and writes nothing. */
static int helper_main(int fd)
{
    static const uint16_t suspend = 3;
    struct {
        uint16_t number;
        int32_t rc, errnoval;
    } __attribute__((packed)) complete = { .number = 10 };
    const char *dies = getenv("HELPER_DIES_MS");
    int left = atoi(getenv("HELPER_BEFORE_MS")), failed = 0, i;
    struct sigaction sa = { .sa_handler = on_term };

    sigaction(SIGTERM, &sa, NULL);
    sigemptyset(&sa.sa_mask);
    sigaddset(&sa.sa_mask, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &sa.sa_mask, NULL);
    if (dies && !fork()) {
        if (getenv("HELPER_DIES_WHEN"))
            wait_until(getenv("HELPER_DIES_WHEN"));
        usleep(atoi(dies) * 1000);
        kill(getppid(), SIGKILL);
        _exit(0);
    }
    for (i = 0; i < 2 && !failed; i++) {
        for (; left > 0 && !failed; left -= 10) {
            failed = told_to_end ||
                     (!getenv("HELPER_QUIET") && write(fd, "page", 4) != 4);
            usleep(10000);
        }
        if (!i && !failed)
            failed = !call(&suspend, sizeof(suspend));
        left = atoi(getenv("HELPER_SAVES_MS"));
    }
    complete.rc = failed || told_to_end ? -1 : 0;
    call(&complete, sizeof(complete));
    return 0;
}

/* --- the scene --------------------------------------------------------- */

struct scene {
    struct snap_hyp h;
    struct snap_domain dom;
    int fd, at_stops;
    /* At at_stop: */
    bool stood, marked, locks_free, monitor_stopped;
    struct snap_err err;
    pid_t signaller;
};

static struct hyp_limits limits; /* as they were */
static char dir[] = "/tmp/xl-snapshot-test.XXXXXX"; /* locks and logs */

static volatile sig_atomic_t asked;

static void on_ask(int sig)
{
    (void)sig;
    asked = 1;
}

static void on_nothing(int sig)
{
    (void)sig;
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    struct sigaction sa = { .sa_handler = on_ask, .sa_flags = SA_RESTART };
    sigset_t all, old;

    memset(&guest, 0, sizeof(guest));
    fake_xs_reset();
    guest.ack_ms = 50;
    guest.stop_ms = 50;
    fake_xs_lock();
    fake_xs_set(NAME, "vm1");
    fake_xs_set(REQUEST, "");
    fake_xs_set("/local/domain/0/name", "Domain-0");
    fake_xs_set(of_libxl("type"), "pvh");
    fake_xs_unlock();
    hyp_limits = limits;
    unsetenv("HELPER_DIES_MS");
    unsetenv("HELPER_DIES_WHEN");
    unsetenv("HELPER_QUIET");
    setenv("HELPER_BEFORE_MS", "0", 1);
    setenv("HELPER_SAVES_MS", "0", 1);
    asked = 0;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    /* libxl may answer a helper that is gone; cli/signals.c does the same. */
    sa.sa_handler = on_nothing;
    sigaction(SIGPIPE, &sa, NULL);

    s->h.held_monitor = -1;
    s->h.xen_major = 4;
    s->h.xen_minor = 17;
    hyp_logger_init(&s->h.logger, NULL);
    s->h.ctx = hyp_ctx_new(&s->h.logger);
    s->h.xsh = xs_open(0);
    assert_non_null(s->h.ctx);
    s->dom.domid = domid_here;
    s->dom.type = SNAP_GUEST_PVH;
    s->dom.name = (char *)"vm1";
    snprintf(s->dom.uuid, sizeof(s->dom.uuid), UUID);
    s->fd = memfd_create("memory", MFD_CLOEXEC);
    guest_ends = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_create(&guest_thread, NULL, guest_main, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;

    if (s->signaller)
        waitpid(s->signaller, NULL, 0);
    if (s->dom.monitor_pid) {
        kill(s->dom.monitor_pid, SIGKILL);
        waitpid(s->dom.monitor_pid, NULL, 0);
    }
    if (s->h.held_monitor >= 0)
        close(s->h.held_monitor);
    guest_ends = true;
    pthread_join(guest_thread, NULL);
    hyp_stopwatch_free(&s->h.watch);
    xs_close(s->h.xsh);
    /* Aborts if libxl has anything left to watch for. */
    libxl_ctx_free(s->h.ctx);
    close(s->fd);
    free(s);
    return 0;
}

static void at_stop(void *opaque)
{
    struct scene *s = opaque;

    s->at_stops++;
    s->stood = guest.suspended;
    s->marked = hyp_asked(&s->h, domid_here);
    s->locks_free = hyp_lock_is_free(&s->dom, HYP_LOCK_DEVICES) &&
                    hyp_lock_is_free(&s->dom, HYP_LOCK_DATA);
    s->monitor_stopped = s->dom.monitor_pid &&
                         hyp_wait_stopped(s->dom.monitor_pid, 0);
}

static int save(struct scene *s, bool live)
{
    struct snap_at_stop stop = { at_stop, s };
    struct snap_save_result res;

    snap_err_clear(&s->err);
    return hyp_save(&s->h, &s->dom, "{}", s->fd, live, &stop, &res, &s->err);
}

/* As a terminal does it: to our whole group, the helper included. */
static void signal_group(struct scene *s, int sig, const char *when,
                         int after_ms)
{
    s->signaller = fork();
    if (s->signaller)
        return;
    signal(sig, SIG_IGN);
    alarm(60);
    if (when)
        wait_until(when);
    usleep(after_ms * 1000);
    kill(0, sig);
    _exit(0);
}

/* It runs, and goes on to, and nothing of ours is left in xenstore. */
static void runs_on(int watch_ms)
{
    double end = snap_now_ms() + watch_ms;

    do {
        assert_false(guest.suspended);
        usleep(10000);
    } while (snap_now_ms() < end);
    fake_xs_lock();
    assert_string_equal(fake_xs_get(REQUEST), "");
    assert_null(fake_xs_get(ASKED));
    fake_xs_unlock();
}

/* --- a save that ends before its time ---------------------------------- */

static void test_signal_before_ack(void **state)
{
    static const int sigs[] = { SIGINT, SIGHUP, SIGTERM };
    struct scene *s;
    double begun;
    size_t i;
    int rc;

    for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
        s = *state;
        guest.ack_ms = 20000;
        signal_group(s, sigs[i], NULL, 200);
        begun = snap_now_ms();
        rc = save(s, false);
        /* The helper hears SIGTERM as well, and may be gone before we ask. */
        if (rc != SNAP_FAIL || sigs[i] != SIGTERM)
            assert_int_equal(rc, SNAP_INTR);
        assert_in_range((int)(snap_now_ms() - begun), 0, 15000);
        runs_on(200);
        assert_int_equal(s->at_stops, 0);
        assert_int_equal(guest.resumed, 0);
        assert_true(asked);
        teardown(state);
        setup(state);
    }
}

/* It has acknowledged, and will stop whatever is done. */
static void test_signal_after_ack(void **state)
{
    struct scene *s = *state;

    guest.stop_ms = 2500;
    setenv("HELPER_SAVES_MS", "20000", 1);
    signal_group(s, SIGINT, ACKED, 100);
    assert_int_equal(save(s, false), SNAP_INTR);
    assert_int_equal(guest.resumed, 1);
    runs_on(200);
    assert_int_equal(s->at_stops, 0);
}

static void test_helper_dies_before_ack(void **state)
{
    struct scene *s = *state;

    guest.ack_ms = 20000;
    setenv("HELPER_DIES_MS", "200", 1);
    assert_int_equal(save(s, true), SNAP_FAIL);
    runs_on(200);
    assert_int_equal(guest.resumed, 0);
    assert_true(guest.shadow_off > 0);
}

static void test_helper_dies_after_ack(void **state)
{
    struct scene *s = *state;

    guest.stop_ms = 2500;
    setenv("HELPER_SAVES_MS", "20000", 1);
    setenv("HELPER_DIES_WHEN", ACKED, 1);
    setenv("HELPER_DIES_MS", "100", 1);
    assert_int_equal(save(s, false), SNAP_FAIL);
    assert_int_equal(guest.resumed, 1);
    runs_on(200);
}

static void test_helper_dies_while_it_stands(void **state)
{
    struct scene *s = *state;

    setenv("HELPER_DIES_WHEN", STOPPED, 1);
    setenv("HELPER_DIES_MS", "300", 1);
    setenv("HELPER_SAVES_MS", "20000", 1);
    assert_int_equal(save(s, false), SNAP_FAIL);
    assert_int_equal(guest.resumed, 1);
    runs_on(200);
    assert_int_equal(s->at_stops, 0);
}

/* Long before the guest stops, and while it stands. */
static void test_signal_while_writing(void **state)
{
    struct scene *s;
    double begun;
    int i;

    for (i = 0; i < 2; i++) {
        s = *state;
        setenv(i ? "HELPER_BEFORE_MS" : "HELPER_SAVES_MS", "20000", 1);
        signal_group(s, SIGINT, i ? NULL : STOPPED, 500);
        begun = snap_now_ms();
        assert_int_equal(save(s, i), SNAP_INTR);
        assert_in_range((int)(snap_now_ms() - begun), 0, 15000);
        assert_int_equal(guest.resumed, i ? 0 : 1);
        runs_on(200);
        assert_int_equal(s->at_stops, 0);
        teardown(state);
        setup(state);
    }
}

/* --- a save that succeeds, or seems to --------------------------------- */

static void test_saved(void **state)
{
    struct scene *s = *state;
    struct snap_err err = SNAP_ERR_INIT;
    int live;

    for (live = 0; live < 2; live++) {
        s = *state;
        setenv("HELPER_SAVES_MS", "300", 1);
        assert_int_equal(save(s, live), 0);
        assert_int_equal(s->at_stops, 1);
        assert_true(s->stood);
        assert_true(s->marked);
        assert_true(guest.suspended);
        assert_int_equal(hyp_resume(&s->h, &s->dom, false, &err), 0);
        assert_int_equal(guest.resumed, 1);
        runs_on(100);
        /* Nobody may resume what runs. */
        assert_int_equal(hyp_resume(&s->h, &s->dom, false, &err), SNAP_BUSY);
        assert_int_equal(guest.resumed, 1);
        snap_err_clear(&err);
        teardown(state);
        setup(state);
    }
}

static void test_resumed_by_others(void **state)
{
    struct scene *s = *state;

    guest.others_resume_ms = 200;
    setenv("HELPER_SAVES_MS", "1000", 1);
    assert_int_equal(save(s, false), SNAP_BUSY);
    assert_int_equal(s->at_stops, 0);
    assert_int_equal(guest.resumed, 0);
    runs_on(100);
}

static void test_shut_down_meanwhile(void **state)
{
    struct scene *s = *state;
    double begun = snap_now_ms();

    guest.ack_ms = 60000;
    fake_xs_put(NAME, NULL); /* xl destroy begins so */
    assert_int_equal(save(s, false), SNAP_BUSY);
    assert_in_range((int)(snap_now_ms() - begun), 0, 30000);
}

/* --- one that gets nowhere --------------------------------------------- */

static void test_stalls(void **state)
{
    struct scene *s = *state;
    double begun = snap_now_ms();

    hyp_limits.save_stall_ms = 600;
    setenv("HELPER_SAVES_MS", "20000", 1);
    setenv("HELPER_QUIET", "", 1);
    assert_int_equal(save(s, false), SNAP_TIMEOUT);
    assert_in_range((int)(snap_now_ms() - begun), hyp_limits.save_stall_ms,
                    15000);
    assert_int_equal(s->at_stops, 0);
    assert_int_equal(guest.resumed, 1);
    runs_on(200);
}

/* One that writes gets on, and a guest that runs does not wait. */
static void test_no_stall(void **state)
{
    struct scene *s = *state;

    hyp_limits.save_stall_ms = 1000;
    setenv("HELPER_SAVES_MS", "2000", 1);
    assert_int_equal(save(s, false), 0);
    teardown(state);
    setup(state);
    s = *state;
    hyp_limits.save_stall_ms = 1000;
    setenv("HELPER_BEFORE_MS", "2000", 1);
    setenv("HELPER_QUIET", "", 1);
    assert_int_equal(save(s, true), 0);
}

/* --- xl's daemon ------------------------------------------------------- */

#define MONITOR_LIVES_S 60

/* This program again.  It says that it watches the guest, has this lock, for
 * as many ms as it runs, and then none. */
static int monitor_main(const char *lock_path, int ms)
{
    int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

    alarm(MONITOR_LIVES_S);
    if (fd < 0 || flock(fd, LOCK_EX))
        return 1;
    dprintf(1, "Waiting for domain vm1 (domid %s) to die [pid %d]\n",
            getenv("MONITOR_DOMID"), getpid());
    for (; ms > 0; ms--)
        usleep(1000);
    close(fd);
    for (;;)
        usleep(1000);
}

/* Started, and with the lock in hand. */
static void have_monitor(struct scene *s, const char *what, int ms,
                         const char *log_name)
{
    char *log = snap_printf("%s/%s", dir, log_name);
    char *lock_path = snap_printf("%s/userdata-l.%u." UUID ".%s", dir,
                                  domid_here, what);
    char number[16], for_ms[16];
    int fd = open(log, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
                  0600);

    snprintf(number, sizeof(number), "%u", domid_here);
    snprintf(for_ms, sizeof(for_ms), "%d", ms);
    setenv("MONITOR_DOMID", number, 1);
    s->dom.monitor_pid = fork();
    if (!s->dom.monitor_pid) {
        dup2(fd, 1);
        execl("/proc/self/exe", "xl", "--watch", lock_path, for_ms, NULL);
        _exit(1);
    }
    while (lseek(fd, 0, SEEK_END) <= 0)
        usleep(1000);
    close(fd);
    free(log);
    free(lock_path);
}

static void monitor_runs(struct scene *s)
{
    usleep(20000);
    assert_false(hyp_wait_stopped(s->dom.monitor_pid, 0));
    assert_int_equal(s->h.held_monitor, -1);
}

/* It must not see the suspend, and has a lock that the save waits for when it
 * is stopped: it goes on until it has none. */
static void test_monitor_with_lock(void **state)
{
    static const char *const locks[] = { HYP_LOCK_DEVICES, HYP_LOCK_DATA };
    struct scene *s;
    size_t i;

    for (i = 0; i < 2; i++) {
        s = *state;
        /* Too long for one that gets a step at each look, and no time. */
        hyp_limits.lock_ms = 5000;
        have_monitor(s, locks[i], 400, "xl-vm1.log");
        assert_int_equal(save(s, false), 0);
        assert_true(s->locks_free);
        assert_true(s->monitor_stopped);
        assert_true(hyp_wait_stopped(s->dom.monitor_pid, 0));
        assert_int_equal(hyp_resume(&s->h, &s->dom, false, &s->err), 0);
        monitor_runs(s);
        teardown(state);
        setup(state);
    }
}

/* Nothing is asked of the guest then. */
static void test_lock_for_ever(void **state)
{
    struct scene *s = *state;
    double begun = snap_now_ms();

    hyp_limits.lock_ms = 400;
    guest.ack_ms = 20000;
    have_monitor(s, HYP_LOCK_DATA, 1000 * MONITOR_LIVES_S, "xl-vm1.log");
    assert_int_equal(save(s, false), SNAP_BUSY);
    assert_in_range((int)(snap_now_ms() - begun), hyp_limits.lock_ms, 15000);
    assert_non_null(strstr(s->err.msg, "one of its locks"));
    assert_true(guest.asked_at == 0);
    assert_int_equal(s->at_stops, 0);
    runs_on(100);
    monitor_runs(s);
}

static void test_monitor_after_a_failure(void **state)
{
    struct scene *s = *state;

    have_monitor(s, HYP_LOCK_DATA, 0, "xl-vm1.log");
    setenv("HELPER_SAVES_MS", "20000", 1);
    setenv("HELPER_DIES_WHEN", STOPPED, 1);
    setenv("HELPER_DIES_MS", "100", 1);
    assert_int_equal(save(s, false), SNAP_FAIL);
    assert_int_equal(guest.resumed, 1);
    runs_on(100);
    monitor_runs(s);
}

/* Only what is one, and only where it would fear the suspend. */
static void test_monitor_left_alone(void **state)
{
    struct scene *s = *state;

    have_monitor(s, HYP_LOCK_DATA, 0, "something-else");
    assert_int_equal(save(s, false), 0);
    assert_false(s->monitor_stopped);
    teardown(state);
    setup(state);
    s = *state;
    s->h.xen_minor = 20;
    have_monitor(s, HYP_LOCK_DATA, 0, "xl-vm1.log");
    assert_int_equal(save(s, false), 0);
    assert_false(s->monitor_stopped);
}

/* --- rescue ------------------------------------------------------------ */

static struct snap_held held_of(bool suspend, bool pause)
{
    return (struct snap_held){
        .uuid = UUID, .domid = domid_here, .suspend = suspend, .pause = pause
    };
}

static void mark(const char *value)
{
    fake_xs_put(ASKED, value);
}

static void test_rescue_ours(void **state)
{
    struct scene *s = *state;
    struct snap_held held = held_of(true, false);

    mark("1");
    guest.suspended = true;
    assert_int_equal(hyp_rescue(&s->h, &held, &s->err), 0);
    assert_int_equal(guest.resumed, 1);
    runs_on(50);

    held = held_of(false, true);
    guest.paused = true;
    assert_int_equal(hyp_rescue(&s->h, &held, &s->err), 0);
    assert_false(guest.paused);
}

static void test_rescue_not_ours(void **state)
{
    struct scene *s = *state;
    struct snap_held held = held_of(true, true);

    /* Not our suspend: a request of ours would have left its mark. */
    guest.suspended = true;
    assert_int_equal(hyp_rescue(&s->h, &held, &s->err), 0);
    assert_true(guest.suspended);
    /* Not one that this command can have made. */
    mark("1");
    held.suspend = false;
    assert_int_equal(hyp_rescue(&s->h, &held, &s->err), 0);
    assert_true(guest.suspended);
    /* Another domain. */
    held.suspend = true;
    held.domid = domid_here + 1;
    guest.twins = true;
    guest.suspended = false;
    guest.paused = true;
    held.uuid = "22222222-2222-2222-2222-222222222222";
    assert_int_equal(hyp_rescue(&s->h, &held, &s->err), 0);
    assert_true(guest.paused);
    /* No number is no domain; dom0's is not searched for by uuid. */
    held = held_of(true, true);
    held.domid = 0;
    assert_int_equal(hyp_rescue(&s->h, &held, &s->err), 0);
    assert_true(guest.paused);
    /* Its user's own pause, before and during. */
    held = held_of(false, true);
    held.was_paused = true;
    assert_int_equal(hyp_rescue(&s->h, &held, &s->err), 0);
    assert_true(guest.paused);
    held = held_of(true, false);
    mark(NULL);
    assert_int_equal(hyp_rescue(&s->h, &held, &s->err), 0);
    assert_true(guest.paused);
    assert_int_equal(guest.resumed, 0);
}

/* Another's request to suspend stays where it is. */
static void test_rescue_keeps_request(void **state)
{
    struct scene *s = *state;
    struct snap_held held = held_of(true, true);

    guest.ack_ms = 60000;
    fake_xs_put(REQUEST, "suspend");
    assert_int_equal(hyp_rescue(&s->h, &held, &s->err), 0);
    assert_string_equal(fake_xs_get(REQUEST), "suspend");
}

/* The guest of a command that was killed between the request and the stop. */
static void test_rescue_request(void **state)
{
    struct scene *s = *state;
    struct snap_held held = held_of(true, false);

    guest.ack_ms = 3000;
    mark("1");
    fake_xs_put(REQUEST, "suspend");
    assert_int_equal(hyp_rescue(&s->h, &held, &s->err), 0);
    runs_on(1500);

    guest.ack_ms = 10;
    guest.stop_ms = 4000; /* longer than it was once watched */
    mark("1");
    fake_xs_put(REQUEST, "suspend");
    usleep(100000);
    assert_int_equal(hyp_rescue(&s->h, &held, &s->err), 0);
    assert_int_equal(guest.resumed, 1);
    runs_on(100);
}

/* A suspend whose domain is saved by somebody who lives: the fake helper has
 * this process's child as its user. */
static void test_others_at_work(void **state)
{
    struct scene *s = *state;
    struct snap_held held = held_of(true, false);
    struct hyp_saver saver;
    char link[] = "/tmp/xl-snapshot-test.XXXXXX", *path, exe[4096];
    char number[16];
    int pipe_fds[2], status;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    pid_t user;

    assert_true(n > 0);
    exe[n] = '\0';
    snprintf(number, sizeof(number), "%u", domid_here);
    assert_non_null(mkdtemp(link));
    path = snap_printf("%s/libxl-save-helper", link);
    assert_int_equal(symlink(exe, path), 0);
    assert_int_equal(pipe(pipe_fds), 0);
    user = fork();
    if (!user) {
        if (!fork()) {
            dup2(pipe_fds[0], 0);
            close(pipe_fds[1]);
            execl(path, path, "--save-domain", "9", "-1", number, "1", NULL);
            _exit(1);
        }
        pause();
        _exit(0);
    }
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    while (!hyp_saver_find(domid_here, &saver))
        usleep(10000);
    assert_int_equal(saver.user, user);
    assert_false(hyp_saver_find(domid_here + 1, &saver));

    mark("1");
    guest.suspended = true;
    assert_int_equal(hyp_rescue(&s->h, &held, &s->err), SNAP_BUSY);
    assert_true(guest.suspended);
    snap_err_clear(&s->err);
    assert_int_equal(hyp_destroy(&s->h, &s->dom, &s->err), SNAP_BUSY);
    snap_err_clear(&s->err);
    guest.suspended = false;
    assert_int_equal(save(s, false), SNAP_BUSY);
    assert_int_equal(s->at_stops, 0);
    assert_null(fake_xs_get(ASKED));

    /* Its user dies: it does as well, and the suspend is ours. */
    kill(user, SIGKILL);
    waitpid(user, &status, 0);
    mark("1");
    guest.suspended = true;
    assert_int_equal(hyp_rescue(&s->h, &held, &s->err), 0);
    assert_int_equal(guest.resumed, 1);
    unlink(path);
    rmdir(link);
    free(path);
}

/* --- finding ----------------------------------------------------------- */

static void test_no_list(void **state)
{
    struct scene *s = *state;
    struct snap_held held = held_of(true, true);
    struct snap_domain dom = { .domid = 0 };
    uint32_t domid;

    guest.list_fails = true;
    assert_int_equal(hyp_find_uuid(&s->h, UUID, &dom, &s->err), SNAP_FAIL);
    snap_err_clear(&s->err);
    assert_int_equal(hyp_find(&s->h, "vm1", &dom, &s->err), SNAP_FAIL);
    snap_err_clear(&s->err);
    assert_int_equal(hyp_domid_of_uuid(&s->h, UUID, &domid), SNAP_FAIL);
    assert_int_equal(hyp_rescue(&s->h, &held, &s->err), SNAP_FAIL);
    snap_err_clear(&s->err);
    guest.list_fails = false;
    fake_xs_break(true);
    assert_int_equal(hyp_find(&s->h, "vm1", &dom, &s->err), SNAP_FAIL);
}

static void test_two_of_one_uuid(void **state)
{
    struct scene *s = *state;
    struct snap_domain dom = { .domid = 0 };
    char number[16];

    snprintf(number, sizeof(number), "%u", domid_here);
    guest.twins = true;
    assert_int_equal(hyp_find_uuid(&s->h, UUID, &dom, &s->err), SNAP_BUSY);
    snap_err_clear(&s->err);
    assert_int_equal(hyp_find(&s->h, "vm1", &dom, &s->err), SNAP_BUSY);
    snap_err_clear(&s->err);
    assert_int_equal(hyp_find(&s->h, number, &dom, &s->err), SNAP_BUSY);
    snap_err_clear(&s->err);
    guest.died = true;
    assert_int_equal(hyp_find_uuid(&s->h, UUID, &dom, &s->err), SNAP_NOTFOUND);
    snap_err_clear(&s->err);
    assert_int_equal(hyp_find(&s->h, UUID, &dom, &s->err), SNAP_NOTFOUND);
}

static void test_processor_time(void **state)
{
    struct scene *s = *state;
    uint64_t ns = 0;

    assert_int_equal(hyp_ran(&s->h, &s->dom, &ns, &s->err), 0);
    assert_int_equal(ns, 1000);
    s->dom.domid++;
    assert_int_not_equal(hyp_ran(&s->h, &s->dom, &ns, &s->err), 0);
}

/* --- its QEMU ---------------------------------------------------------- */

static int qemu_of(struct scene *s)
{
    struct snap_qmp *q = NULL;

    snap_err_clear(&s->err);
    return hyp_qmp_open(&s->h, &s->dom, &q, &s->err);
}

static void have_disk(const char *backend)
{
    fake_xs_put(of_libxl("device/vbd/51712"), NULL);
    if (backend)
        fake_xs_put(of_libxl("device/vbd/51712/backend"), backend);
}

static void test_no_qemu(void **state)
{
    struct scene *s = *state;

    /* It never had one: no disks, or none that a QEMU here serves. */
    assert_int_equal(qemu_of(s), SNAP_UNSUPPORTED);
    have_disk("/local/domain/0/backend/vbd/7/51712");
    assert_int_equal(qemu_of(s), SNAP_UNSUPPORTED);
    have_disk("/local/domain/5/backend/qdisk/7/51712");
    assert_int_equal(qemu_of(s), SNAP_UNSUPPORTED);

    /* It cannot be without: by a disk, by its kind; or half destroyed. */
    have_disk("/local/domain/0/backend/qdisk/7/51712");
    assert_int_equal(qemu_of(s), SNAP_NOTFOUND);
    assert_true(hyp_is_half_gone(&s->h, &s->dom));
    have_disk(NULL);
    assert_false(hyp_is_half_gone(&s->h, &s->dom));
    s->dom.qemu_pid = getpid();
    assert_int_equal(qemu_of(s), SNAP_UNSUPPORTED);
    s->dom.type = SNAP_GUEST_HVM;
    assert_int_equal(qemu_of(s), SNAP_NOTFOUND);
    s->dom.stubdom = true;
    assert_int_equal(qemu_of(s), SNAP_UNSUPPORTED);
    s->dom.stubdom = false;
    s->dom.type = SNAP_GUEST_PVH;
    fake_xs_put(of_libxl("type"), NULL);
    assert_int_equal(qemu_of(s), SNAP_NOTFOUND);

    /* Nobody tells. */
    fake_xs_break(true);
    assert_int_equal(qemu_of(s), SNAP_FAIL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_signal_before_ack),
        TEST(test_signal_after_ack),
        TEST(test_helper_dies_before_ack),
        TEST(test_helper_dies_after_ack),
        TEST(test_helper_dies_while_it_stands),
        TEST(test_signal_while_writing),
        TEST(test_saved),
        TEST(test_resumed_by_others),
        TEST(test_shut_down_meanwhile),
        TEST(test_stalls),
        TEST(test_no_stall),
        TEST(test_monitor_with_lock),
        TEST(test_lock_for_ever),
        TEST(test_monitor_after_a_failure),
        TEST(test_monitor_left_alone),
        TEST(test_rescue_ours),
        TEST(test_rescue_not_ours),
        TEST(test_rescue_keeps_request),
        TEST(test_rescue_request),
        TEST(test_others_at_work),
        TEST(test_no_list),
        TEST(test_two_of_one_uuid),
        TEST(test_processor_time),
        TEST(test_no_qemu),
    };
    const char *const rm[] = { "rm", "-rf", "--", dir, NULL };
    struct snap_run clear = SNAP_RUN_INIT;

    clear.argv = rm;

    if (argc > 2 && !strcmp(argv[1], "--save-domain"))
        return snap_has_prefix(argv[2], "9") && argc == 6
                   ? (int)read(0, &argc, 1)
                   : helper_main(atoi(argv[2]));
    if (argc > 3 && !strcmp(argv[1], "--watch"))
        return monitor_main(argv[2], atoi(argv[3]));
    limits = hyp_limits;
    if (!mkdtemp(dir))
        return 1;
    hyp_lib_dir = hyp_log_dir = dir;
    domid_here = 1000 + getpid() % 30000;
    setenv("LIBXL_SAVE_HELPER", "/proc/self/exe", 1);
    setpgid(0, 0);
    argc = cmocka_run_group_tests(tests, NULL, NULL);
    snap_run(&clear, NULL);
    snap_run_dispose(&clear);
    return argc;
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The monitor of a domain that hyp_create() booted: it does what xl's own
 * daemon does for domains that xl booted (tools/xl/xl_vmcontrol.c, Xen 4.17:
 * handle_domain_death() and the loop around it), and writes the same line to
 * the same log, so that both are recognised alike (proc.c).
 *
 *   the guest          on_poweroff, on_reboot, on_crash, on_watchdog, … say
 *   powers off …  -->  destroy | restart | rename-restart | preserve |
 *                      coredump-* | soft-reset
 *   is suspended  -->  go on watching (xl before 4.20 would exit)
 *   is destroyed  -->  exit
 *   ejects a CD   -->  empty the drive
 *
 * It runs for as long as the domain, in a process of its own that only this
 * file's function was called in; it prints to its log and returns.
 */
#include "hyp/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "hyp/boot.h"
#include "hyp/ctx.h"
#include "hyp/destroy.h"
#include "hyp/limits.h"
#include "hyp/mark.h"

#define READY_FD 3

struct monitor {
    struct snap_hyp *h;
    uint32_t domid;
    libxl_domain_config cfg; /* as last seen */
    libxl_evgen_domain_death *death;
    libxl_evgen_disk_eject **ejects;
    int n_ejects;
    bool ready_told;
};

enum next { NEXT_WATCH_ON, NEXT_WATCH_NEW, NEXT_EXIT };

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

/* --- what is watched --------------------------------------------------- */

static void watch_end(struct monitor *m)
{
    libxl_event *event;
    int i;

    if (m->death)
        libxl_evdisable_domain_death(m->h->ctx, m->death);
    m->death = NULL;
    for (i = 0; i < m->n_ejects; i++)
        if (m->ejects[i])
            libxl_evdisable_disk_eject(m->h->ctx, m->ejects[i]);
    free(m->ejects);
    m->ejects = NULL;
    m->n_ejects = 0;
    /* What had been seen of the old domain is not about the new one. */
    while (!libxl_event_check(m->h->ctx, &event, LIBXL_EVENTMASK_ALL, NULL,
                              NULL))
        libxl_event_free(m->h->ctx, event);
}

static int watch_begin(struct monitor *m)
{
    const char *vdev;
    int xl, i;

    say("Waiting for domain %s (domid %u) to die [pid %ld]",
        m->cfg.c_info.name, m->domid, (long)getpid());
    xl = libxl_evenable_domain_death(m->h->ctx, m->domid, 0, &m->death);
    if (xl) {
        say("cannot watch it: %s", m->h->logger.first);
        return xl;
    }
    m->n_ejects = m->cfg.num_disks;
    m->ejects = snap_zalloc(m->n_ejects * sizeof(*m->ejects) + 1);
    for (i = 0; i < m->n_ejects; i++) {
        vdev = m->cfg.disks[i].vdev;
        if (m->cfg.disks[i].removable &&
            libxl_evenable_disk_eject(m->h->ctx, m->domid, vdev, 0,
                                      &m->ejects[i]))
            say("%s: ejecting it will go unnoticed", vdev);
    }
    return 0;
}

/* Whoever started us may go on. */
static void tell_ready(struct monitor *m)
{
    if (m->ready_told)
        return;
    m->ready_told = true;
    if (write(READY_FD, "", 1) != 1)
        say("nobody waited for us");
    close(READY_FD);
}

/* --- the guest has shut down ------------------------------------------- */

/* Disks, memory and CPUs may have changed since; what cannot be had leaves
 * the last one in place. */
static int refresh(struct monitor *m)
{
    libxl_domain_config now;
    int xl;

    libxl_domain_config_init(&now);
    xl = libxl_retrieve_domain_configuration(m->h->ctx, m->domid, &now, NULL);
    if (xl) {
        libxl_domain_config_dispose(&now);
        return xl;
    }
    libxl_domain_config_dispose(&m->cfg);
    m->cfg = now;
    hyp_mark_drop(&m->cfg.c_info.xsdata);
    return 0;
}

static libxl_action_on_shutdown action_for(const struct monitor *m,
                                           libxl_shutdown_reason reason)
{
    switch (reason) {
    case LIBXL_SHUTDOWN_REASON_POWEROFF:
        return m->cfg.on_poweroff;
    case LIBXL_SHUTDOWN_REASON_REBOOT:
        return m->cfg.on_reboot;
    case LIBXL_SHUTDOWN_REASON_CRASH:
        return m->cfg.on_crash;
    case LIBXL_SHUTDOWN_REASON_WATCHDOG:
        return m->cfg.on_watchdog;
    case LIBXL_SHUTDOWN_REASON_SOFT_RESET:
        return m->cfg.on_soft_reset;
    default:
        return LIBXL_ACTION_ON_SHUTDOWN_DESTROY;
    }
}

static void dump_core(struct monitor *m)
{
    char *path = snap_printf(HYP_DUMP_DIR "/%s", m->cfg.c_info.name), *p;

    for (p = path + strlen(HYP_DUMP_DIR) + 1; *p; p++)
        if (*p == '/')
            *p = '_';
    say("dumping core to %s", path);
    if (libxl_domain_core_dump(m->h->ctx, m->domid, path, NULL))
        say("core dump failed: %s", m->h->logger.first);
    free(path);
}

/* hyp_destroy() waits for QEMU: the next one opens the same images. */
static int monitor_destroy(struct monitor *m)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_domain dom = { .domid = m->domid };
    int rc;

    dom.name = m->cfg.c_info.name;
    snprintf(dom.uuid, sizeof(dom.uuid), LIBXL_UUID_FMT,
             LIBXL_UUID_BYTES(m->cfg.c_info.uuid));
    say("Domain %u needs to be cleaned up: destroying the domain", m->domid);
    rc = hyp_destroy(m->h, &dom, &err);
    if (rc && rc != SNAP_NOTFOUND)
        say("%s", err.msg);
    return rc == SNAP_NOTFOUND ? 0 : rc;
}

/* The dead domain stays, under a name and uuid of its own. */
static int preserve(struct monitor *m)
{
    char suffix[24];
    libxl_uuid uuid;
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(suffix, sizeof(suffix), "-%Y%m%dT%H%MZ", &tm);
    libxl_uuid_generate(&uuid);
    say("Preserving domain %u %s with suffix%s", m->domid, m->cfg.c_info.name,
        suffix);
    return libxl_domain_preserve(m->h->ctx, m->domid, &m->cfg.c_info, suffix,
                                 uuid);
}

/*
 * Another creation may take long, and what memory it holds it may give back:
 * hyp_boot() waits for the one and we for the other, but not for ever, since
 * nobody would expect the guest to start hours later.  If it was started by
 * somebody else meanwhile, hyp_boot() says so.
 */
static int boot_patiently(struct monitor *m, struct snap_err *err)
{
    double deadline = snap_now_ms() + hyp_limits.again_limit_ms;
    int rc;

    for (;;) {
        snap_err_clear(err);
        m->h->logger.first[0] = m->h->logger.last[0] = '\0';
        rc = hyp_boot(m->h, &m->cfg, &m->domid, err);
        if (rc != SNAP_NOSPACE || snap_now_ms() >= deadline)
            return rc;
        say("%s; trying again", err->msg);
        usleep(hyp_limits.again_ms * 1000);
    }
}

/* Does it still wait for us: there, and paused?  In doubt it does. */
static bool waits_for_us(struct monitor *m)
{
    libxl_dominfo info;
    bool waits;
    int xl;

    libxl_dominfo_init(&info);
    xl = libxl_domain_info(m->h->ctx, &info, m->domid);
    waits = xl ? xl != ERROR_DOMAIN_NOTFOUND
               : info.paused && !info.dying && !info.shutdown;
    libxl_dominfo_dispose(&info);
    return waits;
}

/* It is built, and paused.  One that cannot be let go on is watched all the
 * same: its user unpauses it when he sees it, or destroys it. */
static void let_run(struct monitor *m)
{
    double deadline = snap_now_ms() + hyp_limits.again_limit_ms;

    while (libxl_domain_unpause(m->h->ctx, m->domid, NULL)) {
        if (!waits_for_us(m))
            return;
        if (snap_now_ms() >= deadline) {
            say("domain %u stays paused: %s; xl unpause lets it run", m->domid,
                m->h->logger.first);
            return;
        }
        say("domain %u cannot be unpaused; trying again", m->domid);
        usleep(hyp_limits.again_ms * 1000);
    }
}

static enum next boot_again(struct monitor *m, bool soft)
{
    struct snap_err err = SNAP_ERR_INIT;
    int rc;

    watch_end(m);
    say("Done. Rebooting now");
    m->h->logger.first[0] = m->h->logger.last[0] = '\0';
    if (soft)
        rc = libxl_domain_soft_reset(m->h->ctx, &m->cfg, m->domid, NULL, NULL);
    else
        rc = boot_patiently(m, &err);
    if (rc) {
        say("cannot boot it again: %s", err.rc ? err.msg : m->h->logger.first);
        return NEXT_EXIT;
    }
    let_run(m);
    return NEXT_WATCH_NEW;
}

static enum next watch_on(struct monitor *m)
{
    libxl_evgen_domain_death *again = NULL;

    /* An evgen reports one shutdown only.  The new one comes before the old
     * one goes: the watch itself stays, and does not fire at once. */
    if (libxl_evenable_domain_death(m->h->ctx, m->domid, 0, &again)) {
        say("cannot watch it any longer: %s", m->h->logger.first);
        return NEXT_EXIT;
    }
    libxl_evdisable_domain_death(m->h->ctx, m->death);
    m->death = again;
    say("Continue waiting for domain %u", m->domid);
    return NEXT_WATCH_ON;
}

static enum next has_shut_down(struct monitor *m, libxl_shutdown_reason reason)
{
    libxl_action_on_shutdown action;

    say("Domain %u has shut down, reason code %d 0x%x", m->domid, reason,
        reason);
    if (reason == LIBXL_SHUTDOWN_REASON_SUSPEND) {
        say("Domain has suspended.");
        return watch_on(m);
    }
    if (refresh(m))
        say("its configuration cannot be read: using the last one known");
    action = action_for(m, reason);
    say("Action for shutdown reason code %d is %s", reason,
        libxl_action_on_shutdown_to_string(action));

    if (action == LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_DESTROY ||
        action == LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_RESTART) {
        dump_core(m);
        action = action == LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_DESTROY
                     ? LIBXL_ACTION_ON_SHUTDOWN_DESTROY
                     : LIBXL_ACTION_ON_SHUTDOWN_RESTART;
    }
    switch (action) {
    case LIBXL_ACTION_ON_SHUTDOWN_PRESERVE:
        return NEXT_EXIT;
    case LIBXL_ACTION_ON_SHUTDOWN_RESTART_RENAME:
        return preserve(m) ? NEXT_EXIT : boot_again(m, false);
    case LIBXL_ACTION_ON_SHUTDOWN_RESTART:
        return monitor_destroy(m) ? NEXT_EXIT : boot_again(m, false);
    case LIBXL_ACTION_ON_SHUTDOWN_SOFT_RESET:
        return boot_again(m, true);
    default:
        monitor_destroy(m);
        return NEXT_EXIT;
    }
}

/* --- the loop ---------------------------------------------------------- */

static enum next one_event(struct monitor *m)
{
    enum next next = NEXT_WATCH_ON;
    libxl_event *event = NULL;
    int xl;

    xl = libxl_event_wait(m->h->ctx, &event, LIBXL_EVENTMASK_ALL, NULL, NULL);
    if (xl) {
        say("Domain %u, failed to get event, quitting (rc=%d)", m->domid, xl);
        return NEXT_EXIT;
    }
    if (event->domid == m->domid) {
        switch (event->type) {
        case LIBXL_EVENT_TYPE_DOMAIN_SHUTDOWN:
            next = has_shut_down(m, event->u.domain_shutdown.shutdown_reason);
            break;
        case LIBXL_EVENT_TYPE_DOMAIN_DEATH:
            say("Domain %u has been destroyed.", m->domid);
            next = NEXT_EXIT;
            break;
        case LIBXL_EVENT_TYPE_DISK_EJECT:
            libxl_cdrom_insert(m->h->ctx, m->domid, &event->u.disk_eject.disk,
                               NULL);
            break;
        default:
            break;
        }
    }
    libxl_event_free(m->h->ctx, event);
    return next;
}

static int monitor_watch(struct monitor *m)
{
    enum next next;

    do {
        if (watch_begin(m))
            return 1;
        tell_ready(m);
        while ((next = one_event(m)) == NEXT_WATCH_ON)
            ;
    } while (next == NEXT_WATCH_NEW);
    say("Done. Exiting now");
    return 0;
}

static void to_log(void *opaque, enum snap_level level, const char *msg)
{
    (void)opaque;
    if (level > SNAP_LOG_DEBUG)
        say("%s", msg);
}

static int daemon_main(uint32_t domid)
{
    static const struct snap_log log = { .fn = to_log };
    struct snap_err err = SNAP_ERR_INIT;
    struct monitor m = { .domid = domid };
    int rc;

    libxl_domain_config_init(&m.cfg);
    rc = hyp_open(&log, &m.h, &err);
    if (rc) {
        say("%s", err.msg);
        return 1;
    }
    if (refresh(&m)) {
        say("cannot read the configuration of domain %u: %s", domid,
            m.h->logger.first);
        rc = 1;
        goto out;
    }
    rc = monitor_watch(&m);
    watch_end(&m);

out:
    libxl_domain_config_dispose(&m.cfg);
    hyp_close(m.h);
    return rc;
}

/* --- becoming a daemon ------------------------------------------------- */

static bool detach(const char *log_path, int ready)
{
    int log, null;

    log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0644);
    null = open("/dev/null", O_RDONLY);
    if (log < 0 || null < 0)
        return false;
    if (setsid() < 0 || chdir("/"))
        return false;
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    umask(022);
    if (dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
        dup2(ready, READY_FD) < 0)
        return false;
    /* Without close_range(2) (Linux before 5.9) only what we opened. */
    if (syscall(SYS_close_range, READY_FD + 1, ~0u, 0)) {
        if (log > READY_FD)
            close(log);
        if (null > READY_FD)
            close(null);
        if (ready > READY_FD)
            close(ready);
    }
    fcntl(READY_FD, F_SETFD, FD_CLOEXEC);
    return true;
}

int hyp_monitor_main(uint32_t domid, const char *log_path)
{
    char byte;
    ssize_t n;
    pid_t pid;
    int p[2];

    if (pipe2(p, O_CLOEXEC))
        return 1;
    pid = fork();
    if (pid == 0) {
        close(p[0]);
        return detach(log_path, p[1]) ? daemon_main(domid) : 1;
    }
    close(p[1]);
    do
        n = pid > 0 ? read(p[0], &byte, 1) : 0;
    while (n < 0 && errno == EINTR);
    close(p[0]);
    return n == 1 ? 0 : 1;
}

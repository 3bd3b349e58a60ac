/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * standstill: how long does a guest stand still while a command runs?
 *
 *   standstill DOMID COMMAND [ARG...]
 *
 * Asks Xen every half millisecond whether the domain is paused or shut down
 * (which suspended is, too), the same way for whatever is measured.  Prints on
 * its standard error, after the command has ended:
 *
 *   standstill longest=MS total=MS times=N took=MS samples=N worst=MS
 *
 * longest is the longest single time; worst is the longest time between two
 * looks, which is how far off it may be.  Exits as the command did.  Needs to
 * know nothing of the project, and changes nothing.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <xenctrl.h>

#define EVERY_NS 500000L

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static struct {
    uint32_t domid;
    xc_interface *xch;
    double longest, total, worst;
    unsigned int times, samples;
    bool gone;
} m;
static atomic_bool finished;

static void *watch(void *unused)
{
    const struct timespec every = { .tv_nsec = EVERY_NS };
    double t, before = 0, since = 0;
    bool still = false;

    (void)unused;
    while (!atomic_load(&finished)) {
        xc_dominfo_t info;
        bool now_still;

        if (xc_domain_getinfo(m.xch, m.domid, 1, &info) != 1 ||
            info.domid != m.domid) {
            m.gone = true;
            break;
        }
        t = now_ms();
        now_still = info.paused || info.shutdown;
        if (before && t - before > m.worst)
            m.worst = t - before;
        before = t;
        m.samples++;
        if (now_still && !still) {
            since = t;
            m.times++;
        } else if (!now_still && still) {
            m.total += t - since;
            if (t - since > m.longest)
                m.longest = t - since;
        }
        still = now_still;
        nanosleep(&every, NULL);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct sched_param p = { .sched_priority = 1 };
    pthread_t thread;
    double started;
    int status;
    pid_t pid;

    if (argc < 3) {
        fprintf(stderr, "usage: standstill DOMID COMMAND [ARG...]\n");
        return 2;
    }
    m.domid = strtoul(argv[1], NULL, 10);
    m.xch = xc_interface_open(NULL, NULL, 0);
    if (!m.xch || pthread_create(&thread, NULL, watch, NULL)) {
        fprintf(stderr, "standstill: cannot ask Xen\n");
        return 125;
    }
    /* The look must not wait for what is looked at. */
    pthread_setschedparam(thread, SCHED_RR, &p);

    started = now_ms();
    pid = fork();
    if (!pid) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        perror("standstill");
        return 125;
    }
    started = now_ms() - started;
    usleep(20000);
    atomic_store(&finished, true);
    pthread_join(thread, NULL);
    xc_interface_close(m.xch);
    fprintf(stderr,
            "standstill longest=%.1f total=%.1f times=%u took=%.1f "
            "samples=%u worst=%.1f%s\n",
            m.longest, m.total, m.times, started, m.samples, m.worst,
            m.gone ? " gone=1" : "");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

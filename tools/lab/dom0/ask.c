/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * guest-ask: put a question to a guest on its console, in the lab's dom0.
 *
 *   guest-ask NAME SECONDS WORD...
 *
 * Prints the answer ("ok …", "bad …", "err …"); status 0 for "ok".  What may
 * be asked stands at the head of guest/labguest.c.
 *
 * In C, because tests ask hundreds of times, and every process that the
 * emulated dom0 starts costs a tenth of a second.
 *
 * The terminal changes whenever the domain does, and what is written while
 * the guest is away is lost: so it is looked up and asked again, with the
 * same tag, which the guest obeys only once.  The answer comes from the log
 * that xenconsoled keeps of all guests.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xenstore.h>

#define LOGS      "/var/log/xen/console"
#define AGAIN_MS  1500 /* then the question may have been lost */
#define LOOK_MS   20
#define LINE_MAX_ 4096

static struct xs_handle *xs;

static long long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void nap(void)
{
    usleep(LOOK_MS * 1000);
}

/* The terminal of the domain of that name, or NULL. */
static char *tty_of(const char *name)
{
    char path[128], *found = NULL, **ids;
    unsigned int n = 0, i, len;

    ids = xs_directory(xs, XBT_NULL, "/local/domain", &n);
    for (i = 0; ids && i < n && !found; i++) {
        char *its;

        snprintf(path, sizeof(path), "/local/domain/%s/name", ids[i]);
        its = xs_read(xs, XBT_NULL, path, &len);
        if (its && !strcmp(its, name)) {
            snprintf(path, sizeof(path), "/local/domain/%s/console/tty",
                     ids[i]);
            found = xs_read(xs, XBT_NULL, path, &len);
        }
        free(its);
    }
    free(ids);
    if (found && strncmp(found, "/dev/", 5)) {
        free(found);
        found = NULL;
    }
    return found;
}

static bool put(const char *tty, const char *question)
{
    int fd = open(tty, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    size_t len = strlen(question);
    bool ok;

    if (fd < 0)
        return false;
    ok = write(fd, question, len) == (ssize_t)len;
    close(fd);
    return ok;
}

/* Complaints that the guest makes unasked. */
static bool complaint(const char *line)
{
    return !strncmp(line, "guest: TORN", 11) ||
           !strncmp(line, "guest: LOST", 11) ||
           !strncmp(line, "guest: FUTURE", 13) ||
           !strncmp(line, "guest: EIO", 10);
}

/* 0 or 1: answered; -1: something else. */
static int answer(const char *line, const char *tag)
{
    const char *p = strstr(line, tag);

    if (!p) {
        if (complaint(line))
            fprintf(stderr, "%s\n", line);
        return -1;
    }
    p += strlen(tag);
    if (*p++ != ' ')
        return -1;
    /* Not the terminal's own echo of the question. */
    if (strncmp(p, "ok", 2) && strncmp(p, "bad", 3) && strncmp(p, "err", 3))
        return -1;
    puts(p);
    return strcmp(p, "ok") && strncmp(p, "ok ", 3);
}

/* Take in what the log has; the status of an answer, or -1. */
static int look(int log, const char *tag)
{
    static char line[LINE_MAX_];
    static size_t len;
    char buf[4096];
    ssize_t n, i;
    int status;

    while ((n = read(log, buf, sizeof(buf))) > 0) {
        for (i = 0; i < n; i++) {
            if (buf[i] == '\r')
                continue;
            if (buf[i] != '\n') {
                if (len < sizeof(line) - 1)
                    line[len++] = buf[i];
                continue;
            }
            line[len] = '\0';
            len = 0;
            status = answer(line, tag);
            if (status >= 0)
                return status;
        }
    }
    return -1;
}

int main(int argc, char **argv)
{
    char path[256], tag[64], question[LINE_MAX_];
    long long end, again = 0;
    size_t used;
    int log, i, status;

    if (argc < 4) {
        fprintf(stderr, "usage: guest-ask NAME SECONDS WORD...\n");
        return 2;
    }
    end = now_ms() + atoll(argv[2]) * 1000;
    snprintf(tag, sizeof(tag), "@%d.%lld", (int)getpid(), now_ms());
    used = snprintf(question, sizeof(question), "%s", tag);
    for (i = 3; i < argc && used < sizeof(question) - 2; i++)
        used += snprintf(question + used, sizeof(question) - 1 - used, " %s",
                         argv[i]);
    if (used >= sizeof(question) - 2) {
        fprintf(stderr, "guest-ask: that is too long a question\n");
        return 2;
    }
    strcpy(question + used, "\n");

    snprintf(path, sizeof(path), LOGS "/guest-%s.log", argv[1]);
    log = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    if (log < 0 || lseek(log, 0, SEEK_END) < 0) {
        perror(path);
        return 1;
    }
    xs = xs_open(0);
    if (!xs) {
        perror("guest-ask: xenstore");
        return 1;
    }
    while (now_ms() < end) {
        if (now_ms() >= again) {
            char *tty = tty_of(argv[1]);

            /* No such domain yet: look again soon. */
            again = now_ms() + (tty && put(tty, question) ? AGAIN_MS : 200);
            free(tty);
        }
        status = look(log, tag);
        if (status >= 0)
            return status;
        nap();
    }
    fprintf(stderr, "guest: '%s' does not answer:", argv[1]);
    for (i = 3; i < argc; i++)
        fprintf(stderr, " %s", argv[i]);
    fputc('\n', stderr);
    return 1;
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * labx: the near end of "lab exec".
 *
 *   labx -s SHARE -f FIFO -p QEMU_PID -l SERIAL_LOG [-t SECONDS] [-i FILE]
 *        [-S STEP_FILE] -- CMD [ARG...]
 *
 * Puts the command into a folder of its own under SHARE/exec, rings the bell
 * of dom0's agent through FIFO, copies what the command prints to our stdout
 * and stderr as it comes, and exits as the command did.  124: it took longer
 * than -t and was ended.  125: the machine is gone.  With -S, the last line
 * of its output that starts with "step: " or "LAB_STEP" is kept in STEP_FILE.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define POLL_US     4000
#define SERIAL_TAIL 3000

struct stream {
    const char *name;
    int from;
    int to;
    char line[512]; /* for finding steps */
    size_t len;
};

static char dir[PATH_MAX];
static const char *step_file;
static char step[512] = "";
static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    interrupted = sig;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "lab: %s: %s\n", what, strerror(errno));
    exit(125);
}

static void write_all(int fd, const char *buf, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, buf, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        buf += n;
        len -= n;
    }
}

static const char *in_dir(const char *name)
{
    static char path[PATH_MAX + 32];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void put(const char *name, const char *buf, size_t len)
{
    int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        die(in_dir(name));
    write_all(fd, buf, len);
    close(fd);
}

static void copy_stdin(const char *file)
{
    char buf[65536];
    int from = strcmp(file, "-") ? open(file, O_RDONLY | O_CLOEXEC) : 0;
    int to;
    ssize_t n;

    if (from < 0)
        die(file);
    to = open(in_dir("stdin"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (to < 0)
        die(in_dir("stdin"));
    while ((n = read(from, buf, sizeof(buf))) > 0)
        write_all(to, buf, n);
    close(to);
}

static void ring(const char *fifo, const char *verb)
{
    char line[128];
    const char *id = strrchr(dir, '/') + 1;
    int fd = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        die(fifo);
    snprintf(line, sizeof(line), "%s %s\n", verb, id);
    if (write(fd, line, strlen(line)) < 0)
        die(fifo);
    close(fd);
}

static void keep_steps(struct stream *s, const char *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (buf[i] != '\n') {
            if (s->len < sizeof(s->line) - 1)
                s->line[s->len++] = buf[i];
            continue;
        }
        s->line[s->len] = '\0';
        s->len = 0;
        if (!strncmp(s->line, "step: ", 6) ||
            !strncmp(s->line, "LAB_STEP", 8)) {
            memcpy(step, s->line, sizeof(step));
            if (step_file) {
                int fd = open(step_file,
                              O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

                if (fd >= 0) {
                    dprintf(fd, "%s\n", step);
                    close(fd);
                }
            }
        }
    }
}

static void copy_new(struct stream *s)
{
    char buf[65536];
    ssize_t n;

    if (s->from < 0)
        s->from = open(in_dir(s->name), O_RDONLY | O_CLOEXEC);
    while (s->from >= 0 && (n = read(s->from, buf, sizeof(buf))) > 0) {
        write_all(s->to, buf, n);
        keep_steps(s, buf, n);
    }
}

static void show_tail(const char *path, const char *title, long max)
{
    char buf[SERIAL_TAIL + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size;
    ssize_t n;
    const char *at = buf;

    if (fd < 0)
        return;
    size = lseek(fd, 0, SEEK_END);
    lseek(fd, size > max ? size - max : 0, SEEK_SET);
    n = read(fd, buf, sizeof(buf) - 1);
    close(fd);
    if (n <= 0)
        return;
    buf[n] = '\0';
    if (size > max && strchr(buf, '\n'))
        at = strchr(buf, '\n') + 1;
    fprintf(stderr, "lab: %s:\n%s%s", title, at,
            buf[n - 1] == '\n' ? "" : "\n");
}

static int read_rc(void)
{
    char buf[16] = "";
    int fd = open(in_dir("rc"), O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    if (read(fd, buf, sizeof(buf) - 1) < 0)
        buf[0] = '\0';
    close(fd);
    return atoi(buf);
}

static void tidy(void)
{
    static const char *const names[] = { "argv", "stdin", "out", "err",
                                         "pid",  "rc",    "ps" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(in_dir(names[i]));
    rmdir(dir);
}

int main(int argc, char **argv)
{
    const char *share = NULL, *fifo = NULL, *serial = NULL, *in = NULL;
    struct stream out = { .name = "out", .from = -1, .to = 1 };
    struct stream err = { .name = "err", .from = -1, .to = 2 };
    struct sigaction sa = { .sa_handler = on_signal };
    struct timespec t;
    double limit = 0, end = 0, killed = 0;
    int opt, rc, status, pid = 0;
    char *words;
    size_t len = 0, at = 0;

    while ((opt = getopt(argc, argv, "+s:f:p:l:t:i:S:")) != -1) {
        switch (opt) {
        case 's':
            share = optarg;
            break;
        case 'f':
            fifo = optarg;
            break;
        case 'p':
            pid = atoi(optarg);
            break;
        case 'l':
            serial = optarg;
            break;
        case 't':
            limit = atof(optarg);
            break;
        case 'i':
            in = optarg;
            break;
        case 'S':
            step_file = optarg;
            break;
        default:
            return 2;
        }
    }
    if (!share || !fifo || !serial || !pid || optind >= argc) {
        fprintf(stderr, "labx: is run by \"lab exec\"\n");
        return 2;
    }

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    clock_gettime(CLOCK_REALTIME, &t);
    snprintf(dir, sizeof(dir), "%s/exec/%lld.%09ld.%d", share,
             (long long)t.tv_sec, t.tv_nsec, getpid());
    if (mkdir(dir, 0700))
        die(dir);
    for (int i = optind; i < argc; i++)
        len += strlen(argv[i]) + 1;
    words = malloc(len);
    if (!words)
        die("argv");
    for (int i = optind; i < argc; i++) {
        memcpy(words + at, argv[i], strlen(argv[i]) + 1);
        at += strlen(argv[i]) + 1;
    }
    put("argv", words, len);
    free(words);
    if (in)
        copy_stdin(in);
    ring(fifo, "run");
    if (limit > 0)
        end = now() + limit;

    for (;;) {
        rc = read_rc(); /* before the streams: then they are complete */
        copy_new(&out);
        copy_new(&err);
        if (rc >= 0) {
            status = killed ? 124 : rc;
            break;
        }
        if (kill(pid, 0) && errno == ESRCH) {
            show_tail(serial, "the machine is gone; its console said",
                      SERIAL_TAIL);
            status = 125;
            break;
        }
        if (!killed && (interrupted || (end > 0 && now() > end))) {
            killed = now();
            if (!interrupted)
                fprintf(stderr, "lab: no end after %g s, ending it: %s\n",
                        limit, argv[optind]);
            ring(fifo, "kill");
        }
        if (killed && now() > killed + 4) {
            fprintf(stderr, "lab: dom0 does not answer\n");
            status = 124;
            break;
        }
        usleep(POLL_US);
    }
    if (killed && !interrupted) {
        if (step[0])
            fprintf(stderr, "lab: last step was: %s\n", step);
        show_tail(in_dir("ps"), "running in dom0", SERIAL_TAIL);
        show_tail(serial, "end of the console", SERIAL_TAIL);
    }
    tidy();
    return interrupted ? 128 + interrupted : status;
}

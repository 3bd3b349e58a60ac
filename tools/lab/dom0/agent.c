/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * lab-agent: process 1 of the lab's dom0; runs what "lab exec" asks for.
 *
 *   lab-agent PORT
 *
 * Requests come over a virtio serial port, one a line:
 *
 *   run ID     run /lab/exec/ID/argv (words separated by NUL)
 *   kill ID    end it: "ps" names what was running, then TERM, then KILL
 *   away       sync, and let go of /lab, for a machine that is to be saved
 *   back TIME  have it again, and set the clock: seconds since 1970
 *   off        sync, read-only, power off
 *
 * Everything else passes through files in /lab/exec/ID, a folder shared with
 * the machine outside: stdin (if there is one), out, err, and at the end rc.
 * What a command prints goes through pipes and not straight into these files,
 * so that "> /dev/stderr" in a script does not truncate them.  A daemon that
 * outlives its command may keep the pipes; it is drained and not waited for.
 *
 * It is a program and not a script because forking a shell costs tens of
 * milliseconds here.  It must never exit: it is process 1.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXEC_DIR       "/lab/exec"
#define ARGV_MAX_BYTES (1 << 20)
#define ARGV_MAX_WORDS 8192

static void on_child(int sig)
{
    (void)sig;
}

static void say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("lab-agent: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
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

/* Appears whole or not at all: the other side takes its presence as a sign. */
static void put_file(const char *name, const char *text)
{
    char tmp[64];
    int fd;

    snprintf(tmp, sizeof(tmp), "%s.new", name);
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    write_all(fd, text, strlen(text));
    close(fd);
    rename(tmp, name);
}

static char **read_argv(void)
{
    static char *words[ARGV_MAX_WORDS + 1];
    char *buf = malloc(ARGV_MAX_BYTES + 1);
    size_t len = 0, at = 0;
    int n = 0, fd;

    fd = open("argv", O_RDONLY | O_CLOEXEC);
    if (!buf || fd < 0)
        return NULL;
    for (;;) {
        ssize_t got = read(fd, buf + len, ARGV_MAX_BYTES - len);

        if (got < 0)
            return NULL;
        if (got == 0)
            break;
        len += got;
    }
    close(fd);
    buf[len] = '\0';
    while (at < len && n < ARGV_MAX_WORDS) {
        words[n++] = buf + at;
        at += strlen(buf + at) + 1;
    }
    words[n] = NULL;
    return n > 0 ? words : NULL;
}

/* Copies what is there now.  Returns 0 at the end of the pipe. */
static int drain(int from, int to)
{
    char buf[65536];

    for (;;) {
        ssize_t n = read(from, buf, sizeof(buf));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0)
            return 0;
        if (to >= 0)
            write_all(to, buf, n);
    }
}

static void exec_command(char **argv, int out, int err)
{
    int in = open("stdin", O_RDONLY);

    if (in < 0)
        in = open("/dev/null", O_RDONLY);
    setsid();
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    if (in > 2)
        close(in);
    if (chdir("/root"))
        say("/root: %s", strerror(errno));
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], argv);
    fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

/* One process for each command; never returns. */
static void run_command(const char *id)
{
    char path[PATH_MAX], text[32];
    int out[2], err[2], to[2], pidfd, st, more[2] = { 1, 1 };
    char **argv;
    pid_t pid;

    setsid();
    snprintf(path, sizeof(path), EXEC_DIR "/%s", id);
    if (chdir(path))
        _exit(1);
    to[0] = open("out", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    to[1] = open("err", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    argv = read_argv();
    if (!argv || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
        dprintf(to[1], "lab-agent: cannot take the command\n");
        put_file("rc", "126\n");
        _exit(1);
    }
    pid = fork();
    if (pid == 0)
        exec_command(argv, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    if (pid < 0) {
        dprintf(to[1], "lab-agent: fork: %s\n", strerror(errno));
        put_file("rc", "126\n");
        _exit(1);
    }
    snprintf(text, sizeof(text), "%d\n", pid);
    put_file("pid", text);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(err[0], F_SETFL, O_NONBLOCK);
    pidfd = syscall(SYS_pidfd_open, pid, 0);

    for (;;) {
        struct pollfd p[3] = {
            { .fd = more[0] ? out[0] : -1, .events = POLLIN },
            { .fd = more[1] ? err[0] : -1, .events = POLLIN },
            { .fd = pidfd, .events = POLLIN },
        };

        if (poll(p, 3, -1) < 0 && errno != EINTR)
            break;
        if (p[0].revents)
            more[0] = drain(out[0], to[0]);
        if (p[1].revents)
            more[1] = drain(err[0], to[1]);
        if (p[2].revents)
            break;
    }
    while (waitpid(pid, &st, 0) < 0 && errno == EINTR)
        ;
    if (more[0])
        more[0] = drain(out[0], to[0]);
    if (more[1])
        more[1] = drain(err[0], to[1]);
    snprintf(text, sizeof(text), "%d\n",
             WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st));
    close(to[0]);
    close(to[1]);
    put_file("rc", text);

    /* A daemon may still write; it must not die of it. */
    if (chdir("/"))
        _exit(1);
    while (more[0] || more[1]) {
        struct pollfd p[2] = {
            { .fd = more[0] ? out[0] : -1, .events = POLLIN },
            { .fd = more[1] ? err[0] : -1, .events = POLLIN },
        };

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            break;
        if (p[0].revents)
            more[0] = drain(out[0], -1);
        if (p[1].revents)
            more[1] = drain(err[0], -1);
    }
    _exit(0);
}

/* Everything in the command's session, whichever process groups it made. */
static void kill_command(const char *id)
{
    char path[PATH_MAX], cmd[512];
    FILE *f;
    int pid;

    snprintf(path, sizeof(path), EXEC_DIR "/%s", id);
    if (chdir(path))
        _exit(1);
    f = fopen("pid", "re");
    if (!f || fscanf(f, "%d", &pid) != 1 || pid <= 1)
        _exit(1);
    fclose(f);
    snprintf(cmd, sizeof(cmd),
             "ps -s %d -o pid,stat,etime,wchan:24,args >ps.new 2>&1;mv ps.new ps; pkill -TERM -s %d; sleep 1; pkill -KILL -s %d",
             pid, pid, pid);
    signal(SIGCHLD, SIG_DFL);
    _exit(system(cmd) != 0);
}

static void power_off(void)
{
    int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

    sync();
    if (write(fd, "u", 1) == 1)
        usleep(300000);
    sync();
    if (write(fd, "o", 1) != 1)
        reboot(RB_POWER_OFF);
    _exit(0);
}

/* A command that ended may still hold it for a moment. */
static void share_away(void)
{
    int tries;

    sync();
    for (tries = 0; umount2("/lab", 0) && tries < 100; tries++)
        usleep(50000);
    if (tries == 100)
        say("/lab: %s", strerror(errno));
    else
        say("the share is away");
    _exit(0);
}

/* As image/stub-init mounts it. */
static void share_back(const char *now)
{
    struct timespec t = { .tv_sec = strtoll(now, NULL, 10) };

    if (clock_settime(CLOCK_REALTIME, &t))
        say("the clock: %s", strerror(errno));
    if (mount("lab", "/lab", "9p", 0,
              "trans=virtio,version=9p2000.L,msize=512000,cache=none"))
        say("/lab: %s", strerror(errno));
    else
        say("the share is back");
    _exit(0);
}

static void handle(char *line)
{
    char *id = strchr(line, ' ');
    pid_t pid;

    if (id)
        *id++ = '\0';
    if (id && (strchr(id, '/') || *id == '.' || strlen(id) > 64))
        return;
    pid = fork();
    if (pid < 0)
        say("fork: %s", strerror(errno));
    if (pid != 0)
        return;
    if (!strcmp(line, "run") && id)
        run_command(id);
    else if (!strcmp(line, "kill") && id)
        kill_command(id);
    else if (!strcmp(line, "away"))
        share_away();
    else if (!strcmp(line, "back") && id)
        share_back(id);
    else if (!strcmp(line, "off"))
        power_off();
    else
        say("unknown request '%s'", line);
    _exit(0);
}

int main(int argc, char **argv)
{
    struct sigaction sa = { .sa_handler = on_child };
    char line[256];
    size_t len = 0;
    int port;

    if (argc != 2) {
        fprintf(stderr, "usage: lab-agent PORT\n");
        return 2;
    }
    sigaction(SIGCHLD, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    port = open(argv[1], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (port < 0) {
        say("%s: %s", argv[1], strerror(errno));
        return 1;
    }
    for (;;) {
        struct pollfd p = { .fd = port, .events = POLLIN };
        char c;

        if (poll(&p, 1, 1000) < 0 && errno != EINTR)
            sleep(1);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        while (read(port, &c, 1) == 1) {
            if (c != '\n') {
                if (len < sizeof(line) - 1)
                    line[len++] = c;
                continue;
            }
            line[len] = '\0';
            len = 0;
            handle(line);
        }
        if (p.revents & POLLHUP)
            usleep(100000); /* nobody has the other end open */
    }
}

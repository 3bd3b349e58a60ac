/* SPDX-License-Identifier: LGPL-2.1-only */
/* See real_qemu.h.  The process dies with the test program. */
#include "tools/real_qemu.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/mem.h"
#include "lib/run.h"

#define XEN_QEMU    "/usr/libexec/xen-qemu-system-i386"
#define PATIENCE_MS 60000
/* A connection that comes while QEMU is still starting may be greeted and then
 * not answered: its dispatcher has missed it.  The next one wakes it. */
#define ATTEMPT_MS 5000

struct real_qemu {
    pid_t pid;
    char *qmp_path, *nbd_path;
    struct snap_qmp *qmp;
};

static void __attribute__((noreturn, format(printf, 1, 2)))
give_up(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}

const char *real_qemu_missing(void)
{
    static const char *const tools[] = { "qemu-img", "qemu-io" };
    size_t i;

    if (access(XEN_QEMU, X_OK))
        return "Xen's QEMU (package qemu-system-xen) is not installed";
    for (i = 0; i < 2; i++)
        if (real_run(tools[i], "--version", NULL))
            return "qemu-img and qemu-io (package qemu-utils) are not "
                   "installed";
    return NULL;
}

bool real_qemu_serves(const char *format)
{
    static const char *const argv[] = { XEN_QEMU, "-drive", "format=help",
                                        NULL };
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_err err = SNAP_ERR_INIT;
    char *word = NULL, *rest = NULL;
    bool found = false;

    r.argv = argv;
    if (snap_run(&r, &err))
        give_up("%s", err.msg);
    /* "Supported formats: file qcow2 raw" */
    for (word = strtok_r(r.out, " \n", &rest); word && !found;
         word = strtok_r(NULL, " \n", &rest))
        found = !strcmp(word, format);
    snap_run_dispose(&r);
    return found;
}

/* A machine wants firmware; no processor runs, so any will do. */
static int no_firmware(void)
{
    int fd = memfd_create("bios", 0); /* for the child to open again */

    if (fd < 0 || ftruncate(fd, 65536))
        give_up("memfd: %s", strerror(errno));
    return fd;
}

const char *real_qemu_preload;

static void start_process(struct real_qemu *q)
{
    char *qmp = snap_printf("unix:%s,server=on,wait=off", q->qmp_path);
    int fd = no_firmware();
    char *bios = snap_printf("/proc/self/fd/%d", fd);
    pid_t parent = getpid();

    q->pid = fork();
    if (q->pid < 0)
        give_up("fork: %s", strerror(errno));
    if (!q->pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(127);
        if (real_qemu_preload)
            setenv("LD_PRELOAD", real_qemu_preload, 1);
        execl(XEN_QEMU, XEN_QEMU, "-M", "pc", "-m", "8", "-bios", bios,
              "-nodefaults", "-display", "none", "-accel", "qtest", "-qmp",
              qmp, (char *)NULL);
        _exit(127);
    }
    close(fd);
    free(bios);
    free(qmp);
}

struct real_qemu *real_qemu_start(const char *dir)
{
    struct real_qemu *q = snap_zalloc(sizeof(*q));
    struct snap_err err = SNAP_ERR_INIT;
    double deadline = snap_now_ms() + PATIENCE_MS;
    char *args;

    q->qmp_path = snap_printf("%s/qmp", dir);
    q->nbd_path = snap_printf("%s/nbd", dir);
    unlink(q->qmp_path);
    unlink(q->nbd_path);
    start_process(q);
    while (snap_qmp_connect(q->qmp_path, ATTEMPT_MS, NULL, &q->qmp, &err)) {
        if (snap_now_ms() > deadline || waitpid(q->pid, NULL, WNOHANG) > 0)
            give_up("QEMU did not start: %s", err.msg);
        snap_err_clear(&err);
        usleep(20000);
    }
    args = snap_printf("{\"addr\":{\"type\":\"unix\",\"data\":{\"path\":"
                       "\"%s\"}}}",
                       q->nbd_path);
    if (real_qemu_command(q, "nbd-server-start", args))
        give_up("no NBD server");
    free(args);
    return q;
}

static void dispose(struct real_qemu *q)
{
    snap_qmp_close(q->qmp);
    unlink(q->qmp_path);
    unlink(q->nbd_path);
    free(q->qmp_path);
    free(q->nbd_path);
    free(q);
}

static void wait_gone(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Whether it ended by itself; a test that failed may have left it stuck. */
static bool ends_within(pid_t pid, double ms)
{
    double until = snap_now_ms() + ms;
    struct timespec nap = { .tv_nsec = 5000000 };

    do {
        pid_t r = waitpid(pid, NULL, WNOHANG);

        if (r == pid || (r < 0 && errno != EINTR))
            return true;
        nanosleep(&nap, NULL);
    } while (snap_now_ms() < until);
    return false;
}

void real_qemu_stop(struct real_qemu *q)
{
    if (!q)
        return;
    kill(q->pid, SIGHUP); /* what libxl sends */
    kill(q->pid, SIGCONT); /* a test that failed may have left it stopped */
    if (!ends_within(q->pid, 10000)) {
        kill(q->pid, SIGKILL);
        wait_gone(q->pid);
    }
    dispose(q);
}

void real_qemu_kill(struct real_qemu *q)
{
    if (!q)
        return;
    kill(q->pid, SIGKILL);
    wait_gone(q->pid);
    dispose(q);
}

struct snap_qmp *real_qemu_qmp(struct real_qemu *q)
{
    return q->qmp;
}

pid_t real_qemu_pid(const struct real_qemu *q)
{
    return q->pid;
}

int real_qemu_command(struct real_qemu *q, const char *command,
                      const char *args_json)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *args = NULL;
    int rc;

    if (args_json &&
        snap_json_parse(args_json, strlen(args_json), &args, &err))
        give_up("%s: %s", args_json, err.msg);
    rc = snap_qmp_command(q->qmp, command, args, PATIENCE_MS, NULL, &err);
    if (rc)
        fprintf(stderr, "%s: %s\n", command, err.msg);
    return rc;
}

void real_qemu_add(struct real_qemu *q, const char *vdev, const char *path,
                   const char *format)
{
    struct snap_json *file = snap_json_object(), *node = snap_json_object();
    struct snap_json *export = snap_json_object();
    struct snap_json *device = snap_json_object();
    char *name = snap_printf("%s-%s", vdev, format), *text;

    snap_json_set_str(file, "driver", "file");
    snap_json_set_str(file, "filename", path);
    snap_json_set_str(file, "locking", "off");
    snap_json_set_str(node, "driver", format);
    snap_json_set_str(node, "node-name", name);
    snap_json_set(node, "file", file);
    text = snap_json_text(node, false);
    if (real_qemu_command(q, "blockdev-add", text))
        give_up("blockdev-add %s", path);
    free(text);
    snap_json_set_str(device, "driver", "virtio-blk-pci");
    snap_json_set_str(device, "drive", name);
    snap_json_set_bool(device, "share-rw", true);
    text = snap_json_text(device, false);
    if (real_qemu_command(q, "device_add", text))
        give_up("device_add %s", vdev);
    free(text);
    snap_json_set_str(export, "type", "nbd");
    snap_json_set_str(export, "id", vdev);
    snap_json_set_str(export, "name", vdev);
    snap_json_set_str(export, "node-name", name);
    snap_json_set_bool(export, "writable", true);
    text = snap_json_text(export, false);
    if (real_qemu_command(q, "block-export-add", text))
        give_up("block-export-add %s", vdev);
    free(text);
    free(name);
    snap_json_free(node);
    snap_json_free(export);
    snap_json_free(device);
}

/* qemu-io with one -c per command (owned, freed); its status. */
static int io(const char *target, const char *format, bool write, char **cmds,
              unsigned n)
{
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_err err = SNAP_ERR_INIT;
    const char **argv = snap_realloc(NULL, 2 * n + 8, sizeof(*argv));
    unsigned i, k = 0;

    argv[k++] = "qemu-io";
    argv[k++] = write ? "-f" : "-rUf";
    argv[k++] = format;
    for (i = 0; i < n; i++) {
        argv[k++] = "-c";
        argv[k++] = cmds[i];
    }
    argv[k++] = target;
    argv[k] = NULL;
    r.argv = argv;
    snap_run(&r, &err);
    if (!r.out)
        give_up("qemu-io: %s", err.msg);
    i = (unsigned)r.status;
    if (i)
        fprintf(stderr, "qemu-io %s: %s%s\n", target, r.out, r.err_text);
    snap_run_dispose(&r);
    free(argv);
    while (n)
        free(cmds[--n]);
    return (int)i;
}

static int write_blocks(const char *target, const char *format,
                        const unsigned *block, unsigned n, unsigned char byte)
{
    char *cmds[3];
    unsigned i;

    for (i = 0; i < n && i < 2; i++)
        cmds[i] = snap_printf("write -q -P %u %u %u", byte,
                              block[i] * REAL_BLOCK, REAL_BLOCK);
    cmds[i] = snap_strdup("flush");
    return io(target, format, true, cmds, i + 1);
}

/* doubt: which blocks may hold anything, or NULL. */
static bool blocks_are(const char *target, const char *format,
                       const unsigned char *want, const bool *doubt,
                       unsigned n)
{
    char **cmds = snap_realloc(NULL, n + 1, sizeof(*cmds));
    unsigned i, k = 0;
    int status;

    for (i = 0; i < n; i++)
        if (!doubt || !doubt[i])
            cmds[k++] = snap_printf("read -q -P %u %u %u", want[i],
                                    i * REAL_BLOCK, REAL_BLOCK);
    status = io(target, format, false, cmds, k);
    free(cmds);
    return !status;
}

static char *nbd_url(const struct real_qemu *q, const char *vdev)
{
    return snap_printf("nbd+unix:///%s?socket=%s", vdev, q->nbd_path);
}

static void guest_write(struct real_qemu *q, const char *vdev,
                        const unsigned *block, unsigned n, unsigned char byte)
{
    char *url = nbd_url(q, vdev);

    if (write_blocks(url, "raw", block, n, byte))
        give_up("the guest could not write to %s", vdev);
    free(url);
}

bool real_qemu_try_write(struct real_qemu *q, const char *vdev, unsigned block,
                         unsigned char byte)
{
    char *url = nbd_url(q, vdev);
    bool yes = !write_blocks(url, "raw", &block, 1, byte);

    free(url);
    return yes;
}

void real_qemu_write(struct real_qemu *q, const char *vdev, unsigned block,
                     unsigned char byte)
{
    guest_write(q, vdev, &block, 1, byte);
}

void real_qemu_write_two(struct real_qemu *q, const char *vdev,
                         const unsigned block[2], unsigned char byte)
{
    guest_write(q, vdev, block, 2, byte);
}

bool real_qemu_has(struct real_qemu *q, const char *vdev,
                   const unsigned char *want, unsigned n)
{
    char *url = nbd_url(q, vdev);
    bool yes = blocks_are(url, "raw", want, NULL, n);

    free(url);
    return yes;
}

bool real_image_has(const char *path, const char *format,
                    const unsigned char *want, unsigned n)
{
    return blocks_are(path, format, want, NULL, n);
}

bool real_image_has_most(const char *path, const char *format,
                         const unsigned char *want, const bool *doubt,
                         unsigned n)
{
    return blocks_are(path, format, want, doubt, n);
}

void real_image_write(const char *path, const char *format, unsigned block,
                      unsigned char byte)
{
    if (write_blocks(path, format, &block, 1, byte))
        give_up("cannot write to %s", path);
}

int real_run(const char *tool, ...)
{
    const char *argv[32] = { tool };
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_err err = SNAP_ERR_INIT;
    va_list ap;
    int n = 0, status;

    va_start(ap, tool);
    while (argv[n] && n < 31)
        argv[++n] = va_arg(ap, const char *);
    va_end(ap);
    r.argv = argv;
    status = snap_run(&r, &err) && !r.out ? 127 : r.status;
    if (status && r.err_text)
        fprintf(stderr, "%s: %s", tool, r.err_text);
    snap_run_dispose(&r);
    return status;
}

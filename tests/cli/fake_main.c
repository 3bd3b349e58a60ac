/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * xl-snapshot over the fakes: the same command line, with a hypervisor and
 * disks in memory.  For the scripts beside it, which set in the environment
 *
 *   XLFAKE_STORE   the folder of the snapshots
 *   XLFAKE_WORLD   a file that keeps domains and disks from one run to the
 *                  next; made if it is not there
 *   XLFAKE_ISO     what is in vm1's CD drive, a real file
 *   XLFAKE_NOXEN   there is no hypervisor, and no module for it
 *   XLFAKE_DO      what somebody does before us: "start" vm3 from its xl.cfg,
 *                  "stop" it, or "rename" it to web
 *   XLFAKE_AT      "LAYER WHAT ACTION": when this call is first made (what
 *                  may go on), ACTION: EIO, ENOSPC, or a signal to ourselves:
 *                  INT, INT2 (twice), TERM, HUP, TSTP, PIPE, KILL.  "call N
 *                  ACTION": the N-th call, whatever it is
 *   XLFAKE_REACHED a file that is made then
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/log_sink.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "fakes/fake_cfg.h"
#include "fakes/fake_disk.h"
#include "fakes/fake_hyp.h"
#include "lib/fault.h"
#include "lib/mem.h"

static void on_started(void *opaque, const struct fake_domain *d,
                       const char *vdev, const char *path, const char *format)
{
    if (fake_store_exists(opaque, path))
        fake_store_open(opaque, d->domid, vdev, path, format);
}

static void on_stopped(void *opaque, const struct fake_domain *d)
{
    fake_store_close(opaque, d->domid);
}

static struct fake_domain *start_vm3(struct fake_world *w)
{
    return fake_domain_add(
        w, "vm3", "11111111-2222-4333-8444-555555555503",
        (const char *const[]){ "xvda:qcow2:/img/d.qcow2", NULL });
}

static void somebody_does(const char *what, struct fake_world *w,
                          struct fake_store *s)
{
    struct fake_domain *d = fake_domain_find(w, "vm3");

    if (!strcmp(what, "start")) {
        start_vm3(w);
    } else if (d && !strcmp(what, "stop")) {
        fake_store_close(s, d->domid);
        d->exists = false;
    } else if (d && !strcmp(what, "rename")) {
        snprintf(d->name, sizeof(d->name), "web");
    } else {
        abort();
    }
}

static void make_world(struct fake_world *w, struct fake_store *s)
{
    struct fake_domain *d;
    const char *iso = getenv("XLFAKE_ISO");
    char *cd = snap_printf("xvdc:raw:%s:cdrom", iso ? iso : "/none");

    s->free_bytes = 1ull << 40;
    fake_store_add(s, "/img/a.qcow2", "qcow2", 1 << 30);
    fake_store_add(s, "/img/b.raw", "raw", 1 << 30);
    fake_store_add(s, "/img/c.qcow2", "qcow2", 1 << 30);
    fake_store_add(s, "/img/d.qcow2", "qcow2", 1 << 30);
    if (getenv("XLFAKE_OFF")) { /* images of a domain that does not run */
        fake_store_add(s, "/img/e.qcow2", "qcow2", 1 << 30);
        fake_store_add(s, "/img/f.raw", "raw", 1 << 30);
    }
    fake_domain_add(w, "vm1", "11111111-2222-4333-8444-555555555501",
                    (const char *const[]){ "xvda:qcow2:/img/a.qcow2",
                                           "xvdb:raw:/img/b.raw", cd, NULL });
    d = fake_domain_add(
        w, "vm2", "11111111-2222-4333-8444-555555555502",
        (const char *const[]){ "xvda:qcow2:/img/c.qcow2", NULL });
    d->paused = true;
    start_vm3(w)->monitor_pid = 0;
    free(cd);
}

/* The world as the run before left it. */
static void load_world(const char *file, struct fake_world *w,
                       struct fake_store *s)
{
    FILE *f = file ? fopen(file, "r") : NULL;
    bool there = f && fread(w, sizeof(*w), 1, f) == 1 &&
                 fread(s, sizeof(*s), 1, f) == 1;

    w->started = on_started;
    w->stopped = on_stopped;
    w->opaque = s;
    if (f)
        fclose(f);
    if (!there)
        make_world(w, s);
}

static void save_world(const char *file, const struct fake_world *w,
                       const struct fake_store *s)
{
    FILE *f = file ? fopen(file, "w") : NULL;

    if (!f)
        return;
    if (fwrite(w, sizeof(*w), 1, f) != 1 || fwrite(s, sizeof(*s), 1, f) != 1)
        abort();
    fclose(f);
}

static char at_layer[32], at_what[64], at_action[16];

static int at_fault(const char *layer, const char *what)
{
    const char *a = at_action, *reached = getenv("XLFAKE_REACHED");
    static long calls;

    calls++;
    if (!a[0])
        return 0;
    if (!strcmp(at_layer, "call")
            ? calls != atol(at_what)
            : strcmp(layer, at_layer) || !snap_has_prefix(what, at_what))
        return 0;
    if (!at_layer[0])
        return 0;
    at_layer[0] = '\0'; /* once */
    if (reached)
        close(open(reached, O_CREAT | O_WRONLY, 0600));
    if (!strcmp(a, "EIO"))
        return EIO;
    if (!strcmp(a, "ENOSPC"))
        return ENOSPC;
    if (!strncmp(a, "INT", 3))
        raise(SIGINT);
    if (!strcmp(a, "INT2"))
        raise(SIGINT);
    if (!strcmp(a, "TERM"))
        raise(SIGTERM);
    if (!strcmp(a, "HUP"))
        raise(SIGHUP);
    if (!strcmp(a, "TSTP"))
        raise(SIGTSTP);
    if (!strcmp(a, "PIPE"))
        raise(SIGPIPE);
    if (!strcmp(a, "KILL")) {
        /* Domains and disks outlive us. */
        save_world(getenv("XLFAKE_WORLD"), fake_world_current,
                   fake_store_current);
        raise(SIGKILL);
    }
    return 0;
}

static int no_xen(struct snap_env *env, struct snap_err *err)
{
    (void)env;
    return snap_fail(err, SNAP_UNSUPPORTED, "no Xen is running here");
}

static const struct snap_cli_tables no_tables = { .load = no_xen };

/* The progress line in different widths; then a sink whose reader is away. */
static int self_test(void)
{
    static const struct {
        const char *what;
        uint64_t done, total;
        double seconds;
        int width;
    } lines[] = {
        { "saving memory", 64 << 20, 128 << 20, 0.5, 0 },
        { "saving memory", 64 << 20, 128 << 20, 0.5, 79 },
        { "saving memory", 64 << 20, 128 << 20, 0.5, 45 },
        { "saving memory", 64 << 20, 128 << 20, 0.5, 34 },
        { "saving memory", 64 << 20, 128 << 20, 0.5, 20 },
        { "saving memory", 64 << 20, 128 << 20, 0.5, 6 },
        { "saving memory", 0, 128 << 20, 0, 79 },
        { "saving memory", 5 << 20, 0, 1, 79 },
        { "saving memory", 1ull << 30, 1ull << 40, 1, 79 },
        { "saving\033[2Jmemory", 1, 2, 0, 79 },
        { "\303\251t\303\251", 1, 2, 0, 3 },
    };
    struct snap_cli cli = { .prog = (char *)"xl snapshot-create" };
    struct snap_sink *s;
    char buf[4096], *text;
    size_t i, got = 0;
    ssize_t n;
    int fd[2];

    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        text = snap_progress_text(lines[i].what, lines[i].done, lines[i].total,
                                  lines[i].seconds, lines[i].width);
        printf("%3d |%s|\n", lines[i].width, text);
        free(text);
    }

    /* Full before we begin: each message has to be kept, in order. */
    if (pipe2(fd, O_NONBLOCK))
        return 1;
    memset(buf, '.', sizeof(buf));
    while (write(fd[1], buf, sizeof(buf)) > 0)
        ;
    fcntl(fd[1], F_SETFL, 0);
    cli.errf = fdopen(fd[1], "w");
    s = snap_sink_new(&cli);
    alarm(10);
    snap_sink_line(s, "", "first");
    snap_sink_draw(s, "a drawing is dropped");
    snap_sink_line(s, "note: ", "second\033[31m");
    while ((n = read(fd[0], buf, sizeof(buf))) > 0)
        got += n;
    snap_sink_line(s, "warning: ", "third");
    snap_sink_free(s);
    printf("%s\n", got >= 4096 ? "the pipe was full" : "it was not full");
    while ((n = read(fd[0], buf, sizeof(buf))) > 0)
        fwrite(buf, 1, n, stdout);
    fclose(cli.errf);
    close(fd[0]);
    return 0;
}

/* A step of a second, for a look at the line on a terminal. */
static int show_progress(void)
{
    struct snap_cli cli = { .prog = (char *)"xl snapshot-create",
                            .errf = stderr };
    struct snap_sink *s = snap_sink_new(&cli);
    struct snap_progress_line *p = snap_progress_line_new(s, false);
    uint64_t i;

    for (i = 0; i <= 5; i++) {
        snap_progress_fn(p, "saving memory", i << 20, 5 << 20);
        if (i == 3)
            snap_sink_line(s, "note: ", "a message in between");
        poll(NULL, 0, 120);
    }
    snap_progress_line_free(p);
    snap_sink_free(s);
    return 0;
}

int main(int argc, char **argv)
{
    struct fake_world *w = fake_world_new();
    struct fake_store *s = fake_store_new();
    const char *file = getenv("XLFAKE_WORLD"), *at = getenv("XLFAKE_AT");
    struct snap_env env = {
        .ops = &fake_hyp_ops,
        .drivers = fake_disk_drivers,
        .cfg_parse = fake_cfg_parse,
        .check_unused = fake_check_unused,
        .check_others = fake_check_others,
        .image_stamp = fake_image_stamp,
        .hold = fake_hold,
        .hold_end = fake_hold_end,
        .store_root = getenv("XLFAKE_STORE"),
    };
    int status;

    if (argc == 2 && !strcmp(argv[1], "--self-test"))
        return self_test();
    if (argc == 2 && !strcmp(argv[1], "--show-progress"))
        return show_progress();

    fake_world_current = w;
    fake_store_current = s;
    load_world(file, w, s);
    if (getenv("XLFAKE_DO"))
        somebody_does(getenv("XLFAKE_DO"), w, s);
    if (at && sscanf(at, "%31s %63s %15s", at_layer, at_what, at_action) == 3)
        snap_fault_hook = at_fault;
    if (getenv("XLFAKE_NOXEN")) {
        env.ops = NULL;
        env.cfg_parse = NULL;
        snap_cli_tables = &no_tables;
    }
    status = snap_cli_main(argc, argv, &env, stdout, stderr);
    save_world(file, w, s);
    if (w->bad || s->violation[0]) {
        fprintf(stderr, "FAKE: %s%s\n", w->why_bad, s->violation);
        status = 99;
    }
    fake_world_free(w);
    fake_store_free(s);
    return status;
}

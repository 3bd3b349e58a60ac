/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Runs one op of the hypervisor table by hand, in dom0, and says what came of
 * it and how long it took.  For the system tests and for finding out.
 *
 *   hyp_probe [-v] [-n] OP ARG...
 *     -v: what libxl says, too; -n: in save, do not resume afterwards
 *
 *   version | free-mem | find WHO | find-uuid UUID | config WHO | disks WHO
 *   image-user PATH | pause WHO | unpause WHO
 *   save WHO FILE [live] [paused]     save, then resume, with both times
 *   resume WHO [paused] | rescue UUID MONITOR_PID WAS_PAUSED
 *   qmp WHO COMMAND [JSON]
 *   set-active WHO VDEV PATH FORMAT [VDEV PATH FORMAT]...
 *   set-disks CFG VDEV PATH FORMAT [...]     edit a JSON file, to stdout
 *   destroy WHO | image-check FILE | restore FILE CFG | create CFG
 *   can-build CFG [memory [VERSIONS [FREED_KB]]]
 *   cfg FILE
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/domcfg.h"
#include "hyp/plugin.h"
#include "lib/file.h"
#include "lib/mem.h"

static const struct snap_hyp_module *mod;
static const struct snap_hyp_ops *ops;
static struct snap_hyp *h;
static struct snap_err err = SNAP_ERR_INIT;
static bool no_resume;
static double begin_ms, begin_cpu;

static double cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void begin(void)
{
    begin_ms = snap_now_ms();
    begin_cpu = cpu_ms();
}

static int end(const char *what, int rc)
{
    fprintf(stderr, "%s: %.1f ms (%.1f ms of CPU)%s%s%s%s\n", what,
            snap_now_ms() - begin_ms, cpu_ms() - begin_cpu, rc ? ": " : "",
            rc ? snap_rc_name(rc) : "", rc ? ": " : "", rc ? err.msg : "");
    return rc;
}

static void to_stderr(void *opaque, enum snap_level level, const char *msg)
{
    if (level > SNAP_LOG_DEBUG || *(bool *)opaque)
        fprintf(stderr, "  %s\n", msg);
}

static void dispose(struct snap_domain *d)
{
    free(d->name);
    free(d->why_no_suspend);
    free(d->why_no_live);
    memset(d, 0, sizeof(*d));
}

static void show(const struct snap_domain *d)
{
    static const char *const types[] = { "pv", "pvh", "hvm" };

    printf("domid=%u name=%s uuid=%s type=%s\n", d->domid, d->name, d->uuid,
           types[d->type]);
    printf("paused=%d suspended=%d shutdown=%d dying=%d mem_kb=%llu\n",
           d->paused, d->suspended, d->shutdown, d->dying,
           (unsigned long long)d->mem_kb);
    printf("can_suspend=%d%s%s\ncan_live=%d%s%s\n", d->can_suspend,
           d->why_no_suspend ? " " : "",
           d->why_no_suspend ? d->why_no_suspend : "", d->can_live,
           d->why_no_live ? " " : "", d->why_no_live ? d->why_no_live : "");
    printf("passthrough=%d stubdom=%d qemu_pid=%d monitor_pid=%d\n",
           d->passthrough, d->stubdom, (int)d->qemu_pid, (int)d->monitor_pid);
}

static char *read_text(const char *path)
{
    char *text = NULL;
    size_t len;

    if (snap_file_read(path, SNAP_DOMCFG_MAX, &text, &len, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return text;
}

static int do_disks(const struct snap_domain *d)
{
    struct snap_vbd *v;
    size_t n, i;
    int rc;

    begin();
    rc = end("disks", ops->disks(h, d, &v, &n, &err));
    for (i = 0; !rc && i < n; i++)
        printf("%s path=%s format=%s backend=%s script=%s backend_domid=%u "
               "frontend=%d ro=%d cdrom=%d virtio=%d\n",
               v[i].vdev, v[i].path, v[i].format, v[i].backend,
               v[i].script ? v[i].script : "-", v[i].backend_domid,
               v[i].frontend_state, v[i].readonly, v[i].cdrom, v[i].virtio);
    return rc;
}

static double at_stop_ms;

static void note_stop(void *unused)
{
    (void)unused;
    at_stop_ms = snap_now_ms();
}

static int do_save(const struct snap_domain *d, int argc, char **argv)
{
    const struct snap_at_stop at_stop = { .fn = note_stop };
    struct snap_save_result res;
    bool live = false, paused = false;
    char *config;
    double t0;
    int rc, i, fd;

    for (i = 1; i < argc; i++) {
        live = live || !strcmp(argv[i], "live");
        paused = paused || !strcmp(argv[i], "paused");
    }
    begin();
    rc = end("config", ops->config(h, d, &config, &err));
    if (rc)
        return rc;
    fd = open(argv[0], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        perror(argv[0]);
        return 1;
    }
    begin();
    rc = end("save", ops->save(h, d, config, fd, live, &at_stop, &res, &err));
    free(config);
    close(fd);
    if (rc)
        return rc;
    t0 = res.stopped_ms;
    printf("bytes=%llu stopped_after=%.1f ms\n", (unsigned long long)res.bytes,
           t0 - begin_ms);
    printf("at_stop called after: %.1f ms\n", at_stop_ms - t0);
    printf("window until save returned: %.1f ms\n", snap_now_ms() - t0);
    if (no_resume)
        return 0;
    begin();
    rc = end("resume", ops->resume(h, d, paused, &err));
    printf("window: %.1f ms\n", snap_now_ms() - t0);
    return rc;
}

static size_t actives(struct snap_active *a, size_t max, int argc, char **argv)
{
    size_t n = 0;

    for (; argc >= 3 && n < max; argc -= 3, argv += 3, n++)
        a[n] = (struct snap_active){ argv[0], argv[1], argv[2] };
    return n;
}

static int on_domain(const char *op, const struct snap_domain *d, int argc,
                     char **argv)
{
    struct snap_active a[16];
    struct snap_json *args, *reply;
    struct snap_qmp *q;
    char *text;
    size_t n;
    int rc;

    if (!strcmp(op, "disks"))
        return do_disks(d);
    if (!strcmp(op, "save") && argc)
        return do_save(d, argc, argv);
    begin();
    if (!strcmp(op, "config")) {
        rc = end(op, ops->config(h, d, &text, &err));
        if (!rc)
            puts(text);
        return rc;
    }
    if (!strcmp(op, "pause"))
        return end(op, ops->pause(h, d, &err));
    if (!strcmp(op, "unpause"))
        return end(op, ops->unpause(h, d, &err));
    if (!strcmp(op, "resume"))
        return end(op, ops->resume(h, d, argc > 0, &err));
    if (!strcmp(op, "destroy"))
        return end(op, ops->destroy(h, d, &err));
    if (!strcmp(op, "set-active")) {
        n = actives(a, 16, argc, argv);
        return end(op, ops->set_active(h, d, a, n, &err));
    }
    if (!strcmp(op, "qmp") && argc) {
        rc = ops->qmp_open(h, d, &q, &err);
        if (!rc) {
            args = NULL;
            if (argc > 1)
                snap_json_parse(argv[1], strlen(argv[1]), &args, &err);
            rc = snap_qmp_command(q, argv[0], args, 10000, &reply, &err);
            if (!rc)
                puts(snap_json_text(reply, true));
            snap_qmp_close(q);
        }
        return end(op, rc);
    }
    fprintf(stderr, "what is %s?\n", op);
    return 2;
}

/* As if we had stopped it. */
static int do_rescue(char **argv)
{
    struct snap_domain d = { .name = NULL };
    struct snap_held held = {
        .uuid = argv[0],
        .monitor_pid = atoi(argv[1]),
        .suspend = true,
        .pause = true,
        .was_paused = atoi(argv[2]),
    };

    if (!ops->find_uuid(h, argv[0], &d, &err))
        held.domid = d.domid;
    return end("rescue", ops->rescue(h, &held, &err));
}

static int do_restore(const char *op, int argc, char **argv)
{
    struct snap_domain d = { .name = NULL };
    char *text;
    int rc, fd;

    if (!strcmp(op, "can-build")) {
        text = read_text(argv[0]);
        begin();
        rc = end(op, ops->can_build(
                         h, text, argc > 1, argc > 2 ? argv[2] : NULL,
                         argc > 3 ? strtoull(argv[3], NULL, 10) : 0, &err));
        free(text);
        return rc;
    }
    if (!strcmp(op, "create")) {
        text = read_text(argv[0]);
        begin();
        rc = end(op, ops->create(h, text, "probe", &d, &err));
        goto out;
    }
    fd = open(argv[0], O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        perror(argv[0]);
        return 1;
    }
    begin();
    if (!strcmp(op, "image-check")) {
        rc = end(op, ops->image_check(h, fd, &text, &err));
        if (!rc)
            puts(text);
        return rc;
    }
    text = argc > 1 ? read_text(argv[1]) : NULL;
    if (!text)
        return 2;
    begin();
    rc = end(op, ops->restore(h, fd, text, "probe", &d, &err));
out:
    if (!rc)
        show(&d);
    free(text);
    return rc;
}

static int do_cfg(const char *path)
{
    struct snap_cfg cfg = { .file = NULL };
    char *text = read_text(path);
    size_t i, j;
    int rc;

    rc = mod->cfg_parse(path, text, strlen(text), &cfg, &err);
    for (i = 0; !rc && i < cfg.n; i++) {
        printf("%d: %s%s", cfg.entries[i].line, cfg.entries[i].key,
               cfg.entries[i].list ? " []" : "");
        for (j = 0; j < cfg.entries[i].n; j++)
            printf(" %d:'%s'", cfg.entries[i].lines[j],
                   cfg.entries[i].values[j]);
        printf("\n");
    }
    if (rc)
        fprintf(stderr, "%s\n", err.msg);
    return rc;
}

static int run(int argc, char **argv)
{
    struct snap_domain d = { .name = NULL };
    struct snap_active a[16];
    const char *op = argv[0];
    char *text;
    uint64_t kb;
    size_t n;
    int rc;

    begin();
    if (!strcmp(op, "version")) {
        rc = end(op, ops->version(h, &text, &err));
        if (!rc)
            puts(text);
        return rc;
    }
    if (!strcmp(op, "free-mem")) {
        rc = end(op, ops->free_mem(h, &kb, &err));
        printf("%llu\n", (unsigned long long)kb);
        return rc;
    }
    if (argc < 2)
        return 2;
    if (!strcmp(op, "image-user")) {
        rc = end(op, ops->image_user(h, argv[1], UINT32_MAX, &text, &err));
        puts(!rc && text ? text : "-");
        return rc;
    }
    if (!strcmp(op, "set-disks")) {
        n = actives(a, 16, argc - 2, argv + 2);
        rc = snap_domcfg_set_disks(read_text(argv[1]), a, n, &text, &err);
        puts(rc ? err.msg : text);
        return rc;
    }
    if (!strcmp(op, "rescue"))
        return argc < 4 ? 2 : do_rescue(argv + 1);
    if (!strcmp(op, "image-check") || !strcmp(op, "restore") ||
        !strcmp(op, "create") || !strcmp(op, "can-build"))
        return do_restore(op, argc - 1, argv + 1);

    rc = !strcmp(op, "find-uuid") ? ops->find_uuid(h, argv[1], &d, &err)
                                  : ops->find(h, argv[1], &d, &err);
    end("find", rc);
    if (!rc && !strncmp(op, "find", 4))
        show(&d);
    else if (!rc)
        rc = on_domain(op, &d, argc - 2, argv + 2);
    dispose(&d);
    return rc;
}

int main(int argc, char **argv)
{
    static bool verbose;
    const struct snap_log log = { to_stderr, &verbose };
    int rc;

    if (snap_hyp_load(NULL, &mod, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    ops = mod->ops;
    if (argc == 4 && !strcmp(argv[1], "--monitor"))
        return mod->monitor_main(atoi(argv[2]), argv[3]);
    for (; argc > 1 && argv[1][0] == '-'; argc--, argv++) {
        verbose = verbose || !strcmp(argv[1], "-v");
        no_resume = no_resume || !strcmp(argv[1], "-n");
    }
    if (argc < 2)
        return 2;
    if (!strcmp(argv[1], "cfg") && argc > 2)
        return do_cfg(argv[2]) ? 1 : 0;
    if (ops->open(&log, &h, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    rc = run(argc - 1, argv + 1);
    ops->close(h);
    return rc ? 1 : 0;
}

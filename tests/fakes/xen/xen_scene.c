/* SPDX-License-Identifier: LGPL-2.1-only */
#include "fakes/xen/xen_scene.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fakes/xen/fake_xenstore.h"
#include "hyp/call.h"
#include "hyp/ctx.h"
#include "hyp/limits.h"
#include "hyp/window.h"
#include "hyp/xl_lock.h"
#include "lib/cgroup.h"
#include "lib/file.h"
#include "lib/run.h"
#include "lib/scope.h"

#define IDLE_S 60 /* nothing of ours lives longer */

static void to_buf(void *opaque, enum snap_level level, const char *msg)
{
    if (level > SNAP_LOG_DEBUG)
        snap_buf_addf(opaque, "%s\n", msg);
}

char *xen_scene_path(const struct xen_scene *s, const char *name)
{
    return snap_printf("%s/%s", s->dir, name);
}

char *xen_scene_config(const char *more)
{
    return snap_printf("{\"c_info\":{\"type\":\"pvh\",\"name\":\"g\","
                       "\"uuid\":\"" SCENE_UUID "\"},"
                       "\"b_info\":{\"type.pvh\":{}}%s}",
                       more);
}

static void connect_to_it(struct xen_scene *s)
{
    static struct snap_log log;

    log = (struct snap_log){ .fn = to_buf, .opaque = &s->said };
    s->h.log = &log;
    s->h.held_monitor = -1;
    s->h.xen_major = 99; /* no xl of such a one is anywhere */
    s->h.xen_minor = 1;
    hyp_logger_init(&s->h.logger, NULL);
    s->h.ctx = hyp_ctx_new(&s->h.logger);
    s->h.xsh = xs_open(0);
    assert_non_null(s->h.ctx);
}

/* Short where a test waits for it to pass.  What has nothing to wait for has
 * time: the machine may be busy. */
static void be_short(void)
{
    hyp_limits = (struct hyp_limits){
        .lock_ms = 200,
        .gone_ms = 20000,
        .save_stall_ms = 500,
        .restore_stall_ms = 20000,
        .restore_look_ms = 20,
        .restore_end_ms = 200,
        .again_ms = 20,
        .again_limit_ms = 500,
        .balloon_ms = 100,
    };
}

int xen_scene_begin(void **state)
{
    char path[] = "/tmp/xl-snapshot-test.XXXXXX", *config;
    struct xen_scene *s = snap_zalloc(sizeof(*s));

    assert_non_null(mkdtemp(path));
    s->dir = snap_strdup(path);
    s->limits = hyp_limits;
    be_short();
    hyp_lib_dir = hyp_log_dir = s->dir;
    /* What is started stays where it is. */
    snap_cgroup_mounts = snap_scope_systemd = "/nowhere";
    hyp_capabilities = xen_scene_path(s, "capabilities");
    hyp_xl_lock_file = xen_scene_path(s, "xl-lock");
    assert_int_equal(snap_file_write(hyp_capabilities, "control_d\n", 10, 0600,
                                     false, &s->err),
                     0);
    fake_xen_reset();
    config = xen_scene_config("");
    s->dom.domid = fake_guest_add("g", SCENE_UUID, config);
    free(config);
    s->dom.name = (char *)"g";
    s->dom.type = SNAP_GUEST_PVH;
    snprintf(s->dom.uuid, sizeof(s->dom.uuid), SCENE_UUID);
    connect_to_it(s);
    *state = s;
    return 0;
}

int xen_scene_end(void **state)
{
    struct xen_scene *s = *state;
    const char *const argv[] = { "rm", "-rf", "--", s->dir, NULL };
    struct snap_run run = SNAP_RUN_INIT;

    hyp_window_close(&s->h);
    xs_close(s->h.xsh);
    libxl_ctx_free(s->h.ctx);
    pthread_mutex_destroy(&s->h.logger.lock);
    snap_run_path_first = NULL;
    run.argv = argv;
    snap_run(&run, NULL);
    snap_run_dispose(&run);
    free((char *)hyp_capabilities);
    free((char *)hyp_xl_lock_file);
    hyp_limits = s->limits;
    snap_buf_dispose(&s->said);
    free(s->dir);
    free(s);
    return 0;
}

void xen_scene_says(const char *text, const char *words)
{
    if (!text || !strstr(text, words))
        print_error("\"%s\" does not say \"%s\"\n", text ? text : "", words);
    assert_true(text && strstr(text, words));
}

/* --- somebody else's processes ----------------------------------------- */

/* In the child: ends. */
static void hold(const char *path, int ms, int ready)
{
    int fd = open(path, O_RDWR | O_CREAT, 0666);

    alarm(IDLE_S);
    if (fd < 0 || flock(fd, LOCK_EX) || write(ready, "", 1) != 1)
        _exit(1);
    usleep(ms * 1000);
    unlink(path);
    _exit(0);
}

pid_t xen_scene_hold(const struct xen_scene *s, const char *what, int ms)
{
    char *path = snap_printf("%s/userdata-l.%u.%s.%s", s->dir, s->dom.domid,
                             s->dom.uuid, what);
    int p[2];
    pid_t pid;
    char c;

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid)
        hold(path, ms, p[1]);
    close(p[1]);
    assert_int_equal(read(p[0], &c, 1), 1);
    close(p[0]);
    free(path);
    return pid;
}

pid_t xen_scene_play(const struct xen_scene *s, const char *const *argv,
                     const char *output)
{
    char *path = output ? xen_scene_path(s, output) : NULL;
    int p[2],
        fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)
                  : -1;
    pid_t pid;
    char c;

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        if (fd >= 0)
            dup2(fd, 1);
        execv("/proc/self/exe", (char *const *)argv);
        _exit(127);
    }
    close(p[1]);
    if (fd >= 0)
        close(fd);
    /* The end of the pipe is the exec. */
    assert_int_equal(read(p[0], &c, 1), 0);
    close(p[0]);
    free(path);
    return pid;
}

bool xen_scene_main(int argc, char **argv, int *status_r)
{
    if (argc < 2 || strcmp(argv[1], "--idle") != 0)
        return false;
    alarm(IDLE_S);
    pause();
    *status_r = 0;
    return true;
}

void xen_scene_end_of(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/* See fake_hyp.h.  Strict where libxl would misbehave: an op called in a
 * state in which Xen would do harm sets world->bad. */
#include "fakes/fake_hyp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fakes/fake_cfg.h"
#include "fakes/fake_disk_int.h"
#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "model/domain_json.h"
#include "op/parts.h"

#define IMAGE_MAGIC "fake memory image\n"

struct fake_world *fake_world_current;
uint64_t fake_mem_kb = 64 * 1024;

struct snap_hyp {
    struct fake_world *w;
    char *window; /* the configuration at window_open() */
};

static void bad(struct fake_world *w, const char *why)
{
    w->bad = true;
    snprintf(w->why_bad, sizeof(w->why_bad), "%s", why);
}

static int fault(const char *what, struct snap_err *err)
{
    int e = snap_fault("hyp", what);

    return e ? snap_fail_errno(err, SNAP_FAIL, e, "fake %s", what) : 0;
}

bool fake_image_whole(const char *data, size_t len)
{
    size_t n = strlen(FAKE_IMAGE_END);

    return len >= n && !memcmp(data + len - n, FAKE_IMAGE_END, n);
}

struct fake_world *fake_world_new(void)
{
    struct fake_world *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (w == MAP_FAILED)
        abort();
    w->next_domid = 1;
    w->free_kb = 1 << 20;
    return w;
}

void fake_world_free(struct fake_world *w)
{
    if (w)
        munmap(w, sizeof(*w));
}

static struct fake_domain *slot(struct fake_world *w)
{
    size_t i;

    for (i = 0; i < FAKE_DOMAINS; i++)
        if (!w->dom[i].exists)
            return &w->dom[i];
    abort();
}

static void start_disks(struct fake_world *w, const struct fake_domain *d)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_vbd *v = NULL;
    size_t n = 0, i;

    if (!w->started || snap_domain_json_disks(d->config, &v, &n, &err))
        return;
    for (i = 0; i < n; i++)
        w->started(w->opaque, d, v[i].vdev, v[i].path, v[i].format);
    snap_vbds_free(&v, &n);
}

static void add_disk(struct snap_json *disks, const char *spec)
{
    char *copy = snap_strdup(spec), *save = NULL;
    const char *vdev = strtok_r(copy, ":", &save);
    const char *format = strtok_r(NULL, ":", &save);
    const char *path = strtok_r(NULL, ":", &save);
    const char *flag = strtok_r(NULL, ":", &save);
    struct snap_json *d = snap_json_object();

    snap_json_set_str(d, "pdev_path", path);
    snap_json_set_str(d, "vdev", vdev);
    snap_json_set_str(d, "backend", "qdisk");
    snap_json_set_str(d, "format", format);
    snap_json_set_int(d, "readwrite", !flag);
    if (snap_streq(flag, "cdrom"))
        snap_json_set_int(d, "is_cdrom", 1);
    snap_json_push(disks, d);
    free(copy);
}

struct fake_domain *fake_domain_add(struct fake_world *w, const char *name,
                                    const char *uuid, const char *const *disks)
{
    struct fake_domain *d = slot(w);
    struct snap_json *j = snap_json_object(), *c = snap_json_object();
    struct snap_json *a = snap_json_array(), *b = snap_json_object();
    char *text;

    memset(d, 0, sizeof(*d));
    d->exists = true;
    d->domid = w->next_domid++;
    snprintf(d->name, sizeof(d->name), "%s", name);
    snprintf(d->uuid, sizeof(d->uuid), "%s", uuid);
    d->type = SNAP_GUEST_PVH;
    d->mem_kb = fake_mem_kb;
    d->monitor_pid = 4242;
    d->has_run = true;
    d->tick = 1;

    snap_json_set_str(c, "type", "pvh");
    snap_json_set_str(c, "name", name);
    snap_json_set_str(c, "uuid", uuid);
    snap_json_set(j, "c_info", c);
    snap_json_set_int(b, "max_memkb", d->mem_kb);
    snap_json_set_int(b, "target_memkb", d->mem_kb);
    snap_json_set(j, "b_info", b);
    for (; disks && *disks; disks++)
        add_disk(a, *disks);
    snap_json_set(j, "disks", a);
    text = snap_json_text(j, false);
    if (strlen(text) >= FAKE_CONFIG)
        abort();
    memcpy(d->config, text, strlen(text) + 1);
    free(text);
    snap_json_free(j);
    start_disks(w, d);
    return d;
}

struct fake_domain *fake_domain_find(struct fake_world *w, const char *name)
{
    size_t i;

    for (i = 0; i < FAKE_DOMAINS; i++)
        if (w->dom[i].exists && (snap_streq(w->dom[i].name, name) ||
                                 snap_streq(w->dom[i].uuid, name)))
            return &w->dom[i];
    return NULL;
}

char *fake_domain_path(const struct fake_domain *d, const char *vdev)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_vbd *v = NULL;
    size_t n = 0;
    const struct snap_vbd *hit;
    char *path = NULL;

    if (!snap_domain_json_disks(d->config, &v, &n, &err)) {
        hit = snap_vbd_find(v, n, vdev);
        path = snap_strdup(hit ? hit->path : NULL);
    }
    snap_vbds_free(&v, &n);
    return path;
}

bool fake_domain_runs(const struct fake_domain *d)
{
    return d && d->exists && !d->paused && !d->suspended && !d->shutdown &&
           !d->dying && !d->monitor_held;
}

void fake_domain_unpause(struct fake_domain *d)
{
    if (d->paused_more)
        d->paused_more--;
    else
        d->paused = false;
    d->has_run |= !d->paused;
    d->ran_ns += !d->paused;
}

/* ---- the table ---- */

static int f_open(const struct snap_log *log, struct snap_hyp **h_r,
                  struct snap_err *err)
{
    int rc;

    (void)log;
    rc = fault("open", err);
    if (rc)
        return rc;
    *h_r = snap_zalloc(sizeof(**h_r));
    (*h_r)->w = fake_world_current;
    return 0;
}

static void f_close(struct snap_hyp *h)
{
    free(h->window);
    free(h);
}

static int f_version(struct snap_hyp *h, char **text_r, struct snap_err *err)
{
    (void)h;
    (void)err;
    *text_r = snap_strdup("Xen fake, QEMU fake");
    return 0;
}

static int fill(const struct fake_domain *f, struct snap_domain *d)
{
    d->domid = f->domid;
    /* hyp/domain.c: a number if it has no name. */
    d->name = f->wiped ? snap_printf("%u", f->domid) : snap_strdup(f->name);
    d->nameless = f->wiped;
    d->qemu_pid = f->qemu_gone ? 0 : 1000 + f->domid;
    memcpy(d->uuid, f->uuid, sizeof(d->uuid));
    d->type = f->type;
    d->paused = f->paused;
    d->suspended = f->suspended;
    d->shutdown = f->shutdown;
    d->dying = f->dying;
    d->mem_kb = f->mem_kb;
    d->can_suspend = !f->no_suspend;
    if (f->no_suspend)
        d->why_no_suspend = snap_strdup("it is still booting");
    d->can_live = !f->no_live;
    if (f->no_live)
        d->why_no_live = snap_strdup("no log-dirty mode");
    d->passthrough = f->passthrough;
    d->stubdom = f->stubdom;
    d->monitor_pid = f->monitor_pid;
    d->monitor_stopped = f->monitor_held;
    d->has_run = f->has_run;
    d->mark = f->mark[0] && !f->wiped ? snap_strdup(f->mark) : NULL;
    return 0;
}

static int f_find(struct snap_hyp *h, const char *who, struct snap_domain *d,
                  struct snap_err *err)
{
    int rc;
    size_t i;
    struct fake_domain *f = NULL;

    rc = fault("find", err);
    if (rc)
        return rc;
    for (i = 0; i < FAKE_DOMAINS && !f; i++)
        if (h->w->dom[i].exists && !h->w->dom[i].wiped &&
            snap_streq(h->w->dom[i].name, who))
            f = &h->w->dom[i];
    for (i = 0; i < FAKE_DOMAINS && !f; i++) {
        char num[16];

        snprintf(num, sizeof(num), "%u", h->w->dom[i].domid);
        if (h->w->dom[i].exists && snap_streq(num, who))
            f = &h->w->dom[i];
    }
    if (!f)
        return snap_fail(err, SNAP_NOTFOUND, "no domain named %s", who);
    return fill(f, d);
}

static struct fake_domain *by_uuid(struct snap_hyp *h, const char *uuid)
{
    size_t i;

    for (i = 0; i < FAKE_DOMAINS; i++)
        if (h->w->dom[i].exists && snap_streq(h->w->dom[i].uuid, uuid))
            return &h->w->dom[i];
    return NULL;
}

static int f_find_uuid(struct snap_hyp *h, const char *uuid,
                       struct snap_domain *d, struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    struct fake_domain *f;

    rc = fault("find_uuid", err);
    if (rc)
        return rc;
    f = by_uuid(h, uuid);
    for (i = 0; i < FAKE_DOMAINS; i++)
        n += h->w->dom[i].exists && !h->w->dom[i].dying &&
             snap_streq(h->w->dom[i].uuid, uuid);
    if (n > 1)
        return snap_fail(err, SNAP_BUSY, "two domains have the UUID %s", uuid);
    if (!f)
        return snap_fail(err, SNAP_NOTFOUND, "no domain with UUID %s", uuid);
    return fill(f, d);
}

static pid_t f_monitor(struct snap_hyp *h, const char *uuid, const char *name)
{
    (void)uuid;
    return !fake_domain_find(h->w, name) && h->w->monitor
               ? h->w->monitor(h->w->opaque, name)
               : 0;
}

static struct fake_domain *mine(struct snap_hyp *h,
                                const struct snap_domain *dom)
{
    size_t i;

    for (i = 0; i < FAKE_DOMAINS; i++)
        if (h->w->dom[i].exists && h->w->dom[i].domid == dom->domid)
            return &h->w->dom[i];
    return NULL;
}

/* The call fails, or whoever acts acts; and what is there then is looked at. */
static int reach(struct snap_hyp *h, const struct snap_domain *dom,
                 const char *what, struct fake_domain **f_r,
                 struct snap_err *err)
{
    int rc = fault(what, err);

    *f_r = mine(h, dom);
    if (!rc && !*f_r)
        rc = snap_fail(err, SNAP_NOTFOUND, "domain %u is gone", dom->domid);
    return rc;
}

static int f_config(struct snap_hyp *h, const struct snap_domain *dom,
                    char **json_r, struct snap_err *err)
{
    int rc;
    struct fake_domain *f;

    rc = reach(h, dom, "config", &f, err);
    if (!rc && (f->half_built || f->wiped))
        rc = snap_fail(err, SNAP_FAIL, "%s: cannot get its configuration",
                       f->name);
    if (rc)
        return rc;
    *json_r = snap_strdup(f->config);
    return 0;
}

/* How many disks are QEMU's? */
static size_t set_backends(const struct fake_world *w, struct snap_vbd *v,
                           size_t n)
{
    size_t i, qemus = 0;

    for (i = 0; i < n; i++) {
        if (w->phy && snap_has_prefix(v[i].path, "/vol/"))
            snap_set(&v[i].backend, "phy");
        else
            qemus++;
    }
    return qemus;
}

static bool needs_qemu(const struct fake_world *w, const struct fake_domain *f)
{
    struct snap_vbd *v = NULL;
    size_t i, n = 0, qemus;

    if (!w->phy || snap_domain_json_disks(f->config, &v, &n, NULL))
        return true;
    qemus = set_backends(w, v, n);
    for (i = 0; i < n; i++)
        snap_vbd_dispose(&v[i]);
    free(v);
    return qemus > 0;
}

static int f_disks(struct snap_hyp *h, const struct snap_domain *dom,
                   struct snap_vbd **v_r, size_t *n_r, struct snap_err *err)
{
    int rc;
    size_t i;
    struct fake_domain *f;

    rc = reach(h, dom, "disks", &f, err);
    if (rc)
        return rc;
    if (f->no_devices)
        return 0;
    rc = snap_domain_json_disks(f->config, v_r, n_r, err);
    for (i = 0; !rc && i < *n_r; i++)
        (*v_r)[i].frontend_state = 4;
    if (!rc)
        set_backends(h->w, *v_r, *n_r);
    return rc;
}

/* What of an xl.cfg the fakes need: name, uuid, memory and disks, those in the
 * form 'format=qcow2,vdev=xvda,target=/img/a.qcow2'. */
static struct snap_json *disk_of(const char *spec)
{
    static const char *const keys[][2] = {
        { "format=", "format" },
        { "vdev=", "vdev" },
        { "target=", "pdev_path" },
    };
    char *copy = snap_strdup(spec), *save = NULL, *word;
    struct snap_json *d = snap_json_object();
    size_t i;

    snap_json_set_int(d, "readwrite", 1);
    for (word = strtok_r(copy, ",", &save); word;
         word = strtok_r(NULL, ",", &save)) {
        for (i = 0; i < 3; i++)
            if (snap_has_prefix(word, keys[i][0]))
                snap_json_set_str(d, keys[i][1], word + strlen(keys[i][0]));
        if (!strcmp(word, "cdrom"))
            snap_json_set_int(d, "is_cdrom", 1);
    }
    free(copy);
    return d;
}

static int f_config_file(struct snap_hyp *h, const char *path, char **json_r,
                         bool *has_uuid_r, struct snap_err *err)
{
    int rc;
    size_t len, i;
    char *text = NULL;
    struct snap_cfg cfg = { 0 };
    const struct snap_cfg_entry *e;
    struct snap_json *j = snap_json_object(), *c = snap_json_object();
    struct snap_json *a = snap_json_array(), *b = snap_json_object();

    (void)h;
    rc = fault("config_file", err);
    if (!rc)
        rc = snap_file_read(path, SNAP_CFG_MAX, &text, &len, err);
    if (!rc)
        rc = fake_cfg_parse(path, text, len, &cfg, err);
    snap_json_set_str(c, "type", "pvh");
    e = snap_cfg_find(&cfg, "name");
    snap_json_set_str(c, "name", e ? e->values[0] : NULL);
    e = snap_cfg_find(&cfg, "uuid");
    *has_uuid_r = e;
    snap_json_set_str(
        c, "uuid", e ? e->values[0] : "00000000-1111-4222-8333-444444444444");
    e = snap_cfg_find(&cfg, "memory");
    snap_json_set_int(b, "target_memkb", e ? atoi(e->values[0]) * 1024 : 0);
    e = snap_cfg_find(&cfg, "disk");
    for (i = 0; e && i < e->n; i++)
        snap_json_push(a, disk_of(e->values[i]));
    snap_json_set(j, "c_info", c);
    snap_json_set(j, "b_info", b);
    snap_json_set(j, "disks", a);
    *json_r = rc ? NULL : snap_json_text(j, true);
    snap_json_free(j);
    snap_cfg_dispose(&cfg);
    free(text);
    return rc;
}

static char *f_saved(struct snap_hyp *h, const char *uuid)
{
    (void)uuid;
    return h->w->saved[0] ? snap_strdup(h->w->saved) : NULL;
}

/* By inode in the real one, so that links do not matter. */
static bool is_one_image(const char *a, const char *b)
{
    const struct fake_store *s = fake_store_current;
    int i = s && a ? fake_lookup(s, a) : -1;

    return snap_streq(a, b) || (i >= 0 && i == fake_lookup(s, b));
}

static int f_image_user(struct snap_hyp *h, const char *path, uint32_t except,
                        char **who_r, struct snap_err *err)
{
    int rc;
    size_t i, k;

    *who_r = NULL;
    rc = fault("image_user", err);
    if (rc)
        return rc;
    for (i = 0; i < FAKE_DOMAINS && !*who_r; i++) {
        struct snap_err e = SNAP_ERR_INIT;
        struct snap_vbd *v = NULL;
        size_t n = 0;

        if (!h->w->dom[i].exists || h->w->dom[i].no_devices ||
            h->w->dom[i].domid == except ||
            snap_domain_json_disks(h->w->dom[i].config, &v, &n, &e))
            continue;
        for (k = 0; k < n && !*who_r; k++)
            if (is_one_image(v[k].path, path))
                *who_r = snap_printf("%s (%s)", h->w->dom[i].name, v[k].vdev);
        snap_vbds_free(&v, &n);
    }
    return 0;
}

static int f_free_mem(struct snap_hyp *h, uint64_t *kb_r, struct snap_err *err)
{
    int rc;

    rc = fault("free_mem", err);
    *kb_r = h->w->free_kb;
    return rc;
}

/* A byte now and then, while the guest stands. */
static int grow(const struct fake_world *w, int fd, struct snap_err *err)
{
    unsigned i;
    int rc = 0;

    for (i = 0; !rc && i < w->save_grows; i++) {
        usleep(100000);
        rc = snap_write_all(fd, "\n", 1, "fake image", err);
    }
    return rc;
}

static int f_save(struct snap_hyp *h, const struct snap_domain *dom,
                  const char *config, int fd, bool live,
                  const struct snap_at_stop *at_stop,
                  struct snap_save_result *res, struct snap_err *err)
{
    int rc;
    char *text;
    struct fake_domain *f;

    rc = reach(h, dom, "save", &f, err);
    if (rc)
        return rc;
    if (f->other_save)
        return snap_fail(err, SNAP_BUSY, "%s is being saved", f->name);
    if (f->paused || f->suspended || f->shutdown)
        return snap_fail(err, SNAP_TIMEOUT, "%s does not react", f->name);
    if (!h->window)
        bad(h->w, "save outside of a window");
    f->monitor_held = true;
    f->suspended = true;
    res->stopped_ms = snap_now_ms();
    text = snap_printf(IMAGE_MAGIC "%llu\n%s", (unsigned long long)f->tick,
                       config);
    /* A live save has written most of it by now; what is left may fail when
     * the disks are taken already. */
    if (live)
        at_stop->fn(at_stop->opaque);
    rc = snap_write_all(fd, text, strlen(text), "fake image", err);
    free(text);
    if (!rc)
        rc = grow(h->w, fd, err);
    if (!rc)
        rc = fault("save half", err);
    if (!rc)
        rc = snap_write_all(fd, FAKE_IMAGE_END, strlen(FAKE_IMAGE_END),
                            "fake image, its end", err);
    if (!rc)
        rc = fault("save done", err);
    if (!rc && mine(h, dom) != f)
        return snap_fail(err, SNAP_FAIL, "domain %u is gone", dom->domid);
    if (!rc && !f->suspended)
        rc = snap_fail(err, SNAP_BUSY, "somebody let %s go on", f->name);
    if (rc && !live) {
        f->suspended = false;
        f->monitor_held = false;
    }
    if (!rc && !live)
        at_stop->fn(at_stop->opaque);
    return rc;
}

static int f_resume(struct snap_hyp *h, const struct snap_domain *dom,
                    bool paused, struct snap_err *err)
{
    int rc;
    struct fake_domain *f;

    rc = reach(h, dom, "resume", &f, err);
    if (rc)
        return rc;
    if (!f->suspended) {
        f->monitor_held = false;
        return snap_fail(err, SNAP_BUSY, "%s did not stand still", f->name);
    }
    f->paused |= paused;
    f->suspended = false;
    f->monitor_held = false;
    return fault("resume done", err);
}

static int f_pause(struct snap_hyp *h, const struct snap_domain *dom,
                   struct snap_err *err)
{
    int rc;
    struct fake_domain *f;

    rc = reach(h, dom, "pause", &f, err);
    if (rc)
        return rc;
    f->paused_more += f->paused;
    f->paused = true;
    return 0;
}

static void let_run(struct snap_hyp *h, struct fake_domain *f)
{
    fake_domain_unpause(f);
    if (h->w->goes_on)
        h->w->goes_on(h->w->opaque);
}

static int f_unpause(struct snap_hyp *h, const struct snap_domain *dom,
                     struct snap_err *err)
{
    int rc;
    struct fake_domain *f;

    rc = reach(h, dom, "unpause", &f, err);
    if (rc)
        return rc;
    let_run(h, f);
    return fault("unpause done", err);
}

static int f_saver(struct snap_hyp *h, const struct snap_domain *dom,
                   struct snap_err *err)
{
    int rc;
    struct fake_domain *f;

    rc = reach(h, dom, "saver", &f, err);
    if (!rc && f->other_save)
        rc = snap_fail(err, SNAP_BUSY,
                       "%s: it is being saved or migrated by xl (process 1)",
                       f->name);
    return rc;
}

static int f_ran(struct snap_hyp *h, const struct snap_domain *dom,
                 uint64_t *ns_r, struct snap_err *err)
{
    int rc;
    struct fake_domain *f;

    rc = reach(h, dom, "ran", &f, err);
    *ns_r = f ? f->ran_ns : 0;
    return rc;
}

static int f_rescue(struct snap_hyp *h, const struct snap_held *held,
                    struct snap_err *err)
{
    int rc;
    struct fake_domain *f;

    rc = fault("rescue", err);
    f = by_uuid(h, held->uuid);
    if (rc || !f || f->domid != held->domid)
        return rc;
    if (held->suspend && f->suspended && !f->other_save) {
        f->suspended = false;
        f->paused = f->paused || held->was_paused;
        h->w->rescued = getpid();
    }
    f->monitor_held = false;
    if (held->pause && f->paused && !held->was_paused) {
        let_run(h, f);
        h->w->rescued = getpid();
    }
    return 0;
}

/* Who has ended has let its locks go, waited for or not. */
static bool lives(pid_t pid)
{
    char path[64], text[256] = "", *state;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    f = fopen(path, "re");
    if (f && !fgets(text, sizeof(text), f))
        text[0] = '\0';
    if (f)
        fclose(f);
    state = strrchr(text, ')');
    return state && state[1] && state[2] != 'Z' && state[2] != 'X';
}

/* Another process that holds libxl's locks, and lives; or 0. */
static pid_t window_holder(const struct snap_hyp *h)
{
    pid_t pid = h->w->window_pid;

    return pid && pid != getpid() && lives(pid) ? pid : 0;
}

static int f_window_open(struct snap_hyp *h, const struct snap_domain *dom,
                         const struct snap_active *a, size_t n,
                         struct snap_err *err)
{
    int rc;
    struct fake_domain *f;

    (void)a;
    rc = reach(h, dom, "window_open", &f, err);
    if (!rc && f->other_save)
        rc = snap_fail(err, SNAP_BUSY, "%s is being saved", f->name);
    if (!rc && f->locked_by_other)
        rc = snap_fail(err, SNAP_BUSY, "another command is at work on %s",
                       f->name);
    if (!rc && n && f->no_devices)
        rc = snap_fail(err, SNAP_NOTFOUND, "%s has no disks", f->name);
    if (rc)
        return rc;
    h->w->window_pid = getpid();
    snap_set(&h->window, f->config);
    return 0;
}

static int f_window_borrow(struct snap_hyp *h, const struct snap_domain *dom,
                           const struct snap_active *a, size_t n,
                           struct snap_err *err)
{
    int rc;
    struct fake_domain *f;

    (void)a;
    (void)n;
    rc = reach(h, dom, "window_borrow", &f, err);
    if (rc)
        return rc;
    if (!window_holder(h))
        bad(h->w, "a window was borrowed that nobody has open");
    snap_set(&h->window, f->config);
    return 0;
}

static void f_window_close(struct snap_hyp *h)
{
    if (!window_holder(h))
        h->w->window_pid = 0;
    snap_free(&h->window);
}

static int f_stands(struct snap_hyp *h, const struct snap_domain *dom,
                    bool suspended, struct snap_err *err)
{
    int rc;
    struct fake_domain *f;

    rc = reach(h, dom, "stands", &f, err);
    if (rc)
        return rc;
    if ((f->other_save && !f->precopy) || f->shutdown ||
        !(suspended ? f->suspended : f->paused))
        return snap_fail(err, SNAP_BUSY, "somebody let %s go on", f->name);
    if (!snap_streq(h->window, f->config))
        return snap_fail(err, SNAP_BUSY, "the disks of %s changed", f->name);
    return 0;
}

static int f_can_build(struct snap_hyp *h, const char *config,
                       bool from_memory, const char *versions,
                       uint64_t freed_kb, struct snap_err *err)
{
    int rc;

    (void)config;
    (void)versions;
    (void)freed_kb;
    rc = fault("can_build", err);
    if (!rc && h->w->builds > 0) {
        h->w->builds--;
        rc = snap_fail(err, SNAP_BUSY,
                       "process 1 (xl create) builds a domain");
    }
    if (!rc && !from_memory && h->w->no_kernel)
        rc = snap_fail(err, SNAP_REFUSED,
                       "its kernel, /boot/vmlinuz, does not exist");
    return rc;
}

/* A QMP connection that is never spoken to: the fake disks need none. */
static int f_qmp_open(struct snap_hyp *h, const struct snap_domain *dom,
                      struct snap_qmp **q_r, struct snap_err *err)
{
    int rc;
    struct fake_domain *f;

    rc = reach(h, dom, "qmp_open", &f, err);
    *q_r = NULL;
    if (!rc && (f->no_devices || !needs_qemu(h->w, f)))
        rc = snap_fail(err, SNAP_UNSUPPORTED, "%s needs no QEMU", f->name);
    else if (!rc && f->qemu_gone)
        rc = snap_fail(err, SNAP_NOTFOUND, "%s has no QEMU", f->name);
    if (!rc && h->w->answers && !h->w->answers(h->w->opaque))
        rc = snap_fail(err, SNAP_TIMEOUT, "the QEMU of %s says nothing",
                       f->name);
    return rc;
}

static int f_set_active(struct snap_hyp *h, const struct snap_domain *dom,
                        const struct snap_active *a, size_t n,
                        struct snap_err *err)
{
    int rc;
    char *json = NULL;
    struct fake_domain *f;

    rc = reach(h, dom, "set_active", &f, err);
    if (rc || f->no_devices || !n)
        return rc;
    /* Without a window it opens one, for which it waits. */
    if (!h->window && f->other_save)
        return snap_fail(err, SNAP_BUSY, "%s is being saved", f->name);
    if (!h->window && window_holder(h))
        return snap_fail(err, SNAP_BUSY, "process %ld is at work on %s",
                         (long)window_holder(h), f->name);
    rc = snap_domain_json_set_disks(f->config, a, n, &json, err);
    if (!rc)
        snprintf(f->config, sizeof(f->config), "%s", json);
    if (!rc && h->window)
        snap_set(&h->window, f->config); /* its own doing */
    free(json);
    /* Its daemon has read what it had. */
    if (!rc && f->shutdown && f->monitor_pid && !f->monitor_held)
        return snap_fail(err, SNAP_BUSY, "%s went down before", f->name);
    return rc ? rc : fault("set_active done", err);
}

/* The rest of it, stage by stage, as libxl__destroy_domid() has them: who is
 * killed in between leaves what is there then for good. */
static int take_apart(struct snap_hyp *h, struct fake_domain *f,
                      struct snap_err *err)
{
    int rc;

    f->qemu_gone = true;
    if (h->w->stopped)
        h->w->stopped(h->w->opaque, f);
    rc = fault("destroy no QEMU", err);
    if (rc)
        return rc;
    f->no_devices = true;
    rc = fault("destroy no devices", err);
    if (rc)
        return rc;
    f->wiped = true;
    rc = fault("destroy wiped", err);
    if (rc)
        return rc;
    f->dying = true;
    f->monitor_pid = 0; /* its daemon hears of it, and ends */
    rc = fault("destroy dying", err);
    if (rc)
        return rc;
    f->exists = false;
    return fault("destroy done", err);
}

static int f_destroy(struct snap_hyp *h, const struct snap_domain *dom,
                     struct snap_err *err)
{
    int rc;
    struct fake_domain *f;

    rc = fault("destroy", err);
    f = mine(h, dom);
    if (rc || !f)
        return rc;
    if (f->other_save)
        return snap_fail(err, SNAP_BUSY, "%s is being saved", f->name);
    f->paused_more += f->paused;
    f->paused = true;
    rc = fault("destroy paused", err);
    if (rc)
        return rc;
    if (h->w->kernel_goes)
        h->w->no_kernel = true;
    if (h->w->qemu_lingers) {
        f->exists = false;
        return snap_fail(err, SNAP_TIMEOUT, "the QEMU of %s is still there",
                         f->name);
    }
    return take_apart(h, f, err);
}

/* Only the header is read: what comes after it may be missing. */
static int read_image(int fd, uint64_t *tick, char **config, bool *whole_r,
                      struct snap_err *err)
{
    size_t m = strlen(IMAGE_MAGIC);
    char buf[FAKE_CONFIG + 64];
    ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);
    char *nl;

    if (n < (ssize_t)m + 2 || memcmp(buf, IMAGE_MAGIC, m))
        return snap_fail(err, SNAP_CORRUPT, "not a memory image");
    buf[n] = '\0';
    *tick = strtoull(buf + m, &nl, 10);
    if (*nl != '\n')
        return snap_fail(err, SNAP_CORRUPT, "not a memory image");
    *whole_r = fake_image_whole(buf, n);
    if (*whole_r)
        buf[n - strlen(FAKE_IMAGE_END)] = '\0';
    *config = snap_strdup(nl + 1);
    return 0;
}

static int f_image_check(struct snap_hyp *h, int fd, char **config_r,
                         struct snap_err *err)
{
    uint64_t tick;
    bool whole;
    int rc;

    (void)h;
    rc = fault("image_check", err);
    return rc ? rc : read_image(fd, &tick, config_r, &whole, err);
}

static int build(struct snap_hyp *h, const char *config, const char *mark,
                 uint64_t tick, struct snap_domain *dom_r,
                 struct snap_err *err)
{
    int rc;
    char *name = NULL, uuid[37];
    struct fake_domain *d;
    uint32_t domid;

    rc = snap_domain_json_identity(config, &name, uuid, NULL, NULL, err);
    if (rc)
        return rc;
    if (by_uuid(h, uuid) || fake_domain_find(h->w, name)) {
        rc = snap_fail(err, SNAP_BUSY, "a domain %s is there", name);
        free(name);
        return rc;
    }
    d = slot(h->w);
    memset(d, 0, sizeof(*d));
    d->exists = true;
    d->domid = h->w->next_domid++;
    snprintf(d->name, sizeof(d->name), "%s", name);
    memcpy(d->uuid, uuid, sizeof(uuid));
    d->type = SNAP_GUEST_PVH;
    d->mem_kb = fake_mem_kb;
    d->monitor_pid = 4343;
    d->paused = true;
    snprintf(d->mark, sizeof(d->mark), "%s", mark);
    d->tick = tick;
    free(name);
    d->half_built = true;
    domid = d->domid;
    rc = fault("build half", err);
    if (!rc && (!d->exists || d->domid != domid))
        return snap_fail(err, SNAP_FAIL, "somebody destroyed it");
    if (rc) {
        d->exists = false;
        return rc;
    }
    d->half_built = false;
    snprintf(d->config, sizeof(d->config), "%s", config);
    start_disks(h->w, d);
    return fill(d, dom_r);
}

static int f_restore(struct snap_hyp *h, int fd, const char *config,
                     const char *mark, struct snap_domain *dom_r,
                     struct snap_err *err)
{
    int rc;
    uint64_t tick = 0;
    char *old = NULL;
    bool whole = true;

    rc = fault("restore", err);
    if (!rc)
        rc = read_image(fd, &tick, &old, &whole, err);
    free(old);
    if (!rc && !whole)
        return snap_fail(err, SNAP_FAIL, "the memory image ends early");
    return rc ? rc : build(h, config, mark, tick, dom_r, err);
}

static int f_create(struct snap_hyp *h, const char *config, const char *mark,
                    struct snap_domain *dom_r, struct snap_err *err)
{
    int rc;

    rc = fault("create", err);
    if (!rc && h->w->no_kernel)
        rc = snap_fail(err, SNAP_FAIL, "/boot/vmlinuz: no such file");
    return rc ? rc : build(h, config, mark, 1, dom_r, err);
}

const struct snap_hyp_ops fake_hyp_ops = {
    .name = "fake",
    .open = f_open,
    .close = f_close,
    .version = f_version,
    .find = f_find,
    .find_uuid = f_find_uuid,
    .monitor = f_monitor,
    .config = f_config,
    .disks = f_disks,
    .config_file = f_config_file,
    .saved = f_saved,
    .image_user = f_image_user,
    .free_mem = f_free_mem,
    .window_open = f_window_open,
    .window_close = f_window_close,
    .window_borrow = f_window_borrow,
    .stands = f_stands,
    .save = f_save,
    .resume = f_resume,
    .pause = f_pause,
    .unpause = f_unpause,
    .saver = f_saver,
    .ran = f_ran,
    .rescue = f_rescue,
    .qmp_open = f_qmp_open,
    .set_active = f_set_active,
    .destroy = f_destroy,
    .can_build = f_can_build,
    .image_check = f_image_check,
    .restore = f_restore,
    .create = f_create,
};

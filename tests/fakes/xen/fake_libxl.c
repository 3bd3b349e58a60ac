/* SPDX-License-Identifier: LGPL-2.1-only */
#include "fakes/xen/fake_libxl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fakes/xen/fake_xenstore.h"
#include "hyp/hyp.h"

#include <xenctrl.h>

#define WORLD    "FAKE_XEN_FD"
#define TICK_US  1000
#define N_EVGENS 16

struct fake_xen *fake_xen;

/* --- the domains ------------------------------------------------------- */

void fake_xen_join(void)
{
    if (!fake_xen)
        fake_xen = fake_shared(WORLD, sizeof(*fake_xen));
}

void fake_xen_reset(void)
{
    fake_xen_join();
    fake_xs_reset();
    fake_xs_put("/local/domain/0/name", "Domain-0");
    memset(fake_xen, 0, sizeof(*fake_xen));
    /* Processes are looked for by it: those of two tests must not meet. */
    fake_xen->next_domid = 1000 + getpid() % 30000;
    fake_xen->free_kb = 4 * FAKE_NEEDS_KB;
}

struct fake_guest *fake_guest(uint32_t domid)
{
    size_t i;

    for (i = 0; i < FAKE_GUESTS; i++)
        if (fake_xen->d[i].used && fake_xen->d[i].domid == domid)
            return &fake_xen->d[i];
    return NULL;
}

static const char *home(uint32_t domid, const char *what)
{
    static _Thread_local char path[64];

    snprintf(path, sizeof(path), "/local/domain/%u%s", domid, what);
    return path;
}

static const char *of_libxl(uint32_t domid, const char *what)
{
    static _Thread_local char path[64];

    snprintf(path, sizeof(path), "/libxl/%u%s", domid, what);
    return path;
}

static bool is_named(uint32_t domid, const char *name)
{
    bool yes;

    fake_xs_lock();
    yes = snap_streq(fake_xs_get(home(domid, "/name")), name);
    fake_xs_unlock();
    return yes;
}

uint32_t fake_guest_named(const char *name)
{
    uint32_t domid = 0;
    size_t i;

    for (i = 0; i < FAKE_GUESTS; i++)
        if (fake_xen->d[i].used && fake_xen->d[i].domid > domid &&
            is_named(fake_xen->d[i].domid, name))
            domid = fake_xen->d[i].domid;
    return domid;
}

uint32_t fake_guest_add(const char *name, const char *uuid, const char *config)
{
    struct fake_guest *d = fake_xen->d;

    while (d->used)
        if (++d == fake_xen->d + FAKE_GUESTS)
            abort();
    memset(d, 0, sizeof(*d));
    d->domid = fake_xen->next_domid++;
    d->cpu_time = 1000;
    d->has_memory = true;
    snprintf(d->uuid, sizeof(d->uuid), "%s", uuid);
    if (strlen(config) >= sizeof(d->config))
        abort();
    strcpy(d->config, config);
    if (name)
        fake_xs_put(home(d->domid, "/name"), name);
    fake_xs_put(of_libxl(d->domid, "/type"), "pvh");
    d->used = true;
    return d->domid;
}

void fake_guest_stop(uint32_t domid, int reason)
{
    struct fake_guest *d = fake_guest(domid);

    d->reason = reason;
    d->shutdown = true;
    fake_xen->released++;
}

/* Memory of a guest is not free the moment it is gone, if late_ms says so. */
static void give_back(void)
{
    if (fake_xen->late_ms > snap_now_ms())
        fake_xen->late_kb += FAKE_NEEDS_KB;
    else
        fake_xen->free_kb += FAKE_NEEDS_KB;
}

void fake_guest_end(uint32_t domid)
{
    struct fake_guest *d = fake_guest(domid);

    fake_xs_put(home(domid, ""), NULL);
    fake_xs_put(of_libxl(domid, ""), NULL);
    d->dying = true;
    d->used = fake_xen->destroy_leaves;
    if (!d->used && d->has_memory)
        give_back();
    fake_xen->released++;
}

static uint64_t free_kb(void)
{
    if (fake_xen->late_kb && snap_now_ms() >= fake_xen->late_ms) {
        fake_xen->free_kb += fake_xen->late_kb;
        fake_xen->late_kb = 0;
    }
    return fake_xen->free_kb;
}

/* --- the connection ---------------------------------------------------- */

static xentoollog_logger *logger; /* of the last context */

xc_interface *xc_interface_open(xentoollog_logger *a, xentoollog_logger *b,
                                unsigned flags)
{
    static int any;

    (void)a, (void)b, (void)flags;
    return (xc_interface *)&any;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

int libxl_ctx_alloc(libxl_ctx **ctx, int version, unsigned flags,
                    xentoollog_logger *lg)
{
    typedef int alloc_fn(libxl_ctx **, int, unsigned, xentoollog_logger *);
    alloc_fn *real = (alloc_fn *)dlsym(RTLD_NEXT, "libxl_ctx_alloc");

    logger = lg;
    return real(ctx, version, flags, lg);
}

static int says(int xl, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static int says(int xl, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (logger)
        xtl_log(logger, XTL_ERROR, -1, "libxl", "%s", text);
    return xl;
}

const libxl_version_info *libxl_get_version_info(libxl_ctx *ctx)
{
    static libxl_version_info info = { .xen_version_major = 4,
                                       .xen_version_minor = 17 };

    (void)ctx;
    info.commandline = (char *)(fake_xen->no_ballooning ? "dom0_mem=1G" : "");
    return &info;
}

int libxl_get_physinfo(libxl_ctx *ctx, libxl_physinfo *physinfo)
{
    (void)ctx;
    physinfo->cap_hap = true;
    return 0;
}

/* --- looking ----------------------------------------------------------- */

static void tell(const struct fake_guest *d, libxl_dominfo *info)
{
    unsigned char *at = info->uuid.uuid;
    const char *p;

    libxl_dominfo_init(info);
    info->domid = d->domid;
    for (p = d->uuid; *p; p++)
        if (*p != '-' && sscanf(p, "%2hhx", at++) == 1)
            p++;
    info->shutdown = d->shutdown;
    info->dying = d->dying;
    info->paused = d->pauses > 0;
    info->running = !d->shutdown && !info->paused;
    info->shutdown_reason = d->shutdown ? (libxl_shutdown_reason)d->reason
                                        : LIBXL_SHUTDOWN_REASON_UNKNOWN;
    info->cpu_time = d->cpu_time;
    info->domain_type = LIBXL_DOMAIN_TYPE_PVH;
    info->current_memkb = FAKE_NEEDS_KB;
}

int libxl_domain_info(libxl_ctx *ctx, libxl_dominfo *info_r, uint32_t domid)
{
    struct fake_guest *d = fake_guest(domid);

    if (!ctx)
        abort();
    if (fake_xen->info_fails)
        return says(ERROR_FAIL, "getting domain info");
    if (!d)
        return ERROR_DOMAIN_NOTFOUND;
    if (info_r)
        tell(d, info_r);
    return 0;
}

libxl_dominfo *libxl_list_domain(libxl_ctx *ctx, int *nb_domain_out)
{
    static const struct fake_guest dom0 = {
        .uuid = "00000000-0000-0000-0000-000000000000"
    };
    libxl_dominfo *list;
    int n = 0;
    size_t i;

    (void)ctx;
    if (fake_xen->list_fails) {
        says(ERROR_FAIL, "getting domain info list");
        return NULL;
    }
    list = calloc(FAKE_GUESTS + 1, sizeof(*list));
    if (!list)
        abort();
    tell(&dom0, &list[n++]);
    for (i = 0; i < FAKE_GUESTS; i++)
        if (fake_xen->d[i].used)
            tell(&fake_xen->d[i], &list[n++]);
    *nb_domain_out = n;
    return list;
}

int libxl_name_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid)
{
    uint32_t found = fake_guest_named(name);

    (void)ctx;
    if (fake_xen->list_fails || !found)
        return ERROR_INVAL;
    *domid = found;
    return 0;
}

int libxl_retrieve_domain_configuration(libxl_ctx *ctx, uint32_t domid,
                                        libxl_domain_config *d_config,
                                        const libxl_asyncop_how *ao_how)
{
    struct fake_guest *d = fake_guest(domid);

    (void)ao_how;
    if (fake_xen->config_fails || !d)
        return says(ERROR_FAIL, "fail to get domain configuration");
    return libxl_domain_config_from_json(ctx, d_config, d->config);
}

/* --- memory ------------------------------------------------------------ */

int libxl_domain_need_memory(libxl_ctx *ctx, libxl_domain_config *config,
                             uint32_t domid_for_logging, uint64_t *need_memkb)
{
    (void)ctx, (void)config, (void)domid_for_logging;
    *need_memkb = FAKE_NEEDS_KB;
    return 0;
}

int libxl_get_free_memory(libxl_ctx *ctx, uint64_t *memkb)
{
    (void)ctx;
    *memkb = free_kb();
    return 0;
}

int libxl_get_memory_target(libxl_ctx *ctx, uint32_t domid,
                            uint64_t *out_target)
{
    (void)ctx, (void)domid;
    *out_target = fake_xen->dom0_gives_kb;
    return 0;
}

int libxl_set_memory_target(libxl_ctx *ctx, uint32_t domid,
                            int64_t target_memkb, int relative, int enforce)
{
    uint64_t wanted = (uint64_t)-target_memkb;

    (void)ctx, (void)domid, (void)relative, (void)enforce;
    fake_xen->tries_for_memory++;
    if (fake_xen->dom0_gives_kb < wanted)
        return says(ERROR_INVAL, "memory_dynamic_max must be less than");
    fake_xen->dom0_gives_kb -= wanted;
    fake_xen->free_kb += wanted;
    return 0;
}

int libxl_wait_for_memory_target(libxl_ctx *ctx, uint32_t domid, int wait_secs)
{
    (void)ctx, (void)domid, (void)wait_secs;
    return 0;
}

/* --- acting ------------------------------------------------------------ */

int libxl_domain_pause(libxl_ctx *ctx, uint32_t domid,
                       const libxl_asyncop_how *ao_how)
{
    struct fake_guest *d = fake_guest(domid);

    (void)ctx, (void)ao_how;
    if (!d)
        return ERROR_DOMAIN_NOTFOUND;
    d->pauses++;
    return 0;
}

int libxl_domain_unpause(libxl_ctx *ctx, uint32_t domid,
                         const libxl_asyncop_how *ao_how)
{
    struct fake_guest *d = fake_guest(domid);

    (void)ctx, (void)ao_how;
    if (!d)
        return says(ERROR_DOMAIN_NOTFOUND, "unpausing domain");
    if (fake_xen->unpauses_fail) {
        fake_xen->unpauses_fail--;
        return says(ERROR_FAIL, "unpausing domain");
    }
    if (d->pauses)
        d->pauses--;
    if (!d->pauses)
        d->cpu_time++;
    return 0;
}

static void look(void);

int libxl_domain_destroy(libxl_ctx *ctx, uint32_t domid,
                         const libxl_asyncop_how *ao_how)
{
    (void)ctx, (void)ao_how;
    fake_xen->destroys++;
    if (!fake_guest(domid))
        return says(ERROR_DOMAIN_NOTFOUND, "Non-existent domain");
    if (fake_xen->destroy_fails)
        return says(ERROR_FAIL, "Unable to destroy guest");
    fake_guest_end(domid);
    look(); /* libxl runs its event loop in here */
    return 0;
}

static int build(uint32_t domid, const char *name)
{
    size_t i;

    for (i = 0; i < FAKE_GUESTS; i++)
        if (fake_xen->d[i].used && is_named(fake_xen->d[i].domid, name))
            return says(ERROR_INVAL, "domain with name \"%s\" already exists.",
                        name);
    fake_xs_put(home(domid, "/name"), name);
    if (free_kb() < FAKE_NEEDS_KB)
        return says(ERROR_FAIL, "xc_dom_boot_mem_init failed: Out of memory");
    if (fake_xen->creates_fail > 0) {
        fake_xen->creates_fail--;
        return says(ERROR_FAIL, "cannot (re-)build domain: -3");
    }
    return 0;
}

int libxl_domain_create_new(libxl_ctx *ctx, libxl_domain_config *d_config,
                            uint32_t *domid, const libxl_asyncop_how *ao_how,
                            const libxl_asyncprogress_how *aop_console_how)
{
    char uuid[37], *json = libxl_domain_config_to_json(ctx, d_config);
    struct fake_guest *d;
    int xl;

    (void)ao_how, (void)aop_console_how;
    fake_xen->creates++;
    snprintf(uuid, sizeof(uuid), LIBXL_UUID_FMT,
             LIBXL_UUID_BYTES(d_config->c_info.uuid));
    *domid = fake_guest_add(NULL, uuid, json);
    free(json);
    d = fake_guest(*domid);
    d->pauses = 1;
    d->cpu_time = 0;
    d->has_memory = false;
    xl = build(*domid, d_config->c_info.name);
    if (!xl) {
        d->has_memory = true;
        fake_xen->free_kb -= FAKE_NEEDS_KB;
    } else if (!fake_xen->create_leaves) {
        fake_guest_end(*domid);
    }
    return xl;
}

int libxl_domain_preserve(libxl_ctx *ctx, uint32_t domid,
                          libxl_domain_create_info *info,
                          const char *name_suffix, libxl_uuid new_uuid)
{
    struct fake_guest *d = fake_guest(domid);
    char name[128];

    (void)ctx;
    if (fake_xen->preserve_fails || !d)
        return says(ERROR_FAIL, "cannot preserve");
    snprintf(name, sizeof(name), "%s%s", info->name, name_suffix);
    fake_xs_put(home(domid, "/name"), name);
    snprintf(d->uuid, sizeof(d->uuid), LIBXL_UUID_FMT,
             LIBXL_UUID_BYTES(new_uuid));
    return 0;
}

int libxl_domain_soft_reset(libxl_ctx *ctx, libxl_domain_config *d_config,
                            uint32_t domid, const libxl_asyncop_how *ao_how,
                            const libxl_asyncprogress_how *aop_console_how)
{
    struct fake_guest *d = fake_guest(domid);

    (void)ctx, (void)d_config, (void)ao_how, (void)aop_console_how;
    if (!d)
        return says(ERROR_DOMAIN_NOTFOUND, "no such domain");
    fake_xen->soft_resets++;
    d->shutdown = false;
    d->pauses = 1;
    return 0;
}

int libxl_domain_core_dump(libxl_ctx *ctx, uint32_t domid,
                           const char *filename,
                           const libxl_asyncop_how *ao_how)
{
    (void)ctx, (void)ao_how;
    if (fake_xen->dump_fails || !fake_guest(domid))
        return says(ERROR_FAIL, "core dumping domain to %s", filename);
    snprintf(fake_xen->dumped, sizeof(fake_xen->dumped), "%s", filename);
    return 0;
}

int libxl_cdrom_insert(libxl_ctx *ctx, uint32_t domid, libxl_device_disk *disk,
                       const libxl_asyncop_how *ao_how)
{
    (void)ctx, (void)domid, (void)ao_how;
    fake_xen->inserts++;
    snprintf(fake_xen->inserted, sizeof(fake_xen->inserted), "%s", disk->vdev);
    return 0;
}

/* --- events ------------------------------------------------------------ */

struct libxl__evgen_domain_death {
    uint32_t domid;
    bool used, told_shutdown, told_death;
};
struct libxl__evgen_disk_eject {
    uint32_t domid;
    bool used;
    char vdev[16];
};
static struct libxl__evgen_domain_death deaths[N_EVGENS];
static struct libxl__evgen_disk_eject ejects[N_EVGENS];
static libxl_event *events[N_EVGENS];
static size_t n_events;
static unsigned seen_releases;
static bool must_look; /* a new watch fires at once */

static libxl_event *event_new(libxl_event_type type, uint32_t domid)
{
    libxl_event *e = calloc(1, sizeof(*e));

    if (!e || n_events == N_EVGENS)
        abort();
    libxl_event_init(e);
    e->domid = domid;
    libxl_event_init_type(e, type);
    events[n_events++] = e;
    return e;
}

static void look_at_death(struct libxl__evgen_domain_death *g)
{
    struct fake_guest *d = fake_guest(g->domid);
    libxl_event *e;

    if (!g->used || g->told_death)
        return;
    if (!d || d->dying) {
        g->told_death = true;
        event_new(LIBXL_EVENT_TYPE_DOMAIN_DEATH, g->domid);
    } else if (d->shutdown && !g->told_shutdown) {
        g->told_shutdown = true;
        e = event_new(LIBXL_EVENT_TYPE_DOMAIN_SHUTDOWN, g->domid);
        e->u.domain_shutdown.shutdown_reason = d->reason;
    }
}

/* libxl_domain.c: domain_death_xswatch_callback(): all that somebody watches
 * is looked at when xenstored tells of an end, and not before. */
static void look(void)
{
    libxl_event *e;
    size_t i;

    if (must_look || seen_releases != fake_xen->released) {
        must_look = false;
        seen_releases = fake_xen->released;
        for (i = 0; i < N_EVGENS; i++)
            look_at_death(&deaths[i]);
    }
    for (i = 0; i < N_EVGENS; i++) {
        if (!ejects[i].used || ejects[i].domid != fake_xen->eject_domid ||
            strcmp(ejects[i].vdev, fake_xen->eject_vdev) != 0)
            continue;
        fake_xen->eject_domid = 0;
        e = event_new(LIBXL_EVENT_TYPE_DISK_EJECT, ejects[i].domid);
        e->u.disk_eject.vdev = strdup(ejects[i].vdev);
        e->u.disk_eject.disk.vdev = strdup(ejects[i].vdev);
    }
}

int libxl_evenable_domain_death(libxl_ctx *ctx, uint32_t domid,
                                libxl_ev_user user,
                                libxl_evgen_domain_death **evgen_out)
{
    size_t i, used = 0, at = 0;

    (void)ctx, (void)user;
    if (fake_xen->watch_fails)
        return says(ERROR_FAIL, "create watch for path @releaseDomain");
    for (i = 0; i < N_EVGENS; i++) {
        used += deaths[i].used;
        at = deaths[i].used ? at : i;
    }
    must_look = must_look || !used;
    deaths[at] = (struct libxl__evgen_domain_death){ .used = true,
                                                     .domid = domid };
    *evgen_out = &deaths[at];
    return 0;
}

void libxl_evdisable_domain_death(libxl_ctx *ctx,
                                  libxl_evgen_domain_death *evgen)
{
    (void)ctx;
    evgen->used = false;
}

int libxl_evenable_disk_eject(libxl_ctx *ctx, uint32_t domid, const char *vdev,
                              libxl_ev_user user,
                              libxl_evgen_disk_eject **evgen_out)
{
    size_t i = 0;

    (void)ctx, (void)user;
    while (ejects[i].used)
        i++;
    ejects[i].used = true;
    ejects[i].domid = domid;
    snprintf(ejects[i].vdev, sizeof(ejects[i].vdev), "%s", vdev);
    *evgen_out = &ejects[i];
    return 0;
}

void libxl_evdisable_disk_eject(libxl_ctx *ctx, libxl_evgen_disk_eject *evgen)
{
    (void)ctx;
    evgen->used = false;
}

int libxl_event_check(libxl_ctx *ctx, libxl_event **event_r, uint64_t typemask,
                      libxl_event_predicate *predicate, void *predicate_user)
{
    (void)ctx, (void)typemask, (void)predicate, (void)predicate_user;
    look();
    if (!n_events)
        return ERROR_NOT_READY;
    *event_r = events[0];
    memmove(events, events + 1, --n_events * sizeof(events[0]));
    return 0;
}

int libxl_event_wait(libxl_ctx *ctx, libxl_event **event_r, uint64_t typemask,
                     libxl_event_predicate *predicate, void *predicate_user)
{
    while (
        libxl_event_check(ctx, event_r, typemask, predicate, predicate_user))
        usleep(TICK_US);
    return 0;
}

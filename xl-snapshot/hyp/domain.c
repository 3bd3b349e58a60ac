/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What there is to know about a domain.  Everything in struct snap_domain is
 * found by looking; nothing here changes a domain but pause and unpause.
 *
 * A domain number is used again for another domain as soon as its owner is
 * gone, so whoever holds a struct snap_domain across time asks hyp_state(),
 * which compares the uuid.
 */
#include "hyp/domain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <xen/io/xenbus.h>

#include "hyp/call.h"
#include "hyp/daemon.h"
#include "hyp/hvm.h"
#include "hyp/lockfile.h"
#include "hyp/mark.h"
#include "hyp/proc.h"
#include "hyp/xs.h"
#include "lib/json.h"

static void uuid_text(const libxl_uuid *uuid, char text[37])
{
    snprintf(text, 37, LIBXL_UUID_FMT, LIBXL_UUID_BYTES((*uuid)));
}

static enum hyp_state domain_state_of(const libxl_dominfo *info)
{
    if (info->dying)
        return HYP_DYING;
    if (info->shutdown)
        return info->shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND
                   ? HYP_SUSPENDED
                   : HYP_SHUTDOWN;
    return info->paused ? HYP_PAUSED : HYP_RUNNING;
}

int hyp_state_of_domid(libxl_ctx *ctx, uint32_t domid, enum hyp_state *state_r,
                       char uuid_r[37])
{
    libxl_dominfo info;
    int xl;

    libxl_dominfo_init(&info);
    xl = libxl_domain_info(ctx, &info, domid);
    if (!xl) {
        uuid_text(&info.uuid, uuid_r);
        *state_r = domain_state_of(&info);
    }
    libxl_dominfo_dispose(&info);
    return xl;
}

int hyp_state(struct snap_hyp *h, const struct snap_domain *dom,
              enum hyp_state *state_r, struct snap_err *err)
{
    char uuid[37];
    int xl = hyp_state_of_domid(h->ctx, dom->domid, state_r, uuid);

    if (!xl && strcmp(uuid, dom->uuid))
        xl = ERROR_DOMAIN_NOTFOUND;
    if (!xl)
        return 0;
    if (xl == ERROR_DOMAIN_NOTFOUND)
        return hyp_fail(h, err, xl, "%s: no such domain any more", dom->name);
    return hyp_fail(h, err, xl, "%s: Xen does not tell how it is", dom->name);
}

/* --- can it be suspended? ---------------------------------------------- */

/* A frontend of the guest is connected: its kernel is up. */
static bool has_frontend(struct snap_hyp *h, uint32_t domid)
{
    static const char *const kinds[] = { "vbd", "vif" };
    char path[64], **ids;
    bool yes = false;
    size_t k;
    unsigned int n, i;

    for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]) && !yes; k++) {
        snprintf(path, sizeof(path), "/local/domain/%u/device/%s", domid,
                 kinds[k]);
        n = 0;
        ids = xs_directory(h->xsh, XBT_NULL, path, &n);
        for (i = 0; ids && i < n && !yes; i++)
            yes = hyp_xs_long(h, 0, "%s/%.64s/state", path, ids[i]) ==
                  XenbusStateConnected;
        free(ids);
    }
    return yes;
}

/*
 * Linux, drivers/xen/manage.c: setup_shutdown_event() writes feature-poweroff
 * when its xenbus works, and feature-suspend if it was built with support for
 * hibernation; Windows' drivers likewise.  Once, at boot: a domain that was
 * restored has neither (libxl_create.c makes them anew, empty), and can be
 * suspended again, for it was before.
 */
static bool offers_suspend(struct snap_hyp *h, uint32_t domid)
{
    if (hyp_xs_long(h, 0, "/local/domain/%u/control/feature-suspend", domid) ==
        1)
        return true;
    if (hyp_xs_long(h, 0, "/local/domain/%u/control/feature-poweroff",
                    domid) == 1)
        return false;
    return has_frontend(h, domid);
}

static int find_suspend(struct snap_hyp *h, struct snap_domain *d,
                        struct snap_err *err)
{
    bool answer = true;
    int rc;

#ifdef LIBXL_HAVE_NO_SUSPEND_RESUME
    d->why_no_suspend = snap_strdup("Xen cannot save domains on this kind of processor");
    return 0;
#endif
    /* PV and PVH always answer the request themselves. */
    if (d->type == SNAP_GUEST_HVM && !d->dying) {
        rc = hyp_hvm_must_answer(h, d->domid, &answer, err);
        if (rc)
            return rc;
    }
    if (d->dying)
        d->why_no_suspend = snap_strdup("it is being destroyed");
    else if (d->shutdown || d->suspended)
        d->why_no_suspend = snap_strdup("it is not running");
    else if (!answer)
        d->can_suspend = true;
    else if (!offers_suspend(h, d->domid))
        d->why_no_suspend = snap_strdup(
            "its kernel does not offer to be suspended (no control/feature-suspend in xenstore): it is still booting, or was built without that");
    else if (d->paused)
        d->why_no_suspend = snap_strdup(
            "it is paused, and would have to run to answer the request to suspend: unpause it first");
    else
        d->can_suspend = true;
    return 0;
}

/* A live save needs Xen to log which pages the guest writes. */
static int find_live(struct snap_hyp *h, struct snap_domain *d,
                     struct snap_err *err)
{
    libxl_physinfo phys;
    int rc, xl;

    libxl_physinfo_init(&phys);
    xl = libxl_get_physinfo(h->ctx, &phys);
    if (xl) {
        rc = hyp_fail(h, err, xl, "cannot ask Xen what it can do");
        goto out;
    }
    if (!d->can_suspend) {
        d->why_no_live = snap_strdup(d->why_no_suspend);
    } else if (d->type == SNAP_GUEST_PV && !phys.cap_shadow) {
        d->why_no_live = snap_strdup(
            "this hypervisor was built without shadow paging, which a PV guest's live save needs (a PVH or HVM guest would not)");
    } else if (d->type != SNAP_GUEST_PV && !phys.cap_hap && !phys.cap_shadow) {
        d->why_no_live = snap_strdup(
            "this hypervisor has neither hardware-assisted nor shadow paging, one of which a live save needs");
    } else {
        d->can_live = true;
    }
    rc = 0;

out:
    libxl_physinfo_dispose(&phys);
    return rc;
}

/* --- describing one ---------------------------------------------------- */

static void find_processes(struct snap_hyp *h, struct snap_domain *d)
{
    libxl_device_pci *pci;
    int n = 0;
    long pid;

    d->stubdom = libxl_get_stubdom_id(h->ctx, d->domid) > 0;
    pci = libxl_device_pci_list(h->ctx, d->domid, &n);
    d->passthrough = n > 0;
    if (pci)
        libxl_device_pci_list_free(pci, n);
    pid = hyp_xs_long(h, 0, "/local/domain/%u/image/device-model-pid",
                      d->domid);
    if (pid > 1 && hyp_is_qemu(pid, d->domid))
        d->qemu_pid = pid;
    d->monitor_pid = hyp_monitor_find(d->domid, d->name);
    d->monitor_stopped = d->monitor_pid > 0 &&
                         hyp_wait_stopped(d->monitor_pid, 0);
    d->mark = hyp_mark_read(h, d->domid);
}

/* To the hypervisor a PVH guest is HVM, and so it is to libxl_domain_info();
 * libxl keeps the difference in xenstore (libxl_dom.c:
 * libxl__domain_type()). */
static enum snap_guest_type guest_type(struct snap_hyp *h,
                                       const libxl_dominfo *info)
{
    enum snap_guest_type type = SNAP_GUEST_HVM;
    char *text;

    if (info->domain_type == LIBXL_DOMAIN_TYPE_PV)
        return SNAP_GUEST_PV;
    text = hyp_xs_read(h, "/libxl/%u/type", info->domid);
    if (snap_streq(text, "pvh"))
        type = SNAP_GUEST_PVH;
    free(text);
    return type;
}

static int describe(struct snap_hyp *h, const libxl_dominfo *info,
                    struct snap_domain *d, struct snap_err *err)
{
    enum hyp_state state = domain_state_of(info);
    char *name;
    int rc;

    if (info->domid == 0) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "this is the control domain, not a guest");
        goto out;
    }
    d->domid = info->domid;
    uuid_text(&info->uuid, d->uuid);
    name = libxl_domid_to_name(h->ctx, info->domid);
    d->name = name ? snap_strdup(name) : snap_printf("%u", info->domid);
    free(name);
    name = hyp_xs_read(h, "/local/domain/%u/name", info->domid);
    d->nameless = !name && errno == ENOENT;
    free(name);
    d->type = guest_type(h, info);
    d->paused = info->paused;
    d->has_run = info->cpu_time > 0;
    d->dying = state == HYP_DYING;
    d->suspended = state == HYP_SUSPENDED;
    d->shutdown = state == HYP_SHUTDOWN;
    d->mem_kb = info->current_memkb;
    find_processes(h, d);
    rc = find_suspend(h, d, err);
    if (rc)
        goto out;
    rc = find_live(h, d, err);

out:
    return rc;
}

int hyp_describe(struct snap_hyp *h, uint32_t domid, struct snap_domain *dom_r,
                 struct snap_err *err)
{
    libxl_dominfo info;
    int rc, xl;

    libxl_dominfo_init(&info);
    xl = libxl_domain_info(h->ctx, &info, domid);
    if (xl) {
        rc = hyp_fail(h, err, xl, "no domain has number %u", domid);
        goto out;
    }
    rc = describe(h, &info, dom_r, err);

out:
    libxl_dominfo_dispose(&info);
    return rc;
}

/* --- finding one ------------------------------------------------------- */

/* All domains.  The control domain is always among them, so NULL is never an
 * empty list; reading it as one would take a running domain for one that is
 * off. */
static libxl_dominfo *list_domains(struct snap_hyp *h, int *n_r)
{
    *n_r = 0;
    return libxl_list_domain(h->ctx, n_r);
}

static int fail_list(struct snap_hyp *h, struct snap_err *err)
{
    return hyp_fail(h, err, ERROR_FAIL, "cannot list the domains");
}

/* Index of the one that has this uuid; one that is dying only if no other has
 * it.  SNAP_BUSY: two live.  SNAP_NOTFOUND.  No message. */
static int index_of_uuid(const libxl_dominfo *list, int n, const char *uuid,
                         int *i_r)
{
    int rc = SNAP_NOTFOUND, i;
    bool lives = false;
    char have[37];

    for (i = 0; i < n; i++) {
        uuid_text(&list[i].uuid, have);
        if (strcasecmp(have, uuid) || (!rc && list[i].dying))
            continue;
        if (lives)
            return SNAP_BUSY;
        lives = !list[i].dying;
        *i_r = i;
        rc = 0;
    }
    return rc;
}

/* The same of a name.  libxl_name_to_domid() does not tell a name that is not
 * there from xenstore that does not answer. */
static int index_of_name(struct snap_hyp *h, const libxl_dominfo *list, int n,
                         const char *name, int *i_r)
{
    char *have;
    int i;

    for (i = 0; i < n; i++) {
        have = hyp_xs_read(h, "/local/domain/%u/name", list[i].domid);
        if (!have && errno != ENOENT)
            return SNAP_FAIL;
        if (snap_streq(have, name)) {
            free(have);
            *i_r = i;
            return 0;
        }
        free(have);
    }
    return SNAP_NOTFOUND;
}

static int index_of_number(const libxl_dominfo *list, int n, const char *who,
                           int *i_r)
{
    char text[16];
    int i;

    for (i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "%u", list[i].domid);
        if (!strcmp(text, who)) {
            *i_r = i;
            return 0;
        }
    }
    return SNAP_NOTFOUND;
}

static int fail_two(const char *who, struct snap_err *err)
{
    return snap_fail(err, SNAP_BUSY,
                     "%s: two domains have its UUID: it is being migrated to this host; try again when that has ended",
                     who);
}

int hyp_find(struct snap_hyp *h, const char *who, struct snap_domain *dom_r,
             struct snap_err *err)
{
    libxl_dominfo *list = NULL;
    int rc, n, i = 0, unused;
    char uuid[37];

    rc = hyp_enter(h, "find", err);
    if (rc)
        goto out;
    list = list_domains(h, &n);
    if (!list) {
        rc = fail_list(h, err);
        goto out;
    }
    rc = index_of_name(h, list, n, who, &i);
    if (rc == SNAP_NOTFOUND)
        rc = index_of_number(list, n, who, &i);
    if (rc == SNAP_NOTFOUND)
        rc = index_of_uuid(list, n, who, &i);
    if (!rc) {
        uuid_text(&list[i].uuid, uuid);
        if (index_of_uuid(list, n, uuid, &unused) == SNAP_BUSY)
            rc = SNAP_BUSY;
    }
    if (rc == SNAP_BUSY)
        fail_two(who, err);
    else if (rc == SNAP_NOTFOUND)
        snap_fail(err, rc, "no domain \"%s\" is running", who);
    else if (rc)
        snap_fail(err, rc, "xenstore does not tell the names of the domains");
    if (rc)
        goto out;
    rc = hyp_describe(h, list[i].domid, dom_r, err);

out:
    if (list)
        libxl_dominfo_list_free(list, n);
    return rc;
}

int hyp_domid_of_uuid(struct snap_hyp *h, const char *uuid, uint32_t *domid_r)
{
    libxl_dominfo *list;
    int rc, n, i = 0;

    list = list_domains(h, &n);
    if (!list)
        return SNAP_FAIL;
    rc = index_of_uuid(list, n, uuid, &i);
    if (!rc)
        *domid_r = list[i].domid;
    libxl_dominfo_list_free(list, n);
    return rc;
}

int hyp_find_uuid(struct snap_hyp *h, const char *uuid,
                  struct snap_domain *dom_r, struct snap_err *err)
{
    uint32_t domid = UINT32_MAX;
    int rc;

    rc = hyp_enter(h, "find_uuid", err);
    if (rc)
        goto out;
    rc = hyp_domid_of_uuid(h, uuid, &domid);
    if (rc == SNAP_BUSY)
        fail_two(uuid, err);
    else if (rc == SNAP_NOTFOUND)
        snap_fail(err, rc, "no domain with uuid %s is running", uuid);
    else if (rc)
        rc = fail_list(h, err);
    if (rc)
        goto out;
    rc = hyp_describe(h, domid, dom_r, err);

out:
    return rc;
}

pid_t hyp_monitor_alone(struct snap_hyp *h, const char *uuid, const char *name)
{
    uint32_t domid;
    pid_t pid;
    struct snap_err ignored = SNAP_ERR_INIT;

    if (hyp_enter(h, "monitor", &ignored))
        return 0;
    /* It came this moment: look again, whoever builds it. */
    if (!hyp_domid_of_uuid(h, uuid, &domid)) {
        pid = hyp_monitor_find(domid, name);
        return pid ? pid : 1;
    }
    /* Is there another of that name, then it watches that. */
    return libxl_name_to_domid(h->ctx, name, &domid)
               ? hyp_monitor_named(h, name)
               : 0;
}

/* --- configuration and memory ------------------------------------------ */

int hyp_config(struct snap_hyp *h, const struct snap_domain *dom,
               char **json_r, struct snap_err *err)
{
    struct snap_json *root = NULL, *c_info;
    libxl_domain_config cfg;
    enum hyp_state state;
    char *json = NULL;
    int rc, xl;

    *json_r = NULL;
    libxl_domain_config_init(&cfg);
    rc = hyp_enter(h, "config", err);
    if (rc)
        goto out;
    rc = hyp_state(h, dom, &state, err);
    if (!rc)
        rc = hyp_lock_wait_free(dom, err);
    if (rc)
        goto out;
    xl = libxl_retrieve_domain_configuration(h->ctx, dom->domid, &cfg, NULL);
    if (xl) {
        rc = hyp_fail(h, err, xl, "%s: cannot get its configuration",
                      dom->name);
        goto out;
    }
    json = libxl_domain_config_to_json(h->ctx, &cfg);
    if (!json) {
        rc = hyp_fail(h, err, 0, "%s: cannot write its configuration as JSON",
                      dom->name);
        goto out;
    }
    rc = snap_json_parse(json, strlen(json), &root, err);
    if (rc)
        goto out;
    /* The number must not be asked for again when it is built anew. */
    c_info = snap_json_get(root, "c_info");
    if (c_info)
        snap_json_set(c_info, "domid", NULL);
    hyp_mark_strip(root);
    *json_r = snap_json_text(root, true);
    rc = 0;

out:
    snap_json_free(root);
    free(json);
    libxl_domain_config_dispose(&cfg);
    return rc;
}

/* --- pause, unpause ---------------------------------------------------- */

int hyp_pause(struct snap_hyp *h, const struct snap_domain *dom,
              struct snap_err *err)
{
    enum hyp_state state;
    int rc, xl;

    rc = hyp_enter(h, "pause", err);
    if (rc)
        goto out;
    rc = hyp_state(h, dom, &state, err);
    if (rc)
        goto out;
    /* Xen counts (domain_pause_by_systemcontroller()): it goes on when it has
     * been unpaused as often. */
    xl = libxl_domain_pause(h->ctx, dom->domid, NULL);
    if (xl) {
        rc = hyp_fail(h, err, xl, "%s: cannot pause it", dom->name);
        goto out;
    }
    rc = 0;

out:
    return rc;
}

int hyp_unpause(struct snap_hyp *h, const struct snap_domain *dom,
                struct snap_err *err)
{
    enum hyp_state state;
    int rc, xl;

    rc = hyp_enter(h, "unpause", err);
    if (rc)
        goto out;
    rc = hyp_state(h, dom, &state, err);
    if (rc)
        goto out;
    xl = libxl_domain_unpause(h->ctx, dom->domid, NULL);
    if (xl) {
        rc = hyp_fail(h, err, xl, "%s: cannot unpause it", dom->name);
        goto out;
    }
    rc = 0;

out:
    return rc;
}

int hyp_ran(struct snap_hyp *h, const struct snap_domain *dom, uint64_t *ns_r,
            struct snap_err *err)
{
    enum hyp_state state;
    libxl_dominfo info;
    int rc, xl;

    libxl_dominfo_init(&info);
    rc = hyp_enter(h, "ran", err);
    if (rc)
        goto out;
    rc = hyp_state(h, dom, &state, err);
    if (rc)
        goto out;
    xl = libxl_domain_info(h->ctx, &info, dom->domid);
    if (xl) {
        rc = hyp_fail(h, err, xl, "%s: Xen does not tell its processor time",
                      dom->name);
        goto out;
    }
    *ns_r = info.cpu_time;
    rc = 0;

out:
    libxl_dominfo_dispose(&info);
    return rc;
}

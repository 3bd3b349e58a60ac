/* SPDX-License-Identifier: LGPL-2.1-only */
/* See verify.h. */
#include "op/verify.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/mem.h"
#include "model/domain_json.h"
#include "op/parts.h"
#include "store/memfile.h"
#include "store/state.h"

void snap_checks_free(struct snap_check **checks, size_t *n)
{
    size_t i;

    for (i = 0; i < *n; i++) {
        free((*checks)[i].part);
        free((*checks)[i].problem);
    }
    free(*checks);
    *checks = NULL;
    *n = 0;
}

static int check_disk(struct snap_env *env, struct snap_disk_ctx *ctx,
                      const struct snap_state *st,
                      const struct snap_record *all, size_t n_all,
                      struct snap_part *p, struct snap_err *err)
{
    const struct snap_leaf *leaf = snap_state_leaf(st, p->vdev);

    struct snap_object in_place = snap_part_in_place(p);

    if (!p->stem && leaf && p->drv->moves_active)
        p->stem = snap_strdup(leaf->stem);
    p->shared = in_place.id &&
                snap_records_freeze(env->drivers, all, n_all, in_place);
    return p->drv->verify(ctx, p, err);
}

static int verify_check_memory(struct snap_env *env,
                               const struct snap_record *rec,
                               struct snap_err *err)
{
    char *header = NULL;
    uint64_t size = rec->mem_size;
    int rc, fd = -1;

    rc = snap_memfile_open(env, rec->mem_path, &size, &fd, &header, err);
    if (!rc)
        rc = snap_memfile_verify(env, fd, rec->mem_path, size, rec->mem_hash,
                                 err);
    if (fd >= 0)
        close(fd);
    free(header);
    return rc;
}

/* Is this disk of the configuration one that a revert takes as it is there? */
static bool is_taken_as_it_is(const struct snap_record *rec,
                              const struct snap_state *st, bool there,
                              const struct snap_vbd *v)
{
    size_t i;

    for (i = 0; i < rec->n_parts; i++)
        if (snap_streq(rec->parts[i].vdev, v->vdev))
            return false;
    /* What is written to goes on with the image that it has by then. */
    return v->readonly || v->cdrom ||
           (!there && !snap_state_leaf(st, v->vdev));
}

/* CDs and the like are in no snapshot, and no domain starts without. */
static void check_others(const struct snap_record *rec,
                         const struct snap_state *st, bool there,
                         struct snap_check **c, size_t *n)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_vbd *vbds = NULL;
    size_t i, n_vbds = 0;

    if (snap_domain_json_disks(rec->config_json, &vbds, &n_vbds, &ignored))
        n_vbds = 0;
    for (i = 0; i < n_vbds; i++) {
        const char *path = vbds[i].path;

        if (!path || path[0] != '/' || !access(path, F_OK) ||
            !is_taken_as_it_is(rec, st, there, &vbds[i]))
            continue;
        *c = snap_realloc(*c, *n + 1, sizeof(**c));
        (*c)[*n].part = snap_strdup(vbds[i].vdev);
        (*c)[*n].problem = snap_printf(
            "%s, which the domain's configuration names, is not there: put it back%s",
            path,
            !vbds[i].cdrom ? ""
            : !rec->has_memory
                ? ", or revert without it (--eject-missing)"
                : ", or revert without it and the memory (--eject-missing --disk-only)");
        (*n)++;
    }
    snap_vbds_free(&vbds, &n_vbds);
}

int snap_check_record(struct snap_env *env, const struct snap_store *s,
                      const struct snap_domain *dom, struct snap_record *rec,
                      struct snap_check **checks_r, size_t *n_r,
                      struct snap_err *err)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_state st = { 0 };
    struct snap_record *all = NULL;
    struct snap_check *c = NULL;
    struct snap_disk_ctx ctx;
    size_t i, n = 0, n_all = 0;
    char op_id[17];
    int rc;

    *checks_r = NULL;
    *n_r = 0;
    rc = snap_op_id_make(op_id, err);
    if (rc)
        goto out;
    /* What other records say only names the new leaf; their damage is no
     * damage of this one. */
    rc = snap_store_brief(s, env->drivers, NULL, &all, &n_all, err);
    if (rc)
        goto out;
    snap_state_load(s, &st, &ignored);

    c = snap_zalloc((rec->n_parts + 1) * sizeof(*c));
    snap_ctx_init(&ctx, env, dom ? dom->domid : UINT32_MAX, NULL, op_id);
    for (i = 0; i < rec->n_parts; i++) {
        struct snap_err e = SNAP_ERR_INIT;

        c[n].part = snap_strdup(rec->parts[i].vdev);
        if (check_disk(env, &ctx, &st, all, n_all, &rec->parts[i], &e))
            c[n].problem = snap_strdup(e.msg);
        n++;
    }
    if (rec->has_memory) {
        struct snap_err e = SNAP_ERR_INIT;

        c[n].part = snap_strdup("memory");
        if (verify_check_memory(env, rec, &e))
            c[n].problem = snap_strdup(e.msg);
        n++;
    }
    check_others(rec, &st, dom != NULL, &c, &n);
    *checks_r = c;
    *n_r = n;

out:
    snap_state_dispose(&st);
    snap_records_free(&all, &n_all);
    return rc;
}

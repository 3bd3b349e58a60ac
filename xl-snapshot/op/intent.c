/* SPDX-License-Identifier: LGPL-2.1-only */
/* See intent.h. */
#include "op/intent.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/boot_id.h"
#include "lib/file.h"
#include "lib/machine_id.h"
#include "lib/mem.h"
#include "op/mounts.h"
#include "op/session.h"
#include "store/record_check.h"
#include "store/record_json.h"

/* What a machine without an ID gives is no ID. */
static char *intent_known(char *id)
{
    if (id[0])
        return id;
    free(id);
    return NULL;
}

void snap_intent_init(struct snap_intent *in, const struct snap_op *op,
                      const char *op_id, const char *uuid,
                      struct snap_record *rec)
{
    memset(in, 0, sizeof(*in));
    in->op = op;
    snprintf(in->op_id, sizeof(in->op_id), "%s", op_id);
    snprintf(in->uuid, sizeof(in->uuid), "%s", uuid);
    in->boot_id = snap_boot_id();
    in->machine_id = intent_known(snap_machine_id());
    in->hardware = intent_known(snap_hardware_id());
    in->rec = rec;
    in->before.domid = UINT32_MAX;
}

void snap_intent_before(struct snap_intent *in, const struct snap_session *ses)
{
    const struct snap_domain *dom = &ses->dom;

    in->before.there = ses->there;
    if (!ses->there)
        return;
    in->before.paused = dom->paused;
    in->before.had_qemu = dom->qemu_pid != 0;
    in->before.domid = dom->domid;
    in->before.monitor_pid = dom->monitor_pid;
}

void snap_intent_dispose(struct snap_intent *in)
{
    if (in->own)
        snap_record_dispose(in->own);
    free(in->own);
    free(in->boot_id);
    free(in->machine_id);
    free(in->hardware);
    free(in->before.config);
    free(in->after.name);
    free(in->after.output);
    snap_json_free(in->disks);
    snap_json_free(in->mounts);
    memset(in, 0, sizeof(*in));
}

/* ---- the writer ---- */

/* What is not known is not there. */
static void intent_put(struct snap_json *plan, const char *key,
                       const char *value)
{
    if (value)
        snap_json_set_str(plan, key, value);
}

static struct snap_json *intent_to_json(const struct snap_intent *in)
{
    struct snap_json *j = snap_json_object();

    snap_json_set(j, "record", snap_record_to_json(in->rec));
    snap_json_set_str(j, "op_id", in->op_id);
    snap_json_set_str(j, "uuid", in->uuid);
    intent_put(j, "boot_id", in->boot_id);
    intent_put(j, "machine_id", in->machine_id);
    intent_put(j, "hardware", in->hardware);
    snap_json_set_bool(j, "running", in->before.there);
    if (in->before.there) {
        snap_json_set_int(j, "domid", in->before.domid);
        snap_json_set_int(j, "monitor_pid", in->before.monitor_pid);
        snap_json_set_bool(j, "was_paused", in->before.paused);
        snap_json_set_bool(j, "had_qemu", in->before.had_qemu);
        intent_put(j, "old_config", in->before.config);
    }
    snap_json_set_bool(j, "paused_after", in->after.paused);
    snap_json_set_bool(j, "no_metadata", in->after.no_metadata);
    intent_put(j, "new_name", in->after.name);
    intent_put(j, "output", in->after.output);
    if (in->op->disks)
        snap_json_set(j, in->op->disks, snap_json_copy(in->disks));
    if (in->mounts)
        snap_json_set(j, "mounts", snap_json_copy(in->mounts));
    return j;
}

/* ---- the reader ---- */

/* A plan on its way in; the first that is wrong with it is kept. */
struct source {
    const struct snap_json *plan;
    struct snap_err *err;
    int rc;
};

static const struct snap_json *intent_get(struct source *s, const char *key,
                                          enum snap_json_type type)
{
    const struct snap_json *v = snap_json_get(s->plan, key);

    if (!v || snap_json_type(v) == SNAP_JSON_NULL)
        return NULL;
    if (snap_json_type(v) == type)
        return v;
    if (!s->rc)
        s->rc = snap_fail(s->err, SNAP_CORRUPT, "journal: bad %s", key);
    return NULL;
}

static void get_text(struct source *s, const char *key, char **out)
{
    snap_set(out,
             snap_json_string(intent_get(s, key, SNAP_JSON_STRING), NULL));
}

static bool get_bool(struct source *s, const char *key, bool dflt)
{
    return snap_json_truth(intent_get(s, key, SNAP_JSON_BOOL), dflt);
}

/* 0 if it is missing. */
static int64_t get_number(struct source *s, const char *key, int64_t max)
{
    const struct snap_json *v = intent_get(s, key, SNAP_JSON_NUMBER);
    int64_t n = v ? snap_json_integer(v, -1) : 0;

    if (!s->rc && (n < 0 || n > max))
        s->rc = snap_fail(s->err, SNAP_CORRUPT, "journal: bad %s", key);
    return n;
}

static struct snap_json *get_copy(struct source *s, const char *key,
                                  enum snap_json_type type)
{
    const struct snap_json *v = intent_get(s, key, type);

    return v ? snap_json_copy(v) : NULL;
}

int snap_intent_path(const struct snap_json *disk, const char *key,
                     bool needed, char **out, struct snap_err *err)
{
    const char *s = snap_json_get_str(disk, key);

    if (s ? !snap_path_ok(s) : needed)
        return snap_fail(err, SNAP_CORRUPT, "journal: bad %s \"%s\"", key,
                         s ? s : "");
    snap_set(out, s);
    return 0;
}

int snap_intent_object(const struct snap_json *disk, const char *key,
                       bool needed, char **kind_r, char **id_r,
                       char **format_r, struct snap_err *err)
{
    struct snap_err e = SNAP_ERR_INIT;
    int rc;

    rc = snap_object_from_json(disk, key, needed, kind_r, id_r, format_r, &e);
    if (!rc && *id_r)
        rc = snap_object_check((struct snap_object){ *kind_r, *id_r,
                                                     *format_r },
                               key, &e);
    return rc ? snap_fail(err, SNAP_CORRUPT, "journal: %s", e.msg) : 0;
}

/* Of this domain, and no names in it that are not ours? */
static int check_ids(const struct snap_store *s, const struct snap_json *plan,
                     struct snap_err *err)
{
    const char *uuid = snap_json_get_str(plan, "uuid");
    const char *op_id = snap_json_get_str(plan, "op_id");

    if (!snap_streq(uuid, s->uuid) || !op_id ||
        strspn(op_id, "abcdefghijklmnopqrstuvwxyz0123456789") !=
            strlen(op_id) ||
        strlen(op_id) > 16)
        return snap_fail(err, SNAP_CORRUPT,
                         "journal of %s is not of this domain", s->dir);
    return 0;
}

/* Unless the plan says that it was not there, a guest may stand. */
static void read_before(struct source *s, struct snap_intent *in)
{
    in->before.there = get_bool(s, "running", true);
    if (!in->before.there)
        return;
    in->before.domid = get_number(s, "domid", UINT32_MAX);
    in->before.monitor_pid = get_number(s, "monitor_pid", INT_MAX);
    in->before.paused = get_bool(s, "was_paused", false);
    in->before.had_qemu = get_bool(s, "had_qemu", true);
    get_text(s, "old_config", &in->before.config);
}

static int read_record(const struct snap_env *env,
                       const struct snap_json *plan, struct snap_intent *in,
                       struct snap_err *err)
{
    in->own = snap_zalloc(sizeof(*in->own));
    in->rec = in->own;
    return snap_record_from_json(snap_json_get(plan, "record"),
                                 "journal's plan", env->drivers, in->own, err);
}

int snap_intent_read(const struct snap_env *env, const struct snap_store *s,
                     const struct snap_op *op, const struct snap_json *plan,
                     struct snap_intent *in_r, struct snap_err *err)
{
    int rc;
    struct source src = { .plan = plan, .err = err };

    memset(in_r, 0, sizeof(*in_r));
    in_r->op = op;
    in_r->before.domid = UINT32_MAX;
    rc = check_ids(s, plan, err);
    if (rc)
        return rc;
    snprintf(in_r->uuid, sizeof(in_r->uuid), "%s", s->uuid);
    snprintf(in_r->op_id, sizeof(in_r->op_id), "%s",
             snap_json_get_str(plan, "op_id"));
    rc = read_record(env, plan, in_r, err);
    if (rc)
        return rc;
    get_text(&src, "boot_id", &in_r->boot_id);
    get_text(&src, "machine_id", &in_r->machine_id);
    get_text(&src, "hardware", &in_r->hardware);
    read_before(&src, in_r);
    in_r->after.paused = get_bool(&src, "paused_after", false);
    in_r->after.no_metadata = get_bool(&src, "no_metadata", false);
    get_text(&src, "new_name", &in_r->after.name);
    get_text(&src, "output", &in_r->after.output);
    if (op->disks)
        in_r->disks = get_copy(&src, op->disks, SNAP_JSON_ARRAY);
    in_r->mounts = get_copy(&src, "mounts", SNAP_JSON_OBJECT);
    return src.rc;
}

/* ---- before anything is done ---- */

static int intent_compare(const struct snap_json *meant,
                          const struct snap_json *got, struct snap_err *err)
{
    size_t i;
    int rc = 0;

    for (i = 0; !rc && i < snap_json_len(meant); i++) {
        const char *key = snap_json_key_at(meant, i);
        char *a = snap_json_text(snap_json_at(meant, i), false);
        char *b = snap_json_text(snap_json_get(got, key), false);

        if (strcmp(a, b) != 0)
            rc = snap_fail(err, SNAP_FAIL,
                           "%s would be read otherwise than it is meant", key);
        free(a);
        free(b);
    }
    return rc;
}

/* All that a recovery would read of this plan: is it what was meant? */
static int verify(const struct snap_env *env, const struct snap_store *s,
                  const struct snap_op *op, const struct snap_json *meant,
                  const struct snap_json *plan, struct snap_err *err)
{
    int rc;
    struct snap_intent in;
    struct snap_json *again = NULL;

    rc = snap_intent_read(env, s, op, plan, &in, err);
    if (!rc && op->check)
        rc = op->check(&in, err);
    if (!rc) {
        again = intent_to_json(&in);
        rc = intent_compare(meant, again, err);
    }
    snap_json_free(again);
    snap_intent_dispose(&in);
    return rc;
}

static int can_read(const struct snap_env *env, const struct snap_store *s,
                    const struct snap_op *op, const struct snap_json *plan,
                    struct snap_err *err)
{
    int rc;
    struct snap_err why = SNAP_ERR_INIT;
    const char *lossy = snap_json_lossy(plan);
    char *text = snap_json_text(plan, false), *quote;
    struct snap_json *back = NULL;

    if (lossy) {
        quote = snap_excerpt(lossy, strlen(lossy), 200);
        rc = snap_fail(&why, SNAP_REFUSED,
                       "\"%s\" has a byte that is not UTF-8; rename it",
                       quote);
        free(quote);
    } else {
        rc = snap_json_parse(text, strlen(text), &back, &why);
    }
    if (!rc)
        rc = verify(env, s, op, plan, back, &why);
    snap_json_free(back);
    free(text);
    return rc ? snap_fail(err, rc == SNAP_REFUSED ? rc : SNAP_FAIL,
                          "%s; no recovery could read that, so nothing was done (an image needs an absolute path without . and .., control characters and bytes that are not UTF-8)",
                          why.msg)
              : 0;
}

int snap_intent_can_read(const struct snap_env *env,
                         const struct snap_store *s,
                         const struct snap_intent *in, struct snap_err *err)
{
    struct snap_json *plan = intent_to_json(in);
    int rc = can_read(env, s, in->op, plan, err);

    snap_json_free(plan);
    return rc;
}

/* Is what is in the file by now what was meant? */
static int read_back(const struct snap_env *env, const struct snap_store *s,
                     const char *path, const struct snap_op *op,
                     const struct snap_json *plan, struct snap_err *err)
{
    int rc;
    size_t n = 0;
    struct snap_journal_entry *e = NULL;
    char *meant = snap_json_text(plan, false), *got = NULL;

    rc = snap_journal_read(path, &e, &n, err);
    if (!rc && n)
        got = snap_json_text(e[0].data, false);
    if (!rc && (n != 1 || !snap_streq(e[0].op, op->name) ||
                !snap_streq(e[0].step, "plan") || strcmp(got, meant) != 0))
        rc = snap_fail(err, SNAP_IO,
                       "%s does not hold what was written to it; nothing was done",
                       path);
    if (!rc)
        rc = verify(env, s, op, plan, e[0].data, err);
    snap_journal_entries_free(e, n);
    free(got);
    free(meant);
    return rc;
}

int snap_intent_begin(const struct snap_env *env, const struct snap_store *s,
                      struct snap_intent *in, struct snap_journal *j,
                      struct snap_err *err)
{
    int rc;
    char *path = snap_store_journal_path(s);
    struct snap_json *plan = intent_to_json(in);
    struct snap_err ignored = SNAP_ERR_INIT;

    snap_json_free(in->mounts);
    in->mounts = snap_mounts_of(in->op, plan);
    snap_json_set(plan, "mounts", snap_json_copy(in->mounts));
    rc = can_read(env, s, in->op, plan, err);
    if (rc)
        goto out;
    rc = snap_journal_begin(j, path, in->op->name, plan, err);
    if (rc)
        goto out;
    rc = read_back(env, s, path, in->op, plan, err);
    /* Nothing has been done under it: take it back. */
    if (rc && snap_journal_end(j, &ignored))
        snap_journal_dispose(j);

out:
    snap_json_free(plan);
    free(path);
    return rc;
}

/* ---- whose is it ---- */

/* Two copies of one installation have one ID, on hardware of their own. */
static const char *other_hardware(const char *there)
{
    char *here = snap_hardware_id();
    bool other = there && here[0] && strcmp(here, there) != 0;

    free(here);
    return other ? there : NULL;
}

static const char *elsewhere(const char *there, const char *hardware)
{
    char *here = snap_machine_id();
    bool known_here = there && here[0];
    bool other = known_here && strcmp(here, there) != 0;

    free(here);
    return other ? there : known_here ? other_hardware(hardware) : NULL;
}

const char *snap_intent_elsewhere(const struct snap_intent *in)
{
    return elsewhere(in->machine_id, in->hardware);
}

const char *snap_intent_plan_elsewhere(const struct snap_json *plan)
{
    return elsewhere(snap_json_get_str(plan, "machine_id"),
                     snap_json_get_str(plan, "hardware"));
}

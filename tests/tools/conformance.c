/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See conformance.h.  Each test is written against model/disk_ops.h alone.  A
 * part is passed through its recorded form wherever the product would read
 * it from a record or a journal, so a driver that relies on what only the
 * same process knows does not pass.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "model/disk_object.h"

/* ---- one test's state ---- */

#define DISKS 4

struct disk {
    char vdev[8];
    char *path; /* what the domain has now */
    char *format;
    struct content now; /* what its guest has written */
};

struct fixture {
    const struct variant *v;
    struct world *w;
    struct disk disk[DISKS];
    unsigned n;
    unsigned ops; /* operations begun, for their ids */
    char op_id[17];
    bool running;
};

static const struct world_ops *ops_of(const struct fixture *f)
{
    return f->v->ops;
}

static void begin_op(struct fixture *f)
{
    snprintf(f->op_id, sizeof(f->op_id), "op%u", ++f->ops);
}

static void start(struct fixture *f)
{
    unsigned i;

    ops_of(f)->start(f->w);
    for (i = 0; i < f->n; i++)
        ops_of(f)->add(f->w, f->disk[i].vdev, f->disk[i].path,
                       f->disk[i].format);
    f->running = true;
}

static void stop(struct fixture *f)
{
    if (f->running)
        ops_of(f)->stop(f->w);
    f->running = false;
}

/* The guest writes; with the domain off it is started for that. */
static void guest_writes(struct fixture *f, struct disk *d)
{
    bool was = f->running;

    if (!was)
        start(f);
    ops_of(f)->write(f->w, d->vdev, &d->now);
    if (!was)
        stop(f);
}

static bool guest_has(struct fixture *f, struct disk *d,
                      const struct content *c)
{
    bool was = f->running, yes;

    if (!was)
        start(f);
    yes = ops_of(f)->has(f->w, d->vdev, c);
    if (!was)
        stop(f);
    return yes;
}

static struct disk *add_disk(struct fixture *f, const char *file,
                             const char *format)
{
    struct disk *d = &f->disk[f->n];

    snprintf(d->vdev, sizeof(d->vdev), "xvd%c", 'a' + f->n);
    d->path = snap_printf("%s/%s", ops_of(f)->dir(f->w), file);
    d->format = snap_strdup(format);
    ops_of(f)->image(f->w, d->path, format, &d->now);
    f->n++;
    return d;
}

static int set_up(void **state)
{
    struct fixture *f = snap_zalloc(sizeof(*f));

    f->v = *state;
    f->w = ops_of(f)->open();
    add_disk(f, f->v->file, f->v->format);
    if (f->v->live)
        start(f);
    begin_op(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    stop(f);
    ops_of(f)->close(f->w);
    for (i = 0; i < f->n; i++) {
        free(f->disk[i].path);
        free(f->disk[i].format);
    }
    free(f);
    return 0;
}

static void context(struct fixture *f, struct snap_disk_ctx *c)
{
    ops_of(f)->ctx(f->w, f->op_id, c);
}

/* ---- a part ---- */

static void ask(struct fixture *f, const struct disk *d, const char *tag,
                struct snap_part *p)
{
    memset(p, 0, sizeof(*p));
    p->vdev = snap_strdup(d->vdev);
    p->path = snap_strdup(d->path);
    p->format = snap_strdup(d->format);
    p->tag = snap_strdup(tag);
    p->stem = snap_strdup("disk");
    p->frontend_state = f->running ? 4 : 0;
    p->keep_path = f->v->keep_path;
    p->drv = snap_disk_match(f->v->drivers, p, f->v->want);
    assert_non_null(p->drv);
    assert_string_equal(p->drv->name, f->v->driver);
}

/* What a record or a journal keeps, and nothing else. */
static void reload(struct snap_part *p)
{
    struct snap_part q = { 0 };
    char *text;

    q.vdev = snap_strdup(p->vdev);
    q.path = snap_strdup(p->path);
    q.format = snap_strdup(p->format);
    q.tag = snap_strdup(p->tag);
    q.stem = snap_strdup(p->stem);
    q.keep_path = p->keep_path;
    q.drv = p->drv;
    q.type = p->type;
    q.size = p->size;
    q.frozen_path = snap_strdup(p->frozen_path);
    q.frozen_format = snap_strdup(p->frozen_format);
    q.active_path = snap_strdup(p->active_path);
    q.active_format = snap_strdup(p->active_format);
    q.before_kind = snap_strdup(p->before_kind);
    q.frozen_kind = snap_strdup(p->frozen_kind);
    q.active_kind = snap_strdup(p->active_kind);
    if (p->data) {
        text = snap_json_text(p->data, false);
        assert_int_equal(snap_json_parse(text, strlen(text), &q.data, NULL),
                         0);
        free(text);
    }
    snap_part_dispose(p);
    *p = q;
}

static void ok(int rc, const struct snap_err *err, const char *what)
{
    if (rc)
        fail_msg("%s: %s", what, err->msg);
}

#define DO(slot)                                  \
    do {                                          \
        struct snap_err e_ = SNAP_ERR_INIT;       \
        ok(p->drv->slot(&c, p, &e_), &e_, #slot); \
    } while (0)

static enum snap_part_state inspect(struct fixture *f, struct snap_part *p)
{
    struct snap_disk_ctx c;
    struct snap_err e = SNAP_ERR_INIT;
    enum snap_part_state st = SNAP_PART_FOREIGN;

    context(f, &c);
    ok(p->drv->inspect(&c, p, &st, &e), &e, "inspect");
    return st;
}

static int take(struct fixture *f, struct snap_part *const *parts, size_t n,
                struct snap_err *err)
{
    struct snap_disk_ctx c;

    context(f, &c);
    return parts[0]->drv->group->take(&c, parts, n, err);
}

/* From nothing to a committed snapshot; the domain goes on with the new
 * active image. */
static void snapshot(struct fixture *f, struct disk *d, const char *tag,
                     struct snap_part *p)
{
    struct snap_disk_ctx c;
    struct snap_err e = SNAP_ERR_INIT;

    begin_op(f);
    context(f, &c);
    ask(f, d, tag, p);
    DO(probe);
    DO(prepare);
    ok(take(f, &p, 1, &e), &e, "take");
    assert_true(p->taken);
    DO(secure);
    p->drv->finish(&c, p, &e); /* a warning at worst */
    snap_set(&d->path, p->active_path);
    snap_set(&d->format, p->active_format);
    reload(p);
}

/* As revert does: the domain runs or not, is stopped, and runs from the leaf
 * afterwards.  drop: its old active image goes. */
static void revert(struct fixture *f, struct disk *d, struct snap_part *p,
                   bool drop)
{
    struct snap_disk_ctx c;
    char *file;

    begin_op(f);
    context(f, &c);
    DO(verify);
    assert_non_null(p->leaf_path);
    DO(revert_prepare);
    /* A path that was kept is a link to a leaf of ours; the disk's first
     * image is the user's. */
    file = realpath(d->path, NULL);
    if (drop && p->drv->moves_active &&
        !snap_has_suffix(file ? file : d->path, f->v->file))
        snap_set(&p->drop_path, file ? file : d->path);
    free(file);
    stop(f);
    context(f, &c);
    DO(revert_switch);
    assert_true(p->switched);
    snap_set(&d->path, p->leaf_path);
    snap_set(&d->format, p->leaf_format);
    start(f);
    context(f, &c);
    DO(revert_finish);
    if (drop && p->drop_path)
        assert_false(ops_of(f)->exists(f->w, p->drop_path));
    reload(p);
}

static const char *tag_of(const struct fixture *f)
{
    return f->v->tag ? f->v->tag : "s1";
}

static const char *clone_format(const struct fixture *f)
{
    return f->v->clone_format ? f->v->clone_format : "qcow2";
}

/* ---- what is asked ---- */

/* Nobody asks whether a slot is there.  From the first one to the end there is
 * nothing else in the table, so that one which is added is walked over too. */
static void no_slot_is_missing(void **state)
{
    const struct fixture *f = *state;
    const struct snap_disk_driver *drv = snap_disk_by_name(f->v->drivers,
                                                           f->v->driver);
    size_t at, first = offsetof(struct snap_disk_driver, match);
    void (*slot)(void);

    assert_non_null(drv);
    assert_non_null(drv->doc);
    for (at = first; at < sizeof(*drv); at += sizeof(slot)) {
        memcpy(&slot, (const char *)drv + at, sizeof(slot));
        if (!slot)
            fail_msg("%s: slot %zu of model/disk_ops.h (match is 0) is NULL",
                     drv->name, (at - first) / sizeof(slot));
    }
}

static void probe_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct snap_part part, *p = &part;
    struct snap_disk_ctx c;
    char *before = ops_of(f)->digest(f->w), *after;

    context(f, &c);
    ask(f, &f->disk[0], tag_of(f), p);
    DO(probe);
    after = ops_of(f)->digest(f->w);
    assert_string_equal(before, after);
    assert_non_null(p->frozen_path);
    assert_non_null(p->frozen_format);
    assert_non_null(p->active_path);
    assert_non_null(p->active_format);
    assert_true(p->size > 0);
    assert_true(p->type == SNAP_DISK_INTERNAL ||
                p->type == SNAP_DISK_EXTERNAL);
    assert_int_equal(p->drv->moves_active && !p->keep_path,
                     strcmp(p->active_path, p->path) != 0);
    assert_non_null(p->drv->group_key(p));
    /* The guardian would let the guest go on before it is over. */
    assert_true(p->drv->group->deadline_ms > 0 &&
                p->drv->group->deadline_ms <= SNAP_TAKE_MAX_MS);
    assert_false(p->drv->moves_active && p->drv->inside);
    assert_int_equal(p->drv->check(p, NULL), 0);
    assert_int_equal(inspect(f, p), SNAP_PART_ABSENT);
    free(before);
    free(after);
    snap_part_dispose(p);
}

static void prepare_is_undone(void **state)
{
    struct fixture *f = *state;
    struct snap_part part, *p = &part;
    struct snap_disk_ctx c;
    char *before = ops_of(f)->digest(f->w), *after;
    enum snap_part_state st;
    int round;

    for (round = 0; round < 3; round++) {
        begin_op(f);
        context(f, &c);
        ask(f, &f->disk[0], tag_of(f), p);
        DO(probe);
        if (round == 2)
            DO(undo); /* nothing was prepared: nothing to do */
        DO(prepare);
        st = inspect(f, p);
        assert_true(st == SNAP_PART_PARTIAL || st == SNAP_PART_ABSENT);
        if (round)
            reload(p); /* in another process */
        DO(undo);
        assert_int_equal(inspect(f, p), SNAP_PART_ABSENT);
        after = ops_of(f)->digest(f->w);
        assert_string_equal(before, after);
        free(after);
        DO(undo);
        after = ops_of(f)->digest(f->w);
        assert_string_equal(before, after);
        free(after);
        snap_part_dispose(p);
    }
    free(before);
    assert_true(guest_has(f, &f->disk[0], &f->disk[0].now));
}

static void prepare_does_not_stop_the_guest(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part part, *p = &part;
    struct snap_disk_ctx c;
    struct content before;

    if (!f->v->live)
        return;
    context(f, &c);
    ask(f, d, tag_of(f), p);
    DO(probe);
    DO(prepare);
    guest_writes(f, d);
    before = d->now;
    DO(undo);
    assert_true(guest_has(f, d, &before));
    guest_writes(f, d);
    assert_true(guest_has(f, d, &d->now));
    snap_part_dispose(p);
}

static void taken_and_brought_back(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part p = { 0 };
    struct content then;
    int round;

    guest_writes(f, d);
    then = d->now;
    snapshot(f, d, tag_of(f), &p);
    assert_int_equal(inspect(f, &p), SNAP_PART_PRESENT);
    assert_true(guest_has(f, d, &then));
    for (round = 0; round < 3; round++) {
        guest_writes(f, d);
        guest_writes(f, d);
        assert_true(guest_has(f, d, &d->now));
        revert(f, d, &p, round > 0);
        d->now = then;
        assert_true(guest_has(f, d, &then));
    }
    snap_part_dispose(&p);
}

/* The snapshot stays what it was, whatever the guest does later. */
static void frozen_stays(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part p = { 0 };
    struct content then;
    int i;

    then = d->now;
    snapshot(f, d, tag_of(f), &p);
    for (i = 0; i < 4; i++)
        guest_writes(f, d);
    stop(f);
    if (!p.drv->inside)
        assert_true(
            ops_of(f)->image_has(f->w, p.frozen_path, p.frozen_format, &then));
    assert_true(guest_has(f, d, &d->now));
    snap_part_dispose(&p);
}

/* Whichever names are compared, it comes out whether it is one object. */
static void told_by_any_name(void **state)
{
    struct fixture *f = *state;
    const struct snap_disk_driver *const *all = f->v->drivers;
    struct snap_part p = { 0 };
    struct snap_object frozen, active;
    char *frozen_alias, *active_alias;
    bool one;

    snapshot(f, &f->disk[0], tag_of(f), &p);
    reload(&p);
    frozen = snap_part_frozen(&p);
    active = snap_part_active(&p);
    frozen_alias = ops_of(f)->alias(f->w, frozen);
    active_alias = ops_of(f)->alias(f->w, active);
    one = p.drv->inside;
    assert_true(snap_object_same(all, frozen, snap_object_file(frozen_alias)));
    assert_true(snap_object_same(all, active, snap_object_file(active_alias)));
    assert_int_equal(snap_object_same(all, frozen, active), one);
    assert_int_equal(snap_object_same(all, snap_object_file(frozen_alias),
                                      snap_object_file(active_alias)),
                     one);
    assert_int_equal(
        snap_object_same(all, snap_object_file(frozen_alias), active), one);
    assert_int_equal(
        snap_object_same(all, frozen, snap_object_file(active_alias)), one);
    free(frozen_alias);
    free(active_alias);
    snap_part_dispose(&p);
}

static void take_is_undone(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part part, *p = &part;
    struct snap_disk_ctx c;
    struct snap_err e = SNAP_ERR_INIT;
    char *before, *after;
    int round;

    guest_writes(f, d);
    before = ops_of(f)->digest(f->w);
    for (round = 0; round < 3; round++) {
        begin_op(f);
        context(f, &c);
        ask(f, d, tag_of(f), p);
        DO(probe);
        DO(prepare);
        ok(take(f, &p, 1, &e), &e, "take");
        assert_int_equal(inspect(f, p), SNAP_PART_PRESENT);
        if (round)
            reload(p);
        DO(undo);
        assert_int_equal(inspect(f, p), SNAP_PART_ABSENT);
        assert_true(guest_has(f, d, &d->now));
        DO(undo);
        if (!p->drv->inside && !f->v->live) {
            after = ops_of(f)->digest(f->w);
            assert_string_equal(before, after);
            free(after);
        }
        snap_part_dispose(p);
    }
    guest_writes(f, d);
    assert_true(guest_has(f, d, &d->now));
    stop(f);
    assert_true(guest_has(f, d, &d->now));
    free(before);
}

/* Died after the disks were taken; the guest went on; recover undoes. */
static void undo_keeps_what_the_guest_wrote(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part part, *p = &part;
    struct snap_disk_ctx c;
    struct snap_err e = SNAP_ERR_INIT;
    char *old_path = snap_strdup(d->path), *old_format;

    if (!f->v->live)
        goto done;
    old_format = snap_strdup(d->format);
    context(f, &c);
    ask(f, d, tag_of(f), p);
    DO(probe);
    DO(prepare);
    ok(take(f, &p, 1, &e), &e, "take");
    reload(p);
    guest_writes(f, d);
    guest_writes(f, d);
    assert_int_equal(inspect(f, p), SNAP_PART_PRESENT);
    DO(undo);
    assert_true(guest_has(f, d, &d->now));
    stop(f);
    snap_set(&d->path, old_path);
    snap_set(&d->format, old_format);
    assert_true(guest_has(f, d, &d->now));
    snap_part_dispose(p);
    free(old_format);
done:
    free(old_path);
}

/* The same, and the host went down before recover ran. */
static void recovery_with_the_domain_gone(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part part, *p = &part;
    struct snap_disk_ctx c;
    struct snap_err e = SNAP_ERR_INIT;
    struct content then;

    if (!f->v->live)
        return;
    then = d->now;
    context(f, &c);
    ask(f, d, tag_of(f), p);
    DO(probe);
    DO(prepare);
    ok(take(f, &p, 1, &e), &e, "take");
    reload(p);
    guest_writes(f, d);
    stop(f);
    assert_int_equal(inspect(f, p), SNAP_PART_PRESENT);
    context(f, &c);
    /* Rolled forward: the snapshot is good and nothing was lost. */
    DO(secure);
    p->drv->finish(&c, p, &e);
    snap_set(&d->path, p->active_path);
    snap_set(&d->format, p->active_format);
    assert_true(guest_has(f, d, &d->now));
    revert(f, d, p, false);
    assert_true(guest_has(f, d, &then));
    snap_part_dispose(p);
}

/* The file that this part will make, or NULL: what it makes is inside one. */
static const char *file_to_come(const struct snap_part *p)
{
    if (p->keep_path)
        return snap_json_get_str(p->data, "file");
    if (p->drv->moves_active)
        return p->active_path;
    return snap_streq(p->frozen_path, p->path) ? NULL : p->frozen_path;
}

static void foreign_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct snap_part part, *p = &part;
    struct snap_disk_ctx c;
    char *before, *after;
    int rc;

    context(f, &c);
    ask(f, &f->disk[0], tag_of(f), p);
    DO(probe);
    if (!file_to_come(p)) {
        snap_part_dispose(p);
        return;
    }
    /* Somebody makes a file of that name before we can. */
    ops_of(f)->foreign(f->w, file_to_come(p));
    before = ops_of(f)->digest(f->w);
    rc = p->drv->prepare(&c, p, NULL);
    if (!rc && !p->drv->moves_active)
        rc = take(f, &p, 1, NULL);
    assert_int_equal(rc, SNAP_EXISTS);
    assert_int_equal(inspect(f, p), SNAP_PART_FOREIGN);
    DO(undo);
    reload(p);
    DO(undo);
    if (!p->drv->moves_active)
        DO(remove);
    after = ops_of(f)->digest(f->w);
    assert_string_equal(before, after);
    free(before);
    free(after);
    snap_part_dispose(p);

    ask(f, &f->disk[0], tag_of(f), p);
    assert_int_equal(p->drv->probe(&c, p, NULL), SNAP_EXISTS);
    snap_part_dispose(p);
}

static void same_name_twice_is_refused(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part one = { 0 }, two, *p = &two;
    struct snap_disk_ctx c;
    struct snap_err e = SNAP_ERR_INIT;

    snapshot(f, d, tag_of(f), &one);
    begin_op(f);
    context(f, &c);
    ask(f, d, tag_of(f), p);
    assert_int_equal(p->drv->probe(&c, p, &e), SNAP_EXISTS);
    assert_true(strlen(e.msg) > 10);
    snap_part_dispose(p);
    snap_part_dispose(&one);
}

static void verify_refuses(struct fixture *f, struct snap_part *p)
{
    struct snap_disk_ctx c;
    struct snap_err e = SNAP_ERR_INIT;

    begin_op(f);
    context(f, &c);
    assert_int_not_equal(p->drv->verify(&c, p, &e), 0);
    assert_int_equal(e.rc, p->drv->verify(&c, p, NULL));
    assert_true(strlen(e.msg) > 10);
}

static void verify_sees(void **state,
                        void (*harm)(struct fixture *f, struct snap_part *p))
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part part = { 0 }, *p = &part;
    struct snap_disk_ctx c;

    snapshot(f, d, tag_of(f), p);
    begin_op(f);
    context(f, &c);
    DO(verify);
    stop(f);
    context(f, &c);
    DO(verify);
    harm(f, p);
    verify_refuses(f, p);
    snap_part_dispose(p);
}

static void harm_remove(struct fixture *f, struct snap_part *p)
{
    ops_of(f)->remove(f->w, p->frozen_path);
}

static void harm_damage(struct fixture *f, struct snap_part *p)
{
    ops_of(f)->damage(f->w, p->frozen_path);
}

static void harm_resize(struct fixture *f, struct snap_part *p)
{
    ops_of(f)->resize(f->w, p->frozen_path, p->frozen_format);
}

static void harm_foreign(struct fixture *f, struct snap_part *p)
{
    ops_of(f)->remove(f->w, p->frozen_path);
    ops_of(f)->foreign(f->w, p->frozen_path);
}

static void verify_sees_missing(void **state)
{
    verify_sees(state, harm_remove);
}

static void verify_sees_damaged(void **state)
{
    verify_sees(state, harm_damage);
}

/* It is seen, or it does no harm. */
static void verify_sees_resized(void **state)
{
    struct fixture *f = *state;
    struct snap_part part = { 0 };

    if (!f->v->gives_size) {
        verify_sees(state, harm_resize);
        return;
    }
    snapshot(f, &f->disk[0], tag_of(f), &part);
    guest_writes(f, &f->disk[0]);
    stop(f);
    harm_resize(f, &part);
    revert(f, &f->disk[0], &part, true);
    snap_part_dispose(&part);
}

static void verify_sees_foreign(void **state)
{
    verify_sees(state, harm_foreign);
}

/* Is an image changed in place? */
static bool in_place(struct fixture *f, const struct snap_part *p, bool back)
{
    struct snap_disk_ctx c;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_held_images l = { 0 };
    bool changes = false;
    size_t i;

    context(f, &c);
    ok(p->drv->in_place(&c, p, back, &l, &e), &e, "in_place");
    for (i = 0; i < l.n; i++)
        changes |= l.image[i].changes;
    snap_held_images_dispose(&l);
    return changes;
}

static void revert_is_undone(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part part = { 0 }, *p = &part;
    struct snap_disk_ctx c;
    char *before, *after, *leaf;
    bool same;
    int round;

    snapshot(f, d, tag_of(f), p);
    guest_writes(f, d);
    stop(f);
    before = ops_of(f)->digest(f->w);
    for (round = 0; round < 4; round++) {
        begin_op(f);
        context(f, &c);
        DO(verify);
        if (round == 3)
            DO(revert_undo); /* nothing to do yet */
        DO(revert_prepare);
        /* What the domain had means something else afterwards. */
        same = !strcmp(p->leaf_path, d->path);
        assert_int_equal(in_place(f, p, false), same);
        assert_false(in_place(f, p, true));
        if (round)
            DO(revert_switch);
        assert_int_equal(in_place(f, p, true), same && round);
        if (round > 1) {
            leaf = snap_strdup(p->leaf_path);
            reload(p);
            if (round == 2)
                p->leaf_path = snap_strdup(leaf);
            free(leaf);
        }
        DO(revert_undo);
        DO(revert_undo);
        assert_false(in_place(f, p, true));
        if (!p->drv->inside || !round) {
            after = ops_of(f)->digest(f->w);
            assert_string_equal(before, after);
            free(after);
        }
        assert_true(guest_has(f, d, &d->now));
        free(before);
        before = ops_of(f)->digest(f->w);
    }
    free(before);
    revert(f, d, p, true);
    snap_part_dispose(p);
}

static void in_use_is_never_switched(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part part = { 0 }, *p = &part;
    struct snap_disk_ctx c;
    struct snap_err e = SNAP_ERR_INIT;

    snapshot(f, d, tag_of(f), p);
    if (p->drv->moves_active)
        goto out;
    if (!f->running)
        start(f);
    guest_writes(f, d);
    begin_op(f);
    context(f, &c);
    c.qmp = NULL;
    c.domid = UINT32_MAX;
    DO(verify);
    DO(revert_prepare);
    assert_int_equal(p->drv->revert_switch(&c, p, &e), SNAP_BUSY);
    DO(revert_undo);
    assert_true(guest_has(f, d, &d->now));
out:
    snap_part_dispose(p);
}

/* ---- clones ---- */

static enum snap_stand stand(struct fixture *f, const struct snap_part *p,
                             const char *path)
{
    struct snap_disk_ctx c;
    struct snap_err e = SNAP_ERR_INIT;
    enum snap_stand how = SNAP_STAND_GONE;

    context(f, &c);
    ok(p->drv->stands_on(&c, p, snap_object_file(path), &how, &e), &e,
       "stands_on");
    return how;
}

/* As snapshot-clone does: the domain, which runs or not, is not asked. */
static void clone(struct fixture *f, struct snap_part *p)
{
    struct snap_disk_ctx c;

    begin_op(f);
    context(f, &c);
    snap_set(&p->leaf_path, NULL);
    snap_set(&p->leaf_dir, ops_of(f)->dir(f->w));
    snap_set(&p->stem, "web-xvda");
    DO(verify);
    assert_non_null(p->leaf_path);
    assert_string_equal(p->leaf_format, clone_format(f));
    assert_string_not_equal(p->leaf_path, p->path);
    assert_string_not_equal(p->leaf_path, p->frozen_path);
    assert_true(snap_has_prefix(p->leaf_path, p->leaf_dir));
    assert_false(ops_of(f)->exists(f->w, p->leaf_path));
    c.qmp = NULL;
    c.domid = UINT32_MAX;
    DO(revert_prepare);
    DO(revert_switch);
}

static void cloned_beside(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part part = { 0 }, *p = &part;
    struct snap_disk_ctx c;
    struct content at;
    char *before = NULL, *after, *leaf, *gone;

    snapshot(f, d, tag_of(f), p);
    at = d->now;
    guest_writes(f, d);
    if (!f->running)
        before = ops_of(f)->digest(f->w);
    clone(f, p);
    leaf = snap_strdup(p->leaf_path);
    assert_true(ops_of(f)->image_has(f->w, leaf, clone_format(f), &at));
    assert_true(guest_has(f, d, &d->now));
    /* What it made is undone, by whoever finds it in a journal. */
    reload(p);
    p->leaf_path = snap_strdup(leaf);
    context(f, &c);
    c.qmp = NULL;
    c.domid = UINT32_MAX;
    c.only_look = true;
    DO(revert_undo);
    assert_true(ops_of(f)->exists(f->w, leaf));
    c.only_look = false;
    DO(revert_undo);
    DO(revert_undo);
    assert_false(ops_of(f)->exists(f->w, leaf));
    assert_int_equal(stand(f, p, leaf), SNAP_STAND_GONE);
    gone = snap_printf("%s/nothing", ops_of(f)->dir(f->w));
    assert_int_equal(stand(f, p, gone), SNAP_STAND_GONE);
    assert_true(guest_has(f, d, &d->now));
    if (before) {
        after = ops_of(f)->digest(f->w);
        assert_string_equal(before, after);
        free(after);
    }
    free(gone);
    free(leaf);
    free(before);
    revert(f, d, p, true);
    snap_part_dispose(p);
}

/* Somebody has written to the leaf of this operation: it is his. */
static void not_undone(struct fixture *f, struct snap_part *p,
                       const char *leaf, const struct content *has)
{
    struct snap_disk_ctx c;
    struct snap_err e = SNAP_ERR_INIT;

    reload(p);
    p->leaf_path = snap_strdup(leaf);
    context(f, &c);
    c.only_look = true;
    assert_int_equal(p->drv->revert_undo(&c, p, &e), SNAP_RECOVER);
    c.only_look = false;
    DO(revert_undo);
    assert_true(ops_of(f)->image_has(f->w, leaf, clone_format(f), has));
}

/* Two clones and the guest write, each for itself; and the snapshot stays. */
static void clones_stand_apart(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part part = { 0 }, *p = &part;
    struct content at, one, mine;
    bool reads;
    char *leaf[2];
    int i;

    snapshot(f, d, tag_of(f), p);
    reads = p->drv->read_through;
    at = one = d->now;
    guest_writes(f, d);
    for (i = 0; i < 2; i++) {
        clone(f, p);
        leaf[i] = snap_strdup(p->leaf_path);
        if (!f->running)
            continue;
        /* The copy was made while the guest had the image open; it goes on. */
        guest_writes(f, d);
    }
    if (!f->running)
        start(f);
    ops_of(f)->add(f->w, "xvdy", leaf[1], clone_format(f));
    ops_of(f)->write(f->w, "xvdy", &one);
    guest_writes(f, d);
    mine = d->now;
    assert_true(ops_of(f)->has(f->w, "xvdy", &one));
    assert_true(guest_has(f, d, &mine));
    assert_true(ops_of(f)->image_has(f->w, leaf[0], clone_format(f), &at));
    for (i = 0; i < 2; i++)
        assert_int_equal(stand(f, p, leaf[i]),
                         reads ? SNAP_STAND_ON : SNAP_STAND_ALONE);
    assert_int_equal(stand(f, p, d->path),
                     reads ? SNAP_STAND_ON : SNAP_STAND_ALONE);
    assert_int_equal(stand(f, p, p->frozen_path), SNAP_STAND_ALONE);
    stop(f);
    assert_true(ops_of(f)->image_has(f->w, leaf[0], clone_format(f), &at));
    assert_true(ops_of(f)->image_has(f->w, leaf[1], clone_format(f), &one));
    not_undone(f, p, leaf[1], &one);
    for (i = 0; i < 2; i++) {
        ops_of(f)->remove(f->w, leaf[i]);
        free(leaf[i]);
    }
    reload(p);
    revert(f, d, p, false);
    assert_true(guest_has(f, d, &at));
    snap_part_dispose(p);
}

static void many_snapshots(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part p[4];
    struct content then[4];
    static const int order[] = { 0, 3, 1, 2, 0 };
    char tag[16];
    int i;

    memset(p, 0, sizeof(p));
    for (i = 0; i < 4; i++) {
        guest_writes(f, d);
        then[i] = d->now;
        snprintf(tag, sizeof(tag), "%d", i + 1);
        snapshot(f, d, tag, &p[i]);
        guest_writes(f, d);
        assert_true(guest_has(f, d, &d->now));
    }
    for (i = 0; i < 5; i++) {
        /* The first leaf that goes is one that a snapshot needs no more. */
        revert(f, d, &p[order[i]], i > 0);
        d->now = then[order[i]];
        assert_true(guest_has(f, d, &d->now));
        guest_writes(f, d);
        assert_true(guest_has(f, d, &d->now));
    }
    for (i = 0; i < 4; i++)
        snap_part_dispose(&p[i]);
}

static void removed_for_good(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part part = { 0 }, *p = &part;
    struct snap_disk_ctx c;

    snapshot(f, d, tag_of(f), p);
    guest_writes(f, d);
    begin_op(f);
    context(f, &c);
    if (p->drv->read_through) {
        /* The active image still needs it: refused, or harmless. */
        stop(f);
        context(f, &c);
        if (!p->drv->remove(&c, p, NULL))
            fail_msg("removed a base that is needed");
        assert_true(guest_has(f, d, &d->now));
    } else {
        DO(remove);
        DO(remove);
        assert_int_equal(inspect(f, p), SNAP_PART_ABSENT);
        assert_true(guest_has(f, d, &d->now));
    }
    snap_part_dispose(p);
}

/* ---- giving it up ---- */

#define OTHERS 4

static bool same(const char *a, const char *b)
{
    char *ra = realpath(a, NULL), *rb = realpath(b, NULL);
    bool yes = !strcmp(ra ? ra : a, rb ? rb : b);

    free(ra);
    free(rb);
    return yes;
}

static void know(struct snap_delete *del, const char *path, const char *format,
                 bool frozen)
{
    struct snap_known *k = &del->known[del->n_known++];

    k->path = snap_strdup(path);
    k->format = snap_strdup(format);
    k->frozen = frozen;
}

/* What op/ asks, besides the plan's own. */
static void ask_delete(struct fixture *f, const struct disk *d,
                       const struct snap_part *p,
                       struct snap_part *const *others, bool may_merge,
                       struct snap_delete *del)
{
    size_t i;

    memset(del, 0, sizeof(*del));
    del->known = snap_zalloc((2 * OTHERS + 1) * sizeof(*del->known));
    know(del, d->path, d->format, false);
    del->leaf = snap_strdup(d->path);
    del->may_merge = may_merge && !snap_has_suffix(d->path, f->v->file);
    for (i = 0; others && others[i]; i++) {
        const struct snap_part *o = others[i];

        know(del, o->frozen_path, o->frozen_format, !o->drv->inside);
        know(del, o->active_path, o->active_format, false);
        if (same(o->frozen_path, d->path))
            del->may_merge = false;
        if (!same(o->frozen_path, p->frozen_path))
            continue;
        if (!o->drv->inside)
            del->others_freeze = true;
        else
            del->others_inside = true;
    }
}

static void refreeze(struct fixture *f, struct snap_part *const *others)
{
    struct snap_disk_ctx c;
    size_t i;

    context(f, &c);
    for (i = 0; others && others[i]; i++) {
        struct snap_part *p = others[i];

        DO(refreeze);
        reload(p);
    }
}

/* As QEMU says, and nothing is changed by the question. */
static void has_switched(struct fixture *f, struct snap_disk_ctx *c,
                         const struct snap_part *p,
                         const struct snap_delete *del, bool want)
{
    struct snap_err e = SNAP_ERR_INIT;
    bool yes = !want;
    int i;

    for (i = 0; f->running && i < 2; i++) {
        ok(p->drv->merge_switched(c, p, del, &yes, &e), &e, "merge_switched");
        assert_int_equal(yes, want);
    }
}

/* As delete does, all the way. */
static void delete_snapshot(struct fixture *f, struct disk *d,
                            struct snap_part *p,
                            struct snap_part *const *others, bool may_merge)
{
    struct snap_disk_ctx c;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_delete del;
    size_t i;
    char *before, *after;

    begin_op(f);
    context(f, &c);
    reload(p);
    ask_delete(f, d, p, others, may_merge, &del);
    before = ops_of(f)->digest(f->w);
    ok(p->drv->delete_plan(&c, p, &del, &e), &e, "delete_plan");
    after = ops_of(f)->digest(f->w);
    assert_string_equal(before, after);
    free(before);
    free(after);
    if (del.how == SNAP_DELETE_PULL) {
        for (i = 0; i < del.n_child; i++)
            ok(p->drv->pull(&c, p, &del, i, &e), &e, "pull");
        for (i = 0; i < del.n_child; i++) /* again: nothing to do */
            ok(p->drv->pull(&c, p, &del, i, &e), &e, "pull");
        refreeze(f, others);
    }
    if (del.how == SNAP_DELETE_MERGE) {
        assert_true(del.may_merge);
        ok(p->drv->merge(&c, p, &del, &e), &e, "merge");
        has_switched(f, &c, p, &del, false);
        ok(p->drv->merge_switch(&c, p, &del, &e), &e, "merge_switch");
        has_switched(f, &c, p, &del, true);
        ok(p->drv->merge_switch(&c, p, &del, &e), &e, "merge_switch");
        snap_set(&d->path, del.active_path);
        snap_set(&d->format, del.active_format);
        ok(p->drv->merge_finish(&c, p, &del, &e), &e, "merge_finish");
        ok(p->drv->merge_finish(&c, p, &del, &e), &e, "merge_finish");
        assert_false(ops_of(f)->exists(f->w, del.gone));
    }
    p->keep_image = del.keep_image;
    DO(remove);
    DO(remove);
    if (!p->drv->inside)
        assert_int_equal(ops_of(f)->exists(f->w, p->frozen_path),
                         del.keep_image);
    else
        refreeze(f, others);
    snap_delete_dispose(&del);
}

static void only_one_is_deleted(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part p = { 0 };
    int round;

    for (round = 0; round < 3; round++) {
        static const char *const tags[] = { "s1", "s2", "s3" };

        guest_writes(f, d);
        snapshot(f, d, tags[round], &p);
        if (round == 1 && f->running) {
            /* A domain that was started on the new image. */
            stop(f);
            start(f);
        }
        guest_writes(f, d);
        delete_snapshot(f, d, &p, NULL, round < 2);
        assert_true(guest_has(f, d, &d->now));
        guest_writes(f, d);
        assert_true(guest_has(f, d, &d->now));
        stop(f);
        assert_true(guest_has(f, d, &d->now));
        if (f->v->live)
            start(f);
        snap_part_dispose(&p);
        memset(&p, 0, sizeof(p));
    }
}

/* One of several: what was before and after it is not touched. */
static void one_of_many_is_deleted(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part p[3], *others[] = { &p[0], &p[2], NULL };
    struct content then[3];
    char tag[16];
    int i;

    memset(p, 0, sizeof(p));
    for (i = 0; i < 3; i++) {
        guest_writes(f, d);
        then[i] = d->now;
        snprintf(tag, sizeof(tag), "t%d", i + 1);
        snapshot(f, d, tag, &p[i]);
    }
    guest_writes(f, d);
    delete_snapshot(f, d, &p[1], others, true);
    assert_true(guest_has(f, d, &d->now));
    guest_writes(f, d);
    assert_true(guest_has(f, d, &d->now));
    for (i = 2; i >= 0; i -= 2) {
        revert(f, d, &p[i], true);
        d->now = then[i];
        assert_true(guest_has(f, d, &d->now));
        guest_writes(f, d);
    }
    /* And the oldest, on which the domain is by now. */
    others[0] = &p[2];
    others[1] = NULL;
    delete_snapshot(f, d, &p[0], others, true);
    assert_true(guest_has(f, d, &d->now));
    revert(f, d, &p[2], true);
    d->now = then[2];
    assert_true(guest_has(f, d, &d->now));
    for (i = 0; i < 3; i++)
        snap_part_dispose(&p[i]);
}

static int stop_now(void *opaque, uint64_t done, uint64_t total)
{
    (void)opaque;
    (void)done;
    (void)total;
    return 1;
}

/* Nothing is lost by being stopped, and the next one does it. */
static void deleting_is_stopped(void **state)
{
    struct fixture *f = *state;
    struct disk *d = &f->disk[0];
    struct snap_part p[2], *others[] = { &p[1], NULL }, *q = &p[0];
    struct content then[2];
    struct snap_disk_ctx c;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_delete del = { 0 };
    size_t i;
    int rc = 0;

    memset(p, 0, sizeof(p));
    for (i = 0; i < 2; i++) {
        guest_writes(f, d);
        then[i] = d->now;
        snapshot(f, d, i ? "t2" : "t1", &p[i]);
    }
    guest_writes(f, d);
    begin_op(f);
    context(f, &c);
    ask_delete(f, d, q, others, true, &del);
    ok(q->drv->delete_plan(&c, q, &del, &e), &e, "delete_plan");
    if (del.how == SNAP_DELETE_PULL) {
        c.tick = stop_now;
        for (i = 0; !rc && i < del.n_child; i++)
            rc = q->drv->pull(&c, q, &del, i, &e);
        assert_true(!rc || rc == SNAP_INTR);
        context(f, &c);
        snap_err_clear(&e);
        ok(q->drv->delete_stop(&c, q, &del, &e), &e, "delete_stop");
        ok(q->drv->delete_stop(&c, q, &del, &e), &e, "delete_stop");
        refreeze(f, others);
    }
    snap_delete_dispose(&del);
    assert_true(guest_has(f, d, &d->now));
    for (i = 0; i < 2; i++) {
        revert(f, d, &p[i], true);
        d->now = then[i];
        assert_true(guest_has(f, d, &d->now));
    }
    delete_snapshot(f, d, q, others, true);
    assert_true(guest_has(f, d, &d->now));
    for (i = 0; i < 2; i++)
        snap_part_dispose(&p[i]);
}

/* Two disks in one group: both, or none. */
static void group(void **state, bool second_fails)
{
    struct fixture *f = *state;
    struct snap_part part[2], *parts[2] = { &part[0], &part[1] }, *p;
    struct snap_disk_ctx c;
    struct snap_err e = SNAP_ERR_INIT;
    struct content then[2];
    unsigned i;
    char *file;

    stop(f);
    file = snap_printf("b-%s", f->v->file);
    add_disk(f, file, f->v->format);
    free(file);
    if (f->v->live)
        start(f);
    context(f, &c);
    for (i = 0; i < 2; i++) {
        p = parts[i];
        ask(f, &f->disk[i], tag_of(f), p);
        snap_set(&p->stem, i ? "second" : "first");
        DO(probe);
    }
    assert_string_equal(part[0].drv->group_key(&part[0]),
                        part[1].drv->group_key(&part[1]));
    for (i = 0; i < 2; i++) {
        p = parts[i];
        DO(prepare);
        then[i] = f->disk[i].now;
    }
    if (second_fails) {
        /* What take() needs is gone, or its name is taken, by then. */
        if (part[1].drv->moves_active) {
            ops_of(f)->remove(
                f->w, f->v->keep_path ? snap_json_get_str(part[1].data, "file")
                                      : part[1].active_path);
        } else {
            struct snap_part q = { 0 };

            snapshot(f, &f->disk[1], tag_of(f), &q);
            snap_part_dispose(&q);
        }
        assert_int_not_equal(take(f, parts, 2, &e), 0);
        assert_int_not_equal(e.rc, SNAP_RECOVER);
        assert_int_not_equal(inspect(f, parts[0]), SNAP_PART_PRESENT);
        for (i = 0; i < 2; i++) {
            if (parts[i]->drv->moves_active || !i) {
                p = parts[i];
                DO(undo);
            }
            guest_writes(f, &f->disk[i]);
            assert_true(guest_has(f, &f->disk[i], &f->disk[i].now));
        }
    } else {
        ok(take(f, parts, 2, &e), &e, "take");
        for (i = 0; i < 2; i++) {
            p = parts[i];
            snap_set(&f->disk[i].path, p->active_path);
            snap_set(&f->disk[i].format, p->active_format);
            assert_int_equal(inspect(f, p), SNAP_PART_PRESENT);
        }
        for (i = 0; i < 2; i++)
            guest_writes(f, &f->disk[i]);
        for (i = 0; i < 2; i++) {
            reload(parts[i]);
            assert_true(guest_has(f, &f->disk[i], &f->disk[i].now));
        }
        for (i = 0; i < 2; i++) {
            revert(f, &f->disk[i], parts[i], true);
            f->disk[i].now = then[i];
        }
        for (i = 0; i < 2; i++)
            assert_true(guest_has(f, &f->disk[i], &then[i]));
    }
    for (i = 0; i < 2; i++)
        snap_part_dispose(parts[i]);
}

static void group_is_taken(void **state)
{
    group(state, false);
}

static void group_is_all_or_none(void **state)
{
    group(state, true);
}

/* ---- running it ---- */

static const struct {
    const char *name;
    CMUnitTestFunction fn;
    bool damage;
} tests[] = {
    { "no slot is missing", no_slot_is_missing, false },
    { "probe changes nothing", probe_changes_nothing, false },
    { "prepare is undone", prepare_is_undone, false },
    { "prepare does not stop the guest", prepare_does_not_stop_the_guest,
      false },
    { "taken and brought back", taken_and_brought_back, false },
    { "frozen stays", frozen_stays, false },
    { "told by any name", told_by_any_name, false },
    { "take is undone", take_is_undone, false },
    { "undo keeps what the guest wrote", undo_keeps_what_the_guest_wrote,
      false },
    { "recovery with the domain gone", recovery_with_the_domain_gone, false },
    { "foreign is left alone", foreign_is_left_alone, false },
    { "same name twice is refused", same_name_twice_is_refused, false },
    { "verify sees missing", verify_sees_missing, false },
    { "verify sees damaged", verify_sees_damaged, true },
    { "verify sees resized", verify_sees_resized, false },
    { "verify sees foreign", verify_sees_foreign, false },
    { "revert is undone", revert_is_undone, false },
    { "in use is never switched", in_use_is_never_switched, false },
    { "cloned beside", cloned_beside, false },
    { "clones stand apart", clones_stand_apart, false },
    { "many snapshots", many_snapshots, false },
    { "removed for good", removed_for_good, false },
    { "the only one is deleted", only_one_is_deleted, false },
    { "one of many is deleted", one_of_many_is_deleted, false },
    { "deleting is stopped", deleting_is_stopped, false },
    { "a group is taken", group_is_taken, false },
    { "a group is all or none", group_is_all_or_none, false },
};

#define TESTS (sizeof(tests) / sizeof(tests[0]))

int conformance_run(const char *name, const struct variant *v, size_t n)
{
    struct CMUnitTest *list = snap_realloc(NULL, n * TESTS, sizeof(*list));
    char **names = snap_realloc(NULL, n * TESTS, sizeof(*names));
    const char *only = getenv("ONLY");
    size_t i, k, m = 0, m_names = 0;
    int failed;

    for (i = 0; i < n; i++)
        for (k = 0; k < TESTS; k++) {
            if (tests[k].damage && v[i].no_damage)
                continue;
            names[m_names] = snap_printf("%s: %s", v[i].name, tests[k].name);
            if (only && !strstr(names[m_names], only)) {
                free(names[m_names]);
                continue;
            }
            list[m] = (struct CMUnitTest){
                .name = names[m_names++],
                .test_func = tests[k].fn,
                .setup_func = set_up,
                .teardown_func = tear_down,
                .initial_state = (void *)&v[i],
            };
            m++;
        }
    failed = _cmocka_run_group_tests(name, list, m, NULL, NULL);
    while (m_names)
        free(names[--m_names]);
    free(names);
    free(list);
    return failed;
}

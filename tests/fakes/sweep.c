/* SPDX-License-Identifier: LGPL-2.1-only */
/* See sweep.h. */
#include "fakes/sweep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mem.h"

/* For messages: where we are. */
static const char *the_kind;
static char hit_at[480]; /* what was hit, and what in the recovery */
static char said[SNAP_ERR_MAX]; /* by the operation */

void sweep_tell(const char *fmt, ...)
{
    char why[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    print_error("ERROR: %s, %s: %s\n", the_kind, hit_at, why);
    if (said[0])
        print_error("       it had said: %s\n", said);
}

bool sweep_hit_names(const char *what)
{
    return strstr(hit_at, what) != NULL;
}

void sweep_must(struct fake_host *h, fake_op *op, void *arg, const char *what)
{
    struct fake_outcome out;

    fake_host_run(h, op, arg, DOOM_NONE, 0, 0, &out);
    if (out.rc)
        sweep_fail("%s: %s", what, out.msg);
}

void sweep_recovered(struct fake_host *h, fake_op *recover)
{
    struct fake_outcome out;

    fake_host_run(h, recover, NULL, DOOM_NONE, 0, 0, &out);
    if (out.rc || out.did)
        sweep_fail("a second recover: %s",
                   out.rc ? out.msg : "there was something to do");
}

/* ---- one scene ---- */

static const char *name_of(const void *kind)
{
    return *(const char *const *)kind;
}

static void *begin(const struct sweep *w, const void *kind)
{
    void *scene = snap_zalloc(w->scene_size);

    the_kind = name_of(kind);
    snprintf(hit_at, sizeof(hit_at), "at the beginning");
    said[0] = '\0';
    w->begin(scene, kind);
    return scene;
}

static void end(const struct sweep *w, void *scene)
{
    w->end(scene);
    free(scene);
}

/* The operation, hit at call n; false: it has no such call. */
static bool run(const struct sweep *w, void *scene, const char *how,
                enum fake_doom doom, unsigned n, int errnum,
                struct fake_outcome *out)
{
    bool hit = w->run(scene, doom, n, errnum, out);

    if (hit)
        snprintf(hit_at, sizeof(hit_at), "%s at call %u, %s", how, n,
                 out->doomed);
    else
        snprintf(hit_at, sizeof(hit_at), "%s at no call", how);
    snprintf(said, sizeof(said), "%s", out->msg);
    if (out->rc && !out->msg[0])
        sweep_fail("failed and said nothing");
    if (!hit && (out->rc || out->msg[0]))
        sweep_fail("unharmed, and it failed or complained");
    return hit;
}

/* CRASH_KIND names a kind of one sweep, and a program may have several. */
static bool kind_asked, kind_found;

static void check_kind_found(void)
{
    if (kind_asked && !kind_found) {
        print_error("CRASH_KIND=%s: no kind is called so\n",
                    getenv("CRASH_KIND"));
        _exit(1);
    }
}

/* The next kind that is wanted, the first one after NULL. */
static const void *next_kind(const struct sweep *w, const void *kind)
{
    const char *only = getenv("CRASH_KIND");
    const char *k = kind ? (const char *)kind + w->kind_size : w->kinds;
    const char *last = (const char *)w->kinds + w->n_kinds * w->kind_size;

    while (only && k < last && !snap_has_prefix(name_of(k), only))
        k += w->kind_size;
    if (only && !kind_asked)
        atexit(check_kind_found);
    kind_asked |= only != NULL;
    kind_found |= k < last;
    return k < last ? k : NULL;
}

/* ---- the loops ---- */

/* On a machine where a process costs much tests/run takes every third call, or
 * so; beginning at another one for each kind. */
static unsigned pace(void)
{
    const char *text = getenv("CRASH_PACE");
    unsigned long n = text ? strtoul(text, NULL, 10) : 1;

    return getenv("CRASH_ALL") || n < 1 || n > 9 ? 1 : n;
}

static unsigned first(const struct sweep *w, const void *kind)
{
    size_t at = (const char *)kind - (const char *)w->kinds;

    return 1 + at / w->kind_size % pace();
}

void sweep_success(void **state)
{
    const struct sweep *w = *state;
    const void *kind;

    for (kind = next_kind(w, NULL); kind; kind = next_kind(w, kind)) {
        struct fake_outcome out;
        void *scene = begin(w, kind);

        run(w, scene, "hit", DOOM_NONE, 0, 0, &out);
        w->check(scene, SWEEP_DONE);
        end(w, scene);
    }
}

static unsigned errors_of(const struct sweep *w, const void *kind, int errnum)
{
    unsigned n, total = 0;
    bool hit = true;

    for (n = first(w, kind); hit; n += pace()) {
        struct fake_outcome out;
        void *scene = begin(w, kind);

        hit = run(w, scene, strerror(errnum), DOOM_ERRNO, n, errnum, &out);
        if (hit || w->whole_too) {
            if (w->failed)
                w->failed(scene);
            if (out.rc == SNAP_RECOVER)
                sweep_must(scene, w->recover, NULL, "recover");
            w->check(scene, !out.rc                  ? SWEEP_DONE
                            : out.rc != SNAP_RECOVER ? SWEEP_UNDONE
                                                     : SWEEP_ANY);
            total++;
        }
        end(w, scene);
    }
    return total;
}

void sweep_errors(void **state)
{
    const struct sweep *w = *state;
    const void *kind;
    unsigned total = 0;
    size_t e;

    for (kind = next_kind(w, NULL); kind; kind = next_kind(w, kind))
        for (e = 0; e < SWEEP_ERRNOS && w->errnos[e]; e++)
            total += errors_of(w, kind, w->errnos[e]);
    print_message("%u errors injected\n", total);
}

/* The recovery ends at its call j; false: it has no such call. */
static bool die_again(const struct sweep *w, void *scene, unsigned j)
{
    struct fake_outcome out;
    size_t len = strlen(hit_at);
    bool hit;

    hit = fake_host_run(scene, w->recover, NULL, DOOM_DEATH, j, 0, &out);
    if (hit)
        snprintf(hit_at + len, sizeof(hit_at) - len,
                 ", recovery dead at call %u, %s", j, out.doomed);
    return hit;
}

static unsigned step(const struct sweep *w, unsigned n, unsigned j)
{
    if (getenv("CRASH_ALL"))
        return 1;
    return j ? w->stride * pace() : 1 + n % (w->stride * pace());
}

void sweep_deaths(void **state)
{
    const struct sweep *w = *state;
    const void *kind;
    unsigned n, j, deaths = 0, twice = 0;

    for (kind = next_kind(w, NULL); kind; kind = next_kind(w, kind)) {
        bool hit = true, again = true;

        for (n = first(w, kind); hit; n += pace())
            for (j = 0, again = true; hit && again; j += step(w, n, j)) {
                struct fake_outcome out;
                void *scene = begin(w, kind);

                hit = run(w, scene, "dead", DOOM_DEATH, n, 0, &out);
                if (hit) {
                    if (w->dead)
                        w->dead(scene);
                    again = !j || die_again(w, scene, j);
                    sweep_must(scene, w->recover, NULL, "recover");
                    w->check(scene, SWEEP_ANY);
                    deaths++;
                    twice += j && again;
                }
                end(w, scene);
            }
    }
    print_message("%u deaths, %u of them followed by one in recovery\n",
                  deaths, twice);
}

void sweep_each_death(const struct sweep *w, const char *how, unsigned stride,
                      void (*then)(void *scene, bool hit))
{
    const void *kind;
    unsigned n;

    for (kind = next_kind(w, NULL); kind; kind = next_kind(w, kind)) {
        bool hit = true;

        if (getenv("CRASH_ALL"))
            stride = 1;
        for (n = 1; hit; n += stride * pace()) {
            struct fake_outcome out;
            void *scene = begin(w, kind);

            hit = run(w, scene, how, DOOM_DEATH, n, 0, &out);
            then(scene, hit);
            end(w, scene);
        }
    }
}

/* ---- others ---- */

/* THIRD_ACT=3 takes only that one. */
static bool act_wanted(const struct sweep *w, const void *kind, unsigned a,
                       bool dead)
{
    const char *only = getenv("THIRD_ACT");

    if (only && (unsigned)atoi(only) != a)
        return false;
    return !w->not_yet || !w->not_yet(kind, a, dead);
}

static bool one_act(const struct sweep *w, const void *kind, unsigned a,
                    unsigned n,
                    void (*then)(void *scene, const struct fake_outcome *out))
{
    struct fake_outcome out;
    void *scene = begin(w, kind);
    bool more;

    third_arm(scene, a, n);
    w->run(scene, DOOM_NONE, 0, 0, &out);
    snprintf(hit_at, sizeof(hit_at), "%s at call %u", third_name(a), n);
    snprintf(said, sizeof(said), "%s", out.msg);
    more = third_calls(scene) >= n;
    third_disarm(scene);
    if (!third_acted(scene) && out.rc)
        sweep_fail("nobody acted, and it failed");
    if (third_acted(scene) || !more)
        then(scene, &out);
    end(w, scene);
    return more;
}

static unsigned act_step(const struct sweep *w, const void *kind, unsigned a)
{
    if (getenv("CRASH_ALL"))
        return 1;
    return pace() * (w->stride_of ? w->stride_of(kind, a) : w->stride);
}

/* The calls that are too early. */
static unsigned early(const struct sweep *w, const void *kind)
{
    struct fake_outcome out;
    void *scene;

    if (!w->late)
        return 0;
    scene = begin(w, kind);
    w->run(scene, DOOM_NONE, 0, 0, &out);
    end(w, scene);
    return out.calls > w->late ? out.calls - w->late : 0;
}

void sweep_each_act(const struct sweep *w,
                    void (*then)(void *scene, const struct fake_outcome *out))
{
    const void *kind;
    unsigned a, n, from;

    for (kind = next_kind(w, NULL); kind; kind = next_kind(w, kind))
        for (a = 0, from = early(w, kind); a < THIRD_ACTS; a++)
            for (n = from + 1 + a % act_step(w, kind, a);
                 act_wanted(w, kind, a, false) && one_act(w, kind, a, n, then);
                 n += act_step(w, kind, a))
                ;
}

static bool one_act_after(const struct sweep *w, const void *kind, unsigned a,
                          unsigned n, fake_op *guardian,
                          void (*then)(void *scene,
                                       const struct fake_outcome *out))
{
    struct fake_outcome out;
    void *scene = begin(w, kind);
    bool hit = run(w, scene, "dead", DOOM_DEATH, n, 0, &out);
    size_t len = strlen(hit_at);

    if (hit) {
        sweep_must(scene, guardian, NULL, "the guardian");
        snprintf(hit_at + len, sizeof(hit_at) - len, ", then %s",
                 third_name(a));
        third_arm(scene, a, 0);
        if (third_acted(scene))
            then(scene, &out);
    }
    end(w, scene);
    return hit;
}

void sweep_each_act_after_death(const struct sweep *w, fake_op *guardian,
                                void (*then)(void *scene,
                                             const struct fake_outcome *out))
{
    const void *kind;
    unsigned a, n, from;

    for (kind = next_kind(w, NULL); kind; kind = next_kind(w, kind))
        for (a = 0, from = early(w, kind); a < THIRD_ACTS; a++)
            for (n = from + 1 + a % act_step(w, kind, a);
                 act_wanted(w, kind, a, true) &&
                 one_act_after(w, kind, a, n, guardian, then);
                 n += act_step(w, kind, a))
                ;
}

/* Nobody: a call of the recovery fails, so that no error of a look is taken
 * for its answer. */
static bool one_act_in_recovery(const struct sweep *w, const void *kind,
                                unsigned a, unsigned n, unsigned j,
                                fake_op *guardian,
                                void (*then)(void *scene,
                                             const struct fake_outcome *out))
{
    struct fake_outcome out;
    void *scene = begin(w, kind);
    bool hit = run(w, scene, "dead", DOOM_DEATH, n, 0, &out);
    size_t len = strlen(hit_at);

    if (hit) {
        sweep_must(scene, guardian, NULL, "the guardian");
        if (w->dead)
            w->dead(scene);
        third_runs(scene, THIRD_RESCUER, false);
        third_arm(scene, a, j);
        fake_host_run(scene, w->recover, NULL,
                      a == THIRD_NOBODY ? DOOM_ERRNO : DOOM_NONE, j, EIO,
                      &out);
        snprintf(hit_at + len, sizeof(hit_at) - len,
                 ", recovery: %s at call %u %s", third_name(a), j, out.doomed);
        snprintf(said, sizeof(said), "%s", out.msg);
        third_disarm(scene);
        if (!third_acted(scene) && out.rc)
            sweep_fail("nobody acted, and it failed");
        then(scene, &out);
    }
    end(w, scene);
    return hit;
}

#define RECOVERY_CALLS 60 /* a recovery has about as many */

void sweep_each_act_in_recovery(const struct sweep *w, fake_op *guardian,
                                void (*then)(void *scene,
                                             const struct fake_outcome *out))
{
    const unsigned step = getenv("CRASH_ALL") ? 1 : w->stride * pace();
    const void *kind;
    unsigned a, n, j = 0;

    for (kind = next_kind(w, NULL); kind; kind = next_kind(w, kind))
        for (a = 0; a < THIRD_ACTS; a++)
            for (n = 1 + a % step;
                 act_wanted(w, kind, a, true) &&
                 one_act_in_recovery(w, kind, a, n, 1 + j, guardian, then);
                 n += step)
                j = (j + 7) % RECOVERY_CALLS;
}

/* Of the recovery of a death at call n. */
static unsigned calls_of_recovery(const struct sweep *w, const void *kind,
                                  unsigned n)
{
    struct fake_outcome out;
    void *scene = begin(w, kind);

    w->run(scene, DOOM_DEATH, n, 0, &out);
    fake_host_run(scene, w->recover, NULL, DOOM_NONE, 0, 0, &out);
    end(w, scene);
    return out.calls;
}

void sweep_each_act_late_in_recovery(
    const struct sweep *w, fake_op *guardian,
    void (*then)(void *scene, const struct fake_outcome *out))
{
    const void *kind;
    unsigned a, n, i, j, calls;

    for (kind = next_kind(w, NULL); kind; kind = next_kind(w, kind))
        for (i = 0, n = 1 + early(w, kind); i < w->late_deaths; i++, n++)
            for (a = 0, calls = calls_of_recovery(w, kind, n); a < THIRD_ACTS;
                 a++) {
                if (!act_wanted(w, kind, a, true))
                    continue;
                j = calls > w->late_recovery ? calls - w->late_recovery : 0;
                for (j += 1 + (a + n) % act_step(w, kind, a); j <= calls;
                     j += act_step(w, kind, a))
                    one_act_in_recovery(w, kind, a, n, j, guardian, then);
            }
}

/* False: there is no such death, or *more_r says no such call. */
static bool act_in_one(const struct sweep *w, const void *kind, unsigned act,
                       unsigned n, unsigned j, bool (*wanted)(void *scene),
                       void (*then)(void *scene,
                                    const struct fake_outcome *out),
                       bool *more_r)
{
    struct fake_outcome out;
    void *scene = begin(w, kind);
    bool hit = run(w, scene, "dead", DOOM_DEATH, n, 0, &out);
    size_t len = strlen(hit_at);

    *more_r = false;
    if (hit && wanted(scene)) {
        if (w->dead)
            w->dead(scene);
        third_runs(scene, THIRD_RESCUER, false);
        third_arm(scene, act, j);
        fake_host_run(scene, w->recover, NULL, DOOM_NONE, 0, 0, &out);
        snprintf(hit_at + len, sizeof(hit_at) - len,
                 ", recovery: %s at call %u", third_name(act), j);
        snprintf(said, sizeof(said), "%s", out.msg);
        *more_r = third_calls(scene) >= j;
        third_disarm(scene);
        then(scene, &out);
    }
    end(w, scene);
    return hit;
}

void sweep_act_in_each_recovery(const struct sweep *w, unsigned act,
                                bool (*wanted)(void *scene),
                                void (*then)(void *scene,
                                             const struct fake_outcome *out))
{
    const unsigned step = getenv("CRASH_ALL") ? 1 : w->stride * pace();
    const void *kind;
    unsigned n, j;
    bool hit, more;

    for (kind = next_kind(w, NULL); kind; kind = next_kind(w, kind))
        for (n = 1, hit = true; hit; n += step)
            for (j = 1, more = true; more; j++)
                hit = act_in_one(w, kind, act, n, j, wanted, then, &more);
}

int sweep_main(const struct sweep *w)
{
    const struct CMUnitTest tests[] = { SWEEP_TESTS(w) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/* See sweep.h. */
#include "fakes/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* The next kind that is wanted, the first one after NULL. */
static const void *next_kind(const struct sweep *w, const void *kind)
{
    const char *only = getenv("CRASH_KIND");
    const char *k = kind ? (const char *)kind + w->kind_size : w->kinds;
    const char *last = (const char *)w->kinds + w->n_kinds * w->kind_size;

    while (only && k < last && !snap_has_prefix(name_of(k), only))
        k += w->kind_size;
    if (k == last && !kind)
        fail_msg("CRASH_KIND=%s: no kind is called so", only ? only : "");
    return k < last ? k : NULL;
}

/* ---- the loops ---- */

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

    for (n = 1; hit; n++) {
        struct fake_outcome out;
        void *scene = begin(w, kind);

        hit = run(w, scene, strerror(errnum), DOOM_ERRNO, n, errnum, &out);
        if (hit || w->whole_too) {
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
    return j ? w->stride : 1 + n % w->stride;
}

void sweep_deaths(void **state)
{
    const struct sweep *w = *state;
    const void *kind;
    unsigned n, j, deaths = 0, twice = 0;

    for (kind = next_kind(w, NULL); kind; kind = next_kind(w, kind)) {
        bool hit = true, again = true;

        for (n = 1; hit; n++)
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

void sweep_each_death(const struct sweep *w, const char *how,
                      void (*then)(void *scene, bool hit))
{
    const void *kind;
    unsigned n;

    for (kind = next_kind(w, NULL); kind; kind = next_kind(w, kind)) {
        bool hit = true;

        for (n = 1; hit; n++) {
            struct fake_outcome out;
            void *scene = begin(w, kind);

            hit = run(w, scene, how, DOOM_DEATH, n, 0, &out);
            then(scene, hit);
            end(w, scene);
        }
    }
}

int sweep_main(const struct sweep *w)
{
    const struct CMUnitTest tests[] = { SWEEP_TESTS(w) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * One operation, hit everywhere.  A test says what its scene is, what is done
 * there and what must hold in the end; the loops are here:
 *
 *     sweep_success   each kind once, unharmed
 *     sweep_errors    every call to the outside fails once
 *     sweep_deaths    the process ends at every call, and after each such end
 *                     its recovery ends at a call of its own
 *
 * A recovery has some 60 calls and follows one of some 100 deaths: all pairs
 * of them take many minutes.  Each run takes every stride-th call of the
 * recovery, beginning at another one for each death, so that over the deaths
 * every call of it is hit.  CRASH_ALL=1 takes all pairs.  CRASH_KIND=off takes
 * only the kinds whose name begins so.
 */
#ifndef TESTS_FAKES_SWEEP_H
#define TESTS_FAKES_SWEEP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fakes/fake_host.h"
#include "fakes/third.h"

/* What the command said, and so what must be there. */
enum sweep_end { SWEEP_ANY, SWEEP_UNDONE, SWEEP_DONE };

#define SWEEP_ERRNOS 2

struct sweep {
    const void *kinds; /* an array; each begins with const char *name */
    size_t n_kinds, kind_size;
    size_t scene_size; /* zeroed; begins with its struct fake_host */
    void (*begin)(void *scene, const void *kind);
    void (*end)(void *scene);
    /* The operation, as fake_host_run() does it. */
    bool (*run)(void *scene, enum fake_doom doom, unsigned n, int errnum,
                struct fake_outcome *out);
    fake_op *recover;
    void (*dead)(void *scene); /* what then happens before a recovery; or
                                * NULL */
    void (*failed)(void *scene); /* what holds after an error, before anybody
                                  * recovers; or NULL */
    void (*check)(void *scene, enum sweep_end end);
    int errnos[SWEEP_ERRNOS]; /* 0: no more */
    bool whole_too; /* sweep_errors() checks, and counts, the run that no error
                     * reaches, too */
    unsigned stride;
    /* sweep_each_act*(): instead of it; or NULL */
    unsigned (*stride_of)(const void *kind, enum third_act act);
    /* sweep_each_act*(): only that many calls before the end; 0: all. */
    unsigned late;
    unsigned late_recovery,
        late_deaths; /* sweep_each_act_late_in_recovery() */
    /* sweep_each_act*(): this one is left out; or NULL */
    bool (*not_yet)(const void *kind, enum third_act act, bool dead);
};

#define SWEEP_KINDS(k)                                   \
    .kinds = (k), .n_kinds = sizeof(k) / sizeof((k)[0]), \
    .kind_size = sizeof((k)[0])

/* Tests of cmocka's; *state is the sweep. */
void sweep_success(void **state);
void sweep_errors(void **state);
void sweep_deaths(void **state);

#define SWEEP_TESTS(sweep)                                        \
    cmocka_unit_test_prestate(sweep_success, (void *)(sweep)),    \
        cmocka_unit_test_prestate(sweep_errors, (void *)(sweep)), \
        cmocka_unit_test_prestate(sweep_deaths, (void *)(sweep))

/* A main() of these three. */
int sweep_main(const struct sweep *w);

/* The process ends at every stride-th call, and at last at none (hit is
 * false); then() does the rest.  how: of the end, for messages. */
void sweep_each_death(const struct sweep *w, const char *how, unsigned stride,
                      void (*then)(void *scene, bool hit));

/* Somebody else acts (fakes/third.h) at every stride-th call, each act once
 * there, beginning at another one; then() does the rest.  The scene has begun
 * so. */
void sweep_each_act(const struct sweep *w,
                    void (*then)(void *scene, const struct fake_outcome *out));
/* Likewise when the process has ended at such a call, and its guardian done
 * what it does. */
void sweep_each_act_after_death(const struct sweep *w, fake_op *guardian,
                                void (*then)(void *scene,
                                             const struct fake_outcome *out));

/* Likewise, and its recovery (w->recover) is at work: one call of it for each
 * death, another one every time. */
void sweep_each_act_in_recovery(const struct sweep *w, fake_op *guardian,
                                void (*then)(void *scene,
                                             const struct fake_outcome *out));

/* Likewise, at every stride-th of the last w->late_recovery calls of it, for
 * the first w->late_deaths of the last w->late calls. */
void sweep_each_act_late_in_recovery(
    const struct sweep *w, fake_op *guardian,
    void (*then)(void *scene, const struct fake_outcome *out));

/* Somebody acts at every call of the recovery from each stride-th death that
 * left what is wanted. */
void sweep_act_in_each_recovery(const struct sweep *w, unsigned act,
                                bool (*wanted)(void *scene),
                                void (*then)(void *scene,
                                             const struct fake_outcome *out));

/* The test fails; the message begins with the kind and what was hit. */
#define sweep_fail(...)          \
    do {                         \
        sweep_tell(__VA_ARGS__); \
        fail();                  \
    } while (0)
void sweep_tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Is it in the name of a call that was hit? */
bool sweep_hit_names(const char *what);

/* What must succeed, unharmed. */
void sweep_must(struct fake_host *h, fake_op *op, void *arg, const char *what);
/* A recovery finds nothing to do. */
void sweep_recovered(struct fake_host *h, fake_op *recover);

#endif /* TESTS_FAKES_SWEEP_H */

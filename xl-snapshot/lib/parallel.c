/* SPDX-License-Identifier: LGPL-2.1-only */
/* See parallel.h.  Threads live no longer than the call. */
#include "lib/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define THREADS_MAX 8
#define SLICE       32

struct work {
    size_t n;
    void (*fn)(void *opaque, size_t i);
    void *opaque;
    atomic_size_t next;
};

static void *worker(void *opaque)
{
    struct work *w = opaque;
    size_t i, end;

    for (;;) {
        i = atomic_fetch_add(&w->next, SLICE);
        if (i >= w->n)
            return NULL;
        end = w->n - i < SLICE ? w->n : i + SLICE;
        for (; i < end; i++)
            w->fn(w->opaque, i);
    }
}

/* Processors that we may use. */
static size_t processors(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set))
        return 1;
    return CPU_COUNT(&set);
}

void snap_parallel(size_t n, void (*fn)(void *opaque, size_t i), void *opaque)
{
    struct work w = { .n = n, .fn = fn, .opaque = opaque };
    pthread_t threads[THREADS_MAX];
    size_t want, started = 0;

    want = n < SNAP_PARALLEL_MIN ? 1 : processors();
    if (want > THREADS_MAX)
        want = THREADS_MAX;
    /* The caller is one of them. */
    while (started + 1 < want &&
           !pthread_create(&threads[started], NULL, worker, &w))
        started++;
    worker(&w);
    while (started)
        pthread_join(threads[--started], NULL);
}

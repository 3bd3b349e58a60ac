/* SPDX-License-Identifier: LGPL-2.1-only */
/* Each piece of work is done once, however many there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "lib/mem.h"
#include "lib/parallel.h"

struct piece {
    unsigned times;
    pthread_t by;
};

static void mark(void *opaque, size_t i)
{
    struct piece *p = opaque;

    p[i].times++;
    p[i].by = pthread_self();
}

static void each_piece_once(void **state)
{
    static const size_t sizes[] = {
        0, 1, 31, 33, SNAP_PARALLEL_MIN - 1, SNAP_PARALLEL_MIN, 1000, 10007,
    };
    size_t i, k;

    (void)state;
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct piece *p = snap_zalloc((sizes[i] + 1) * sizeof(*p));

        snap_parallel(sizes[i], mark, p);
        for (k = 0; k < sizes[i]; k++)
            assert_int_equal(p[k].times, 1);
        assert_int_equal(p[k].times, 0);
        free(p);
    }
}

/* A few pieces are not worth a thread. */
static void few_pieces_by_the_caller(void **state)
{
    struct piece p[SNAP_PARALLEL_MIN] = { { 0 } };
    size_t k;

    (void)state;
    snap_parallel(SNAP_PARALLEL_MIN - 1, mark, p);
    for (k = 0; k < SNAP_PARALLEL_MIN - 1; k++)
        assert_true(pthread_equal(p[k].by, pthread_self()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_piece_once),
        cmocka_unit_test(few_pieces_by_the_caller),
    };

    return cmocka_run_group_tests_name("parallel", tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A record with something in every field, for the tests of records and of the
 * store, and drivers that have a name and nothing else.
 */
#ifndef TESTS_LIB_SAMPLE_H
#define TESTS_LIB_SAMPLE_H

#include "store/record.h"

#define SAMPLE_UUID "6b1f9a3c-2d4e-4f60-8a7b-0c1d2e3f4a5b"

/* "s-int", "s-ext"; "s-vol", whose frozen objects are of the kind "volume"; NULL
 * at the end. */
extern const struct snap_disk_driver *const sample_drivers[];

/* A checkpoint of a pvh domain: xvda internal, xvdb external, xvdc left out.
 * Dispose with snap_record_dispose(). */
void sample_record(struct snap_record *r, const char *name);
/* Aborts with a message unless both hold the same. */
void sample_assert_equal(const struct snap_record *a,
                         const struct snap_record *b);

#endif /* TESTS_LIB_SAMPLE_H */

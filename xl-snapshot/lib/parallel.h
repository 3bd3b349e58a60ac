/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The same small piece of work for many things, on every processor there is.
 * For reading and parsing only: a piece must not print, and must touch
 * nothing but its own place.
 */
#ifndef SNAP_LIB_PARALLEL_H
#define SNAP_LIB_PARALLEL_H

#include <stddef.h>

/* Fewer pieces than this are done by the caller alone, one after the other. */
#define SNAP_PARALLEL_MIN 256

/* Call fn for 0 to n-1, in no particular order; returns when all are done.
 * Where no thread can be had the caller does the work. */
void snap_parallel(size_t n, void (*fn)(void *opaque, size_t i), void *opaque);

#endif /* SNAP_LIB_PARALLEL_H */

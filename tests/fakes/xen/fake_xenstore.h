/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A xenstore that fits on a page, under libxenstore's own names: a test that
 * defines them (and is linked with -rdynamic) has the real libxenlight talk
 * to this one.  Its nodes live in memory that child processes share, also
 * after an exec; a watch fires in the process that wrote.
 */
#ifndef TEST_FAKE_XENSTORE_H
#define TEST_FAKE_XENSTORE_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed memory of this name for us, our children, and what they exec. */
void *fake_shared(const char *name, size_t size);

/* Nothing in it, and it answers. */
void fake_xs_reset(void);
/* It answers nothing any more, or does again. */
void fake_xs_break(bool broken);

/* One lock, for the store and for whatever else a test shares. */
void fake_xs_lock(void);
void fake_xs_unlock(void);
/* With the lock in hand.  value NULL: the node and all below it go. */
void fake_xs_set(const char *path, const char *value);
const char *fake_xs_get(const char *path);
void fake_xs_fire(const char *path);
/* Both at once. */
void fake_xs_put(const char *path, const char *value);

#endif

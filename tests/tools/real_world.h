/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The product's drivers under the suite, on real images and with Xen's own
 * QEMU in place of a domain.  Names of images have everything in them that
 * has ever broken a shell, an option string or a file: prefix.
 */
#ifndef TESTS_TOOLS_REAL_WORLD_H
#define TESTS_TOOLS_REAL_WORLD_H

#include "tools/conformance.h"

extern const struct world_ops real_world;

#define REAL(n, d, t, f, l)                                        \
    .name = (n), .ops = &real_world, .drivers = snap_disk_drivers, \
    .driver = (d), .want = (t), .format = (f), .live = (l)

/* conformance_run(), or a skip that says what is not installed. */
int real_world_run(const char *name, const struct variant *v, size_t n);

#endif /* TESTS_TOOLS_REAL_WORLD_H */

/* SPDX-License-Identifier: LGPL-2.1-only */
/* The toy driver of docs/first-driver.md.  It is in no table of the product. */
#ifndef TESTS_TOY_TOY_H
#define TESTS_TOY_TOY_H

#include "model/disk_ops.h"

/* What a copy is longer than its image. */
#define TOY_TRAILER_LEN 22

/* A raw image of a domain that is off is copied beside itself. */
extern const struct snap_disk_driver toy_copy;
/* The table that the suite is given, NULL-terminated. */
extern const struct snap_disk_driver *const toy_drivers[];

#endif /* TESTS_TOY_TOY_H */

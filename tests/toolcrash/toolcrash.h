/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What a driver makes of tools that die, or fail, in the middle: its slots on
 * real images with the real tools, each of whose writes, truncations and
 * syncs is hit once by each kind of doom (shim.c).  After each the driver
 * must be able to go on, or back, and every image must read what it should.
 */
#ifndef TESTS_TOOLCRASH_TOOLCRASH_H
#define TESTS_TOOLCRASH_TOOLCRASH_H

#include "tests/tools/scene.h"

struct crash_world {
    struct scene *f;
    unsigned layers; /* below the image that is snapshotted */
    const char *format; /* of that image */
    char *image; /* it */
    struct snap_part p;
    struct snap_delete d;
    unsigned char before[8]; /* what its first blocks hold */
    unsigned char after[8]; /* and what the domain's disk holds since */
};

struct crash_kind {
    const char *name;
    const char *format;
    unsigned layers;
    /* Images and the part; once, no tool is hit. */
    void (*set_up)(struct crash_world *w);
    /* Its tools are hit.  May fail. */
    int (*work)(struct crash_world *w, struct snap_err *err);
    /* It failed: what recover does, without doom.  Ends in the state from
     * before work(), or in that from after it; true: the latter. */
    bool (*recover)(struct crash_world *w);
    /* Every image reads what it should; done: as after work(). */
    void (*check)(struct crash_world *w, bool done);
    /* QEMU's own calls are hit: what it says is believed, so there are no
     * lies, and no power cut without its syncs. */
    bool live;
    /* Until we sync, only the tool's own syncs keep an image whole that it
     * writes to in place. */
    bool in_place;
};

/* The image with so many layers below, its first blocks written: before[]. */
void crash_image(struct crash_world *w);
/* Fails the test if the image does not hold this, or is not whole (clusters
 * that are lost, but not in use, are no harm). */
void crash_reads(const char *path, const char *format,
                 const unsigned char *want);
/* The same, but these blocks may hold anything. */
void crash_reads_most(const char *path, const char *format,
                      const unsigned char *want, const bool *doubt);

/* An image whose snapshot is to be given up, by a pull or a merge. */
void crash_to_delete(struct crash_world *w, bool merge);

/* Start a QEMU for the domain, with this disk, whose own calls are hit, too;
 * but none before the end of first(), which may be NULL. */
void crash_start_qemu(struct crash_world *w, const char *path,
                      const char *format,
                      void (*first)(struct crash_world *w));

/* A group of cmocka with one test for each kind. */
int crash_main(const char *name, const struct crash_kind *kinds, size_t n);

#endif /* TESTS_TOOLCRASH_TOOLCRASH_H */

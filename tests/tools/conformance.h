/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The definition of a disk driver: what every one of them must do, asked of
 * each through a world that can make images, run a guest on them, look at
 * what is there and break it.  A driver is conforming when it passes for
 * every variant that a world offers.
 */
#ifndef TESTS_TOOLS_CONFORMANCE_H
#define TESTS_TOOLS_CONFORMANCE_H

#include "model/disk_ops.h"

#define CONTENT_BLOCKS 32

/* What a disk holds.  A world may use either: real images the blocks, the
 * fake ones the number. */
struct content {
    unsigned char block[CONTENT_BLOCKS];
    uint64_t number;
};

struct world;

struct world_ops {
    struct world *(*open)(void);
    void (*close)(struct world *w);
    /* A folder; images are made below it. */
    const char *(*dir)(struct world *w);
    /* A new image with some content; format is libxl's word. */
    void (*image)(struct world *w, const char *path, const char *format,
                  struct content *c_r);
    /* The domain's QEMU: start with no disks, add one, end. */
    void (*start)(struct world *w);
    void (*add)(struct world *w, const char *vdev, const char *path,
                const char *format);
    void (*stop)(struct world *w);
    /* The context as op/ makes it, for the running or the stopped domain. */
    void (*ctx)(struct world *w, const char *op_id, struct snap_disk_ctx *c_r);
    /* The guest writes something new; c follows. */
    void (*write)(struct world *w, const char *vdev, struct content *c);
    /* Has the guest's disk, or an image nobody writes to, this content? */
    bool (*has)(struct world *w, const char *vdev, const struct content *c);
    bool (*image_has)(struct world *w, const char *path, const char *format,
                      const struct content *c);
    /* All that there is, as text; equal texts mean nothing changed. */
    char *(*digest)(struct world *w);
    bool (*exists)(struct world *w, const char *path);
    /* Breaking things. */
    void (*damage)(struct world *w, const char *path);
    void (*resize)(struct world *w, const char *path, const char *format);
    void (*remove)(struct world *w, const char *path);
    void (*foreign)(struct world *w, const char *path);
    /* Another name of this object, as an xl.cfg may have it: of a volume its
     * device, of a file a link.  Made if need be; caller frees. */
    char *(*alias)(struct world *w, struct snap_object o);
};

/* One way of snapshotting that a driver is asked for. */
struct variant {
    const char *name; /* "overlay over raw, domain off" */
    const struct world_ops *ops;
    const struct snap_disk_driver *const *drivers;
    const char *driver; /* that must be chosen */
    enum snap_disk_type want;
    const char *format;
    bool live;
    bool keep_path;
    const char *file; /* "a.qcow2", or something awkward */
    const char *tag; /* NULL: "s1" */
    const char *clone_format; /* libxl's word; NULL: "qcow2" */
    bool no_damage; /* damage is not to be seen (raw) */
    bool gives_size; /* brings back the size as well, so may be resized */
};

/* Run all over all variants; the number of failed tests. */
int conformance_run(const char *name, const struct variant *v, size_t n);

#endif /* TESTS_TOOLS_CONFORMANCE_H */

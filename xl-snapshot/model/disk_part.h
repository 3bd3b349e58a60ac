/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * One disk in one snapshot, and what its deletion has to do with the images
 * around it.
 */
#ifndef SNAP_MODEL_DISK_PART_H
#define SNAP_MODEL_DISK_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/json.h"
#include "lib/rc.h"

enum snap_disk_type {
    SNAP_DISK_AUTO,
    SNAP_DISK_INTERNAL, /* inside the image */
    SNAP_DISK_EXTERNAL, /* a new active image over a frozen one */
};
const char *snap_disk_type_name(enum snap_disk_type t);

enum snap_part_state {
    SNAP_PART_ABSENT, /* nothing of this part exists */
    SNAP_PART_PARTIAL, /* begun: undo() removes it */
    SNAP_PART_PRESENT, /* complete */
    SNAP_PART_FOREIGN, /* something is there that is not ours */
};

/* What an image has to do with the one that a part froze. */
enum snap_stand {
    SNAP_STAND_GONE, /* there is no such image any more */
    SNAP_STAND_ALONE, /* it does not read through it */
    SNAP_STAND_ON, /* it does, at whatever depth */
};

struct snap_disk_driver;

/* An image as it was when nobody was to write to it any more: whoever does all
 * the same, a domain from an old xl.cfg for instance, changes that. */
struct snap_stamp {
    bool known; /* a device has none */
    int64_t mtime_ns, bytes;
    int64_t at_ns; /* when it was looked at */
    /* The host was booted since.  What was not on disk by then is lost, a time
     * stamp too, so only a younger one tells. */
    bool old_boot;
};
/* Was it written to in between?  What is not known is no. */
bool snap_stamp_differs(const struct snap_stamp *then,
                        const struct snap_stamp *now);

/* What holds a disk's data is an object: its kind, its name, and its format.
 * The name of a "file" (the default) is an absolute path, also of a device's
 * node; that of any other kind is its driver's: "vg/lv", "pool/vol@s1".  Only
 * the driver knows what it means. */
#define SNAP_KIND_FILE "file"
/* Borrowed from whatever it is of.  kind NULL: a file, or what an xl.cfg has
 * for a disk, which is a path unless its driver says otherwise.  id NULL: there
 * is none. */
struct snap_object {
    const char *kind, *id, *format;
};

/* One disk in one snapshot: what create makes, a record keeps, and revert
 * reads.  Zero-initialise; dispose with snap_part_dispose(). */
struct snap_part {
    /* what is asked (by the operation, before probe) */
    char *vdev;
    char *path; /* the image to be snapshotted */
    char *format; /* libxl's word: "qcow2", "raw", "vhd" */
    /* Who serves the disk ("qdisk", "phy", "tap"), and the block script that
     * made it; only while a snapshot is planned, NULL: not known, or none */
    char *backend, *script;
    char *tag; /* snapshot's name as the user knows it */
    char *target; /* new active image asked for, or NULL */
    /* For a default target: "a" of a.s1.qcow2.  NULL: probe() makes it from
     * path.  Set before: path is an overlay of ours. */
    char *stem;
    bool reuse_target; /* --reuse-external: target exists */
    bool keep_path; /* --keep-path */
    bool frozen_made; /* path was made by us, not by the user */
    int frontend_state; /* of the PV frontend; 0 offline */
    bool hvm;

    /* found by probe() */
    const struct snap_disk_driver *drv;
    enum snap_disk_type type;
    uint64_t size; /* guest-visible bytes */
    char *node; /* QEMU's root node for this disk */

    /* the outcome, planned by probe(), true after take() */
    /* Where the snapshot's data is: an object's name, a path or not; differs
     * from path with keep_path, and where path is a symbolic link. */
    char *frozen_path;
    char *frozen_format;
    char *active_path; /* what the guest writes to afterwards */
    char *active_format; /* libxl's word */
    /* of path, frozen_path and active_path; NULL: a file */
    char *before_kind, *frozen_kind, *active_kind;
    struct snap_json *data; /* the driver's own; kept in the record */

    /* progress in this process, so that undo does what was done, not more; in
     * a recovery taken is what its group found */
    bool prepared;
    bool taken;

    /* revert only: others need the image at frozen_path as it is (set by op/
     * before verify()) */
    bool shared;
    /* clone only (set by op/ before verify()): the leaf is always a new image,
     * in this folder, and belongs to a domain of its own */
    char *leaf_dir;
    /* revert only: planned by verify(), made by revert_prepare() */
    char *leaf_path; /* what the restored guest will write to */
    char *leaf_format;
    char *leaf_kind; /* NULL: a file */
    /* Old leaf that nobody needs, or NULL; set by op/ after reference
     * checks. */
    char *drop_path, *drop_format, *drop_kind;
    struct snap_stamp dropped; /* it, when the domain had left it */
    bool switched;

    /* delete only: remove() lets go of the image and does not remove it */
    bool keep_image;
};
void snap_part_dispose(struct snap_part *p);

/* What becomes of what a part froze when its snapshot is deleted. */
enum snap_delete_how {
    SNAP_DELETE_DROP, /* nobody reads through it: remove() is all */
    SNAP_DELETE_PULL, /* what is over it takes what it reads there */
    SNAP_DELETE_MERGE, /* the active image is merged into it, and goes */
    SNAP_DELETE_STAY, /* another snapshot has it, too: nothing is done */
};

/* An image that has the frozen one as its backing file. */
struct snap_child {
    char *path;
    bool live; /* the domain's QEMU has it */
    bool protect; /* it is immutable; pull() leaves it so */
};

/* An image that a record, a state or a domain names, and what it says of it:
 * the image itself is not asked, since a guest writes what it likes into a raw
 * one. */
struct snap_known {
    char *path;
    char *format; /* libxl's word */
    bool frozen; /* by a snapshot */
};

/* What of merge() went before, by the journal. */
enum snap_merge_begun {
    SNAP_MERGE_NEW, /* nothing */
    SNAP_MERGE_BY_TOOLS, /* with the domain off, since this host started */
    SNAP_MERGE_BY_QEMU, /* by a QEMU, or before this host started */
};

/* How to delete one part: asked by op/, found by delete_plan(), kept in the
 * journal.  Zero-initialise; dispose with snap_delete_dispose(). */
struct snap_delete {
    /* asked */
    struct snap_known *known;
    size_t n_known;
    /* What the domain calls its active object, or NULL; kind NULL: a file */
    char *leaf, *leaf_kind;
    char *leaf_format; /* libxl's word; of MERGE: what is in it, found */
    bool may_merge; /* the leaf was made by us, and no record needs it */
    bool others_freeze; /* another external snapshot is this very image */
    bool others_inside; /* internal snapshots of other records are in it */

    /* found */
    enum snap_delete_how how;
    bool keep_image; /* for remove(): it is not ours to remove */
    struct snap_child *child;
    size_t n_child;
    char *parent, *parent_format; /* below it; NULL: nothing.  QEMU's word */
    /* MERGE: what the guest writes to afterwards, and the image that goes */
    char *active_path, *active_format, *active_kind, *gone;
    uint64_t bytes; /* to be copied, about */

    /* MERGE, in recover: when the guest was paused for merge_switch()
     * (seconds since 1970); 0: it was not */
    int64_t paused_at;
    /* MERGE, for merge_finish(): gone, when QEMU had left it for good */
    struct snap_stamp left;
    /* MERGE, in recover, for merge_astray() */
    enum snap_merge_begun begun;
    /* seconds since 1970; 0: merge() has worked since then, or may have */
    int64_t host_started;
};
void snap_delete_dispose(struct snap_delete *d);

/* An image that nobody else may open while disks are switched. */
struct snap_held_image {
    char *path;
    bool changes; /* what is in it does, or what its name leads to: nobody may
                   * have it open even in the beginning */
};

/* Zero-initialise; dispose with snap_held_images_dispose(). */
struct snap_held_images {
    struct snap_held_image *image;
    size_t n;
};
void snap_held_images_add(struct snap_held_images *l, const char *path,
                          bool changes);
void snap_held_images_dispose(struct snap_held_images *l);

/* Does QEMU have the disk, as far as the part says? */
bool snap_part_by_qemu(const struct snap_part *p);

#endif /* SNAP_MODEL_DISK_PART_H */

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What a disk driver is.  One driver knows one way to snapshot a disk; the
 * operations (op/) never know which.  The unit of taking is a group: the disks
 * that one atomic operation of their storage takes together (all disks of one
 * QEMU go into one QMP transaction, whichever of its two drivers they use).
 *
 * tests/fakes/fake_disk.c is the reference, tests/tools/conformance.c the
 * definition.  Drivers include lib/ and this file, nothing of Xen or op/.
 *
 *  create:  match  probe  prepare | take | finish          or undo
 *  revert:  verify  revert_prepare | in_place, revert_switch | revert_finish
 *                                    or in_place, revert_undo
 *  delete:  delete_plan  pull, or delete_stop;  then, the record gone,
 *           merge_astray  merge | merge_switch | merge_switched
 *           merge_finish,  remove
 *  |  guest at rest (paused, suspended)  |  domain and its QEMU gone
 */
#ifndef SNAP_MODEL_DISK_OPS_H
#define SNAP_MODEL_DISK_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/qmp.h"
#include "lib/rc.h"

enum snap_disk_type {
    SNAP_DISK_AUTO,
    SNAP_DISK_INTERNAL, /* inside the image */
    SNAP_DISK_EXTERNAL, /* a new active image over a frozen one */
};
const char *snap_disk_type_name(enum snap_disk_type t); /* model/disk_ops.c */

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
/* Was it written to in between?  What is not known is no.  (model/disk_ops.c) */
bool snap_stamp_differs(const struct snap_stamp *then,
                        const struct snap_stamp *now);

/* What holds a disk's data is an object: its kind, its name, and its format.
 * The name of a "file" (the default) is an absolute path, also of a device's
 * node; that of any other kind is its driver's: "vg/lv", "pool/vol@s1".  Only
 * the driver knows what it means. */
#define SNAP_KIND_FILE "file"

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
    /* Old leaf that nobody needs, or NULL; set by op/ after reference
     * checks. */
    char *drop_path;
    struct snap_stamp dropped; /* it, when the domain had left it */
    bool switched;

    /* delete only: remove() lets go of the image and does not remove it */
    bool keep_image;
};
void snap_part_dispose(struct snap_part *p); /* model/disk_ops.c */

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
    bool qcow2; /* else raw, or anything that has nothing below it */
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
    char *leaf; /* what the domain calls its active image, or NULL */
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
    char *active_path, *active_format, *gone;
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
void snap_delete_dispose(struct snap_delete *d); /* model/disk_ops.c */

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
/* (model/disk_ops.c) */
void snap_held_images_add(struct snap_held_images *l, const char *path,
                          bool changes);
void snap_held_images_dispose(struct snap_held_images *l);

/* What a driver may use besides lib/. */
struct snap_disk_ctx {
    /* QEMU of the running domain; NULL: the domain is off and tools are
     * used. */
    struct snap_qmp *qmp;
    uint32_t domid; /* UINT32_MAX: off */
    const struct snap_log *log;
    /* [a-z0-9]{1,16}, unique to this run: for node names and temporary
     * names. */
    const char *op_id;
    /* The guest stands: what undo() and take() put back has this long in all,
     * and what cannot be done in it fails (SNAP_TIMEOUT).  0: no hurry. */
    unsigned undo_ms;
    /* Does any domain other than domid have this image?  *who_r NULL: no.
     * Every driver asks before it lets a tool write to an image. */
    int (*image_user)(void *opaque, const char *path, char **who_r,
                      struct snap_err *err);
    /* The slow slots pull() and merge() call it a few times a second, bytes
     * being done of total; non-zero: stop (SNAP_INTR).  May be NULL. */
    int (*tick)(void *opaque, uint64_t done, uint64_t total);
    /* revert_undo() only: what somebody wrote to an image since it was changed
     * may be lost; else that is SNAP_RECOVER. */
    bool discard;
    /* revert_undo() only: nothing is changed.  SNAP_RECOVER: somebody has
     * written to the leaf that would go. */
    bool only_look;
    /* What a plan has given to other disks; NULL: nothing is counted. */
    struct snap_space *space;
    /* What stands_on() has found out in this plan (lib/seen.h), or NULL. */
    struct snap_seen *seen;
    void *opaque; /* for image_user and tick */
    void *opaque2; /* the operation's; drivers leave it alone */
};

/* What there is of what take() of a group makes. */
enum snap_taken {
    SNAP_TAKEN_NONE, /* it did not come to its end; undo() of its parts puts
                      * back whatever is there */
    SNAP_TAKEN_ALL,
    SNAP_TAKEN_HALF, /* and neither way is safe */
};

/*
 * Disks that one operation of their storage takes at one instant, whichever
 * drivers they have.  A snapshot may have several groups: op/ takes one after
 * the other while the guest stands, and puts back those that were taken if
 * one of them is not (op/parts.c).
 */
struct snap_group {
    const char *name; /* "qemu" */
    int deadline_ms; /* take() ends by itself, SNAP_TAKE_MAX_MS at most */
    /* In the window.  All of the parts or none; on failure the guest's images
     * are active as before (undo() of the parts still has to tidy up).
     * SNAP_RECOVER: what it did is not known, or could not be put back.
     * Domain off: what is frozen cannot be opened for writing afterwards, as
     * far as that can be had, and nobody has it open. */
    int (*take)(struct snap_disk_ctx *c, struct snap_part *const *parts,
                size_t n, struct snap_err *err);
    /*
     * For recovery: a window was opened, and its process died.  Did take()
     * come to its end?  By what is there, since only the group knows in which
     * order it works.  taken of each part says whether it is there.  Reads
     * only.
     */
    int (*was_taken)(struct snap_disk_ctx *c, struct snap_part *const *parts,
                     size_t n, enum snap_taken *how_r, struct snap_err *err);
};
/* The guardian lets the guest go on if nothing is heard for longer. */
#define SNAP_TAKE_MAX_MS 10000
/* was_taken() of storage that takes one disk after the other, and can undo
 * each: taken if all are there.  (model/disk_ops.c) */
int snap_group_all_there(struct snap_disk_ctx *c,
                         struct snap_part *const *parts, size_t n,
                         enum snap_taken *how_r, struct snap_err *err);
/* inspect() of a part for them: taken is whether it is there. */
int snap_part_look(struct snap_disk_ctx *c, struct snap_part *p,
                   enum snap_part_state *state_r, struct snap_err *err);

struct snap_disk_driver {
    const char *name; /* "overlay"; also in records */
    const char *doc; /* one line for --help and docs */

    /* capabilities */
    bool live; /* can take while the domain exists */
    bool offline; /* can take while it does not */
    bool moves_active; /* the guest writes to another object afterwards, and
                        * what is frozen is what it had */
    bool inside; /* what is frozen is in the object that the guest goes on
                  * writing to.  Neither: it is one of its own beside that */
    bool read_through; /* images may read through what is frozen, at whatever
                        * depth: stands_on(), pull() and merge() are asked */
    bool can_fill_up; /* needs space as the guest writes */
    bool needs_qmp; /* of a domain that is there: asks its QEMU */

    /* Is this disk mine?  0: no; larger wins.  Looks at the fields asked
     * only: no file is opened.  want is never met by another type. */
    int (*match)(const struct snap_part *p, enum snap_disk_type want);
    /*
     * Guest running or off.  Reads facts, fills "found" and "outcome", and
     * refuses with the reason and the way out everything that prepare() or
     * take() could foreseeably fail on.  Changes nothing.
     */
    int (*probe)(struct snap_disk_ctx *c, struct snap_part *p,
                 struct snap_err *err);
    /* What a record or a journal says of the part: can it be?  The rules that
     * hold for all drivers hold (docs/formats.md).  SNAP_CORRUPT; looks at no
     * storage. */
    int (*check)(const struct snap_part *p, struct snap_err *err);
    /* Who takes it.  Parts of one group and of equal key are taken by one
     * take(): the group's name, or that of a pool as well; static or in p. */
    const struct snap_group *group;
    const char *(*group_key)(const struct snap_part *p);
    /* Guest running.  Makes what can be made before the window; the guest's
     * data is not touched.  Slow is fine. */
    int (*prepare)(struct snap_disk_ctx *c, struct snap_part *p,
                   struct snap_err *err);
    /* Guest running again, before the record: what take() did without waiting
     * becomes durable.  Idempotent. */
    int (*secure)(struct snap_disk_ctx *c, struct snap_part *p,
                  struct snap_err *err);
    /* Guest running again, snapshot committed: protect what is frozen.
     * Failure is a warning, said in err. */
    int (*finish)(struct snap_disk_ctx *c, struct snap_part *p,
                  struct snap_err *err);
    /* Remove what prepare() and its group's take() made, if nothing was
     * written through it.  Idempotent; tolerates every state inspect() can tell; never
     * touches FOREIGN.  Guest at rest when taken, else in any state. */
    int (*undo)(struct snap_disk_ctx *c, struct snap_part *p,
                struct snap_err *err);
    /* What is really there, for recovery; reads only. */
    int (*inspect)(struct snap_disk_ctx *c, const struct snap_part *p,
                   enum snap_part_state *state_r, struct snap_err *err);

    /* Domain running or off.  Proves that the part can be brought back:
     * images whole, of the kind and size recorded, chain complete.  Plans
     * leaf_path and leaf_format (from op_id), so that the journal can name
     * them before revert_prepare() makes them.  frozen_path NULL (a plain
     * configuration file): found from active_path, with size unknown (0). */
    int (*verify)(struct snap_disk_ctx *c, struct snap_part *p,
                  struct snap_err *err);
    /* Domain running or off.  Makes the leaf that verify() planned, beside
     * the current one; checks space.  With p->leaf_dir verify() has checked
     * space, too, and what the part froze is only read. */
    int (*revert_prepare)(struct snap_disk_ctx *c, struct snap_part *p,
                          struct snap_err *err);
    /*
     * Domain and QEMU gone.  The images that revert_switch() changes in place
     * or, with back, revert_undo(): what the domain had before would be
     * another one, under the same name.  op/ keeps all others from them from
     * before the first part is switched until after the last, so that no
     * domain is started on disks of two moments.  Adds none if a new image
     * takes the place of the old one; with back only such as do not change if
     * there is nothing to put back.  With back it refuses what revert_undo()
     * would.  Changes nothing.
     */
    int (*in_place)(struct snap_disk_ctx *c, const struct snap_part *p,
                    bool back, struct snap_held_images *l,
                    struct snap_err *err);
    /* Domain and QEMU gone, but for a clone.  After this the leaf holds the
     * snapshot's data; must be undoable until revert_finish(). */
    int (*revert_switch)(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err);
    /* The new domain is there, and c->qmp is its QEMU (an image in use is
     * changed by nobody else).  Drops what served undo, and drop_path,
     * which is kept with a warning if it was written to since p->dropped. */
    int (*revert_finish)(struct snap_disk_ctx *c, struct snap_part *p,
                         struct snap_err *err);
    /* Back to before revert_prepare().  Idempotent.  Domain gone if it was
     * switched. */
    int (*revert_undo)(struct snap_disk_ctx *c, struct snap_part *p,
                       struct snap_err *err);

    /* Does the qcow2 image at path read through the image that the part froze?
     * By the headers of images; reads only, whoever has them open.  That very
     * image stands alone, and so does everything if frozen_path is NULL.  A
     * path whose folder is missing or empty is SNAP_REFUSED: it may be on what
     * is not mounted now.  So is a chain that ends where a file or its header
     * is missing. */
    int (*stands_on)(struct snap_disk_ctx *c, const struct snap_part *p,
                     const char *path, enum snap_stand *how_r,
                     struct snap_err *err);
    /*
     * Domain running or off.  Finds who reads through what the part froze and
     * decides how it can be given up; refuses, with the reason and the way
     * out, what pull(), merge() or remove() could foreseeably fail on or do
     * harm with.  Changes nothing.  An image that is gone is nothing to do.
     */
    int (*delete_plan)(struct snap_disk_ctx *c, struct snap_part *p,
                       struct snap_delete *d, struct snap_err *err);
    /* Domain running or off; slow.  Afterwards child i reads the same as
     * before and nothing through the frozen image.  At every moment each
     * image is valid and the snapshot whole, so it may die, fail, be stopped
     * (SNAP_INTR) and be called again. */
    int (*pull)(struct snap_disk_ctx *c, struct snap_part *p,
                const struct snap_delete *d, size_t i, struct snap_err *err);
    /* Domain running or off.  A pull() or merge() failed, or its process
     * died, and it is not gone on with: nothing of it works on afterwards,
     * and what was protected is so again.  Idempotent. */
    int (*delete_stop)(struct snap_disk_ctx *c, struct snap_part *p,
                       const struct snap_delete *d, struct snap_err *err);
    /* What p froze was changed by a pull() into it, or by remove() of a
     * snapshot inside it: remember it as it is now, and protect it. */
    int (*refreeze)(struct snap_disk_ctx *c, struct snap_part *p,
                    struct snap_err *err);
    /* MERGE only, before a merge(), with merge_switch() never called: did
     * somebody else write to the frozen image meanwhile, as far as d->begun,
     * d->host_started and time stamps tell?  live: this merge() will be QEMU's.
     * Reads only; what cannot be known is no. */
    bool (*merge_astray)(const struct snap_part *p,
                         const struct snap_delete *d, bool live);
    /* MERGE only: merge_switch() may have been called in a pause at
     * d->paused_at, and another domain is there since, or none.  Did the guest
     * go on with the leaf after it, as far as its time stamp tells?  Then that
     * has what is nowhere else.  Reads only; what cannot be known is no. */
    bool (*merge_went_on)(const struct snap_part *p,
                          const struct snap_delete *d);
    /* MERGE only: merge_switch() may have been called in a pause at
     * d->paused_at, no domain has the disk, and the guest did not go on with
     * the leaf.  Did QEMU leave that for good, or the guest go on with the
     * frozen image after it, as far as time stamps tell?  Then that has what
     * is nowhere else.  Reads only; what cannot be known is no: both are alike
     * then. */
    bool (*merge_went_below)(const struct snap_part *p,
                             const struct snap_delete *d);
    /*
     * MERGE only, and only with the record gone, since the frozen image takes
     * the writes of later.  merge(): guest running or domain off; slow; ends
     * with both images alike but for what a guest writes right now.  The
     * guest still writes to the leaf.  Goes on with what a process that died
     * began.
     */
    int (*merge)(struct snap_disk_ctx *c, struct snap_part *p,
                 const struct snap_delete *d, struct snap_err *err);
    /* Guest paused, or domain off.  From now on the frozen image is the
     * active one; the leaf holds the same until the guest goes on.
     * Idempotent.  On failure the leaf is active as before, unless
     * SNAP_RECOVER says that this is not known. */
    int (*merge_switch)(struct snap_disk_ctx *c, struct snap_part *p,
                        const struct snap_delete *d, struct snap_err *err);
    /* MERGE only; domain running, in any state, its QEMU in c->qmp.  What does
     * the guest write to at this very moment: the frozen image (*yes_r), or
     * the leaf?  QEMU is asked.  It may come later to what merge_switch() told
     * it in a process that died: call that first where it matters.
     * SNAP_REFUSED: to neither, as far as can be told.  Reads only; at most
     * 10 s. */
    int (*merge_switched)(struct snap_disk_ctx *c, const struct snap_part *p,
                          const struct snap_delete *d, bool *yes_r,
                          struct snap_err *err);
    /* Guest running or domain off: remove the old leaf.  First it loses its
     * name, under which an xl.cfg may have it, though somebody reads it still.
     * One that was written to since d->left stays: SNAP_RECOVER.
     * Idempotent. */
    int (*merge_finish)(struct snap_disk_ctx *c, struct snap_part *p,
                        const struct snap_delete *d, struct snap_err *err);
    /* Remove the snapshot's data for good; op/ has proved that nobody needs
     * it.  With p->keep_image only let go of it, and so, with a warning, if
     * somebody has written to it since it was frozen.  Idempotent. */
    int (*remove)(struct snap_disk_ctx *c, struct snap_part *p,
                  struct snap_err *err);
};

/* All drivers of the product, NULL-terminated (disk/table.c). */
extern const struct snap_disk_driver *const snap_disk_drivers[];

/* Does QEMU have the disk, as far as the part says?  (model/disk_ops.c) */
bool snap_part_by_qemu(const struct snap_part *p);
/* The best match among drivers, or NULL.  (model/disk_ops.c) */
const struct snap_disk_driver *
snap_disk_match(const struct snap_disk_driver *const *drivers,
                const struct snap_part *p, enum snap_disk_type want);
const struct snap_disk_driver *snap_disk_by_name(const struct snap_disk_driver
                                                     *const *drivers,
                                                 const char *name);

#endif /* SNAP_MODEL_DISK_OPS_H */

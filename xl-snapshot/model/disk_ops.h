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

#include "lib/log.h"
#include "lib/qmp.h"
#include "model/disk_part.h"

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
 * each: taken if all are there. */
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
     * only: no file is opened.  want is never met by another type.  format
     * NULL: nobody says, and it may be what the driver takes. */
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
    /*
     * The one name of an object of this driver's storage, under whichever name
     * it is asked for: as in a record, or without a kind, as in an xl.cfg:
     * that may be the path of a volume's device, or a link to it.
     * Compared with the answer for another one, of any driver, this moment, and
     * not kept.  NULL: none that this driver knows better than by its inode, as
     * are all files.  Reads only; caller frees.
     */
    char *(*identity)(struct snap_object o);
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

    /* Does this object read through what the part froze?  By the headers of
     * images; reads only, whoever has them open.  That very object stands
     * alone, and so does everything if frozen_path is NULL.  An object of
     * another kind than the driver's is GONE.  Its format is what somebody says
     * who knows, for a guest writes what it likes into a raw disk: what has
     * nothing below it by its format is ALONE, there or not; format NULL:
     * nobody says.  A path whose folder is missing or empty is SNAP_REFUSED:
     * it may be on what is not mounted now.  So is a chain that ends where a
     * file or its header is missing. */
    int (*stands_on)(struct snap_disk_ctx *c, const struct snap_part *p,
                     struct snap_object o, enum snap_stand *how_r,
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

/* The best match among drivers, or NULL. */
const struct snap_disk_driver *
snap_disk_match(const struct snap_disk_driver *const *drivers,
                const struct snap_part *p, enum snap_disk_type want);
const struct snap_disk_driver *snap_disk_by_name(const struct snap_disk_driver
                                                     *const *drivers,
                                                 const char *name);

#endif /* SNAP_MODEL_DISK_OPS_H */

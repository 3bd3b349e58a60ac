/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Helpers that create, revert and recover share: the driver context of an
 * environment, notes for people, and loops over the parts of a record.
 */
#ifndef SNAP_OP_PARTS_H
#define SNAP_OP_PARTS_H

#include "model/disk_object.h"
#include "model/env.h"
#include "store/record.h"
#include "store/state.h"
#include "store/store.h"

/* domid UINT32_MAX: the domain is off.  The context borrows env and qmp. */
/* For ctx.tick, where the user may still stop: progress, and Ctrl-C. */
int snap_ctx_tick(void *opaque, uint64_t done, uint64_t total);
void snap_ctx_init(struct snap_disk_ctx *c, struct snap_env *env,
                   uint32_t domid, struct snap_qmp *qmp, const char *op_id);
/* qmp_open() of the env's table, but a domain whose QEMU is gone, or that has
 * none, is no failure: *alive_r is false, *q_r NULL, and the first is said
 * (WARN).  Who has its images open then, the drivers find out. */
int snap_domain_qmp(struct snap_env *env, const struct snap_domain *dom,
                    struct snap_qmp **q_r, bool *alive_r,
                    struct snap_err *err);
/* 8 random letters and digits, for node names and temporary names. */
int snap_op_id_make(char id_r[17], struct snap_err *err);
/* 32 random hex digits. */
int snap_record_id_make(char **id_r, struct snap_err *err);

/* Where a user changes a running domain's disk for the next time: libxl keeps
 * no xl.cfg, nor which disks were attached later. */
#define SNAP_NOTE_XL_CFG "%s's xl.cfg, or the xl block-attach that plugs it in"

void snap_note_add(char ***notes, size_t *n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void snap_notes_free(char ***notes, size_t *n);
void snap_vbds_free(struct snap_vbd **vbds, size_t *n);
const struct snap_vbd *snap_vbd_find(const struct snap_vbd *vbds, size_t n,
                                     const char *vdev);
/* What it has, by the name that Xen knows; the kind is its driver's to tell.
 * None, if the drive is empty. */
struct snap_object snap_vbd_object(const struct snap_vbd *v);
void snap_records_free(struct snap_record **rs, size_t *n);

/* undo() of every part, last first; the first failure is kept, all are
 * tried. */
int snap_parts_undo(struct snap_disk_ctx *c, struct snap_part *parts, size_t n,
                    struct snap_err *err);
int snap_parts_revert_undo(struct snap_disk_ctx *c, struct snap_part *parts,
                           size_t n, struct snap_err *err);
/*
 * take() group by group; one that moves the guest to other images comes after
 * those that do not, since it is dearer to put back.  taken() is called after
 * each.  Ends at the first that fails; those before it stay taken, and the
 * caller undoes all with snap_parts_undo().
 */
int snap_parts_take(struct snap_disk_ctx *c, struct snap_part *parts, size_t n,
                    void (*taken)(void *opaque), void *opaque,
                    struct snap_err *err);
/*
 * Recovery: every group is asked what its take() did.  ALL: of every one, so
 * the snapshot is finished.  NONE: of one not, and so all that are there are to
 * be put back.  HALF: one of them is half taken.  taken of each part is set.
 */
int snap_parts_taken(struct snap_disk_ctx *c, struct snap_part *parts,
                     size_t n, enum snap_taken *how_r, struct snap_err *err);
/* set_active() for the parts whose active image is not their image. */
int snap_parts_set_active(struct snap_env *env, const struct snap_domain *dom,
                          const struct snap_part *parts, size_t n,
                          struct snap_err *err);
/* Those, as set_active() wants them; the caller frees *a_r. */
void snap_parts_active(const struct snap_part *parts, size_t n,
                       struct snap_active **a_r, size_t *n_r);
/* True if the guest writes to another file, or another format, afterwards. */
bool snap_part_moves(const struct snap_part *p);
/* The object that a revert may change in place, and that others may need as it
 * is; none (id NULL): the guest gets a new one in any case. */
struct snap_object snap_part_in_place(const struct snap_part *p);
/* secure() of every part. */
int snap_parts_secure(struct snap_disk_ctx *c, struct snap_part *parts,
                      size_t n, struct snap_err *err);
/* finish() of every part; what could not be protected becomes a NOTE. */
void snap_parts_finish(struct snap_env *env, struct snap_disk_ctx *c,
                       struct snap_part *parts, size_t n);
/* The state after a snapshot: name is current, leaves are the active images. */
void snap_state_after_create(struct snap_state *st,
                             const struct snap_record *rec);

#endif /* SNAP_OP_PARTS_H */

/* SPDX-License-Identifier: LGPL-2.1-only */
/* What the files of the reference drivers, and nobody else, need of each
 * other. */
#ifndef TESTS_FAKES_FAKE_DISK_INT_H
#define TESTS_FAKES_FAKE_DISK_INT_H

#include "fakes/fake_disk.h"
#include "model/disk_slots.h"

#define S fake_store_current

/* ---- fake_store.c: images by their index, -1 for none ---- */

/* The entry of this very path; or what it leads to, if it is a link. */
int fake_entry(const struct fake_store *s, const char *path);
int fake_lookup(const struct fake_store *s, const char *path);
int fake_add_entry(struct fake_store *s, const char *path, const char *format,
                   uint64_t size);
void fake_drop_entry(struct fake_store *s, int i);
/* What a reader gets, 0 if it cannot be opened; and what a writer does. */
uint64_t fake_content_of(const struct fake_store *s, int i);
void fake_write_to(struct fake_store *s, int i, uint64_t content);
struct fake_snap *fake_find_snap(struct fake_store *s, int image,
                                 const char *tag);
void fake_add_snap(struct fake_store *s, int image, const char *tag);
/* This disk of a QEMU's, or NULL. */
struct fake_open *fake_opener(const struct fake_store *s, uint32_t domid,
                              const char *vdev);
/* By this process, which has looked who has it; 0: by any that lives. */
bool fake_is_held(const struct fake_store *s, int image, pid_t by);
bool fake_is_open(const struct fake_store *s, int image);

/* ---- fake_disk.c: what the drivers share ---- */

int fake_fault(const char *what, const char *vdev, struct snap_err *err);
/* This disk as it is open in the domain's QEMU, or NULL. */
struct fake_open *fake_live(const struct snap_disk_ctx *c,
                            const struct snap_part *p);
/* Is there an overlay over it? */
bool fake_has_child(int image);
/* The top of what a QEMU has of this image, or -1. */
int fake_top_over(int image);
/* The name of p's image, and a file beside path; caller frees. */
char *fake_stem_of(const struct snap_part *p, const char *path);
char *fake_sibling(const struct snap_part *p, const char *path,
                   const char *suffix);
/* What a link leads to.  Of a volume's devices none is more real than others. */
const char *fake_real_path(const char *path);
int fake_probe_image(struct snap_disk_ctx *c, struct snap_part *p,
                     struct snap_err *err);
int fake_verify_image(const struct snap_part *p, const char *path,
                      const char *format, struct snap_err *err);
/* The image that a revert would make; and such a one goes. */
void fake_plan_leaf(const struct snap_disk_ctx *c, struct snap_part *p);
int fake_drop_leaf(struct snap_disk_ctx *c, const struct snap_part *p,
                   struct snap_err *err);
/* Was it written to since?  Then it is whoever's that was, and this is said. */
bool fake_is_somebodys(struct snap_disk_ctx *c, int i,
                       const struct snap_stamp *then);
/* revert_undo() of a leaf: it goes, or, if somebody has written to it, is
 * his. */
int fake_undo_leaf(struct snap_disk_ctx *c, const struct snap_part *p, int i,
                   bool written, struct snap_err *err);

/* Is this entry a volume?  And identity() of the drivers whose it is, or is
 * not. */
bool fake_is_volume(int image);
char *fake_identity(struct snap_object o, bool volume);
char *fake_file_identity(struct snap_object o);

/* Disks of one QEMU: one transaction. */
extern const struct snap_group fake_qemu_group;

/* Slots that are the same in all of them. */
int fake_nothing(struct snap_disk_ctx *c, struct snap_part *p,
                 struct snap_err *err);
int fake_secure(struct snap_disk_ctx *c, struct snap_part *p,
                struct snap_err *err);
int fake_stands_on(struct snap_disk_ctx *c, const struct snap_part *p,
                   struct snap_object o, enum snap_stand *how_r,
                   struct snap_err *err);

/* ---- fake_overlay_delete.c: slots of fake-external ---- */

int fake_overlay_delete_plan(struct snap_disk_ctx *c, struct snap_part *p,
                             struct snap_delete *d, struct snap_err *err);
int fake_overlay_pull(struct snap_disk_ctx *c, struct snap_part *p,
                      const struct snap_delete *d, size_t k,
                      struct snap_err *err);
int fake_overlay_delete_stop(struct snap_disk_ctx *c, struct snap_part *p,
                             const struct snap_delete *d,
                             struct snap_err *err);
int fake_overlay_refreeze(struct snap_disk_ctx *c, struct snap_part *p,
                          struct snap_err *err);
int fake_overlay_merge(struct snap_disk_ctx *c, struct snap_part *p,
                       const struct snap_delete *d, struct snap_err *err);
bool fake_overlay_merge_astray(const struct snap_part *p,
                               const struct snap_delete *d, bool live);
bool fake_overlay_merge_went_on(const struct snap_part *p,
                                const struct snap_delete *d);
bool fake_overlay_merge_went_below(const struct snap_part *p,
                                   const struct snap_delete *d);
int fake_overlay_merge_switch(struct snap_disk_ctx *c, struct snap_part *p,
                              const struct snap_delete *d,
                              struct snap_err *err);
int fake_overlay_merge_switched(struct snap_disk_ctx *c,
                                const struct snap_part *p,
                                const struct snap_delete *d, bool *yes_r,
                                struct snap_err *err);
int fake_overlay_merge_finish(struct snap_disk_ctx *c, struct snap_part *p,
                              const struct snap_delete *d,
                              struct snap_err *err);
int fake_overlay_remove(struct snap_disk_ctx *c, struct snap_part *p,
                        struct snap_err *err);

#endif /* TESTS_FAKES_FAKE_DISK_INT_H */

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A record as a file in the grammar of xl.cfg.
 */
#ifndef SNAP_STORE_RECORD_CFG_H
#define SNAP_STORE_RECORD_CFG_H

#include "model/cfg.h"
#include "store/record.h"

/* The text that --no-metadata --output writes: valid for libxlutil, each
 * string escaped so, readable, with a head comment.  SNAP_INVAL for a path
 * with a comma, which a disk's entry cannot hold, and for what no longer fits
 * into SNAP_CFG_MAX; a plan can ask (and free the text) before anything is
 * done. */
int snap_record_to_cfg(const struct snap_record *r, char **text_r,
                       struct snap_err *err);
/*
 * The other way, for snapshot-revert --config.  Accepts what to_cfg() wrote,
 * and also the plain file the user gave to snapshot-create (RFC V11): then
 * config_json is NULL, sizes and checksum are unknown (0, ""), and each part
 * has target/type only; the caller finds the rest from the images and the
 * memory image's header.
 */
int snap_record_from_cfg(const struct snap_cfg *cfg,
                         const struct snap_disk_driver *const *drivers,
                         struct snap_record *r_out, struct snap_err *err);

#endif /* SNAP_STORE_RECORD_CFG_H */

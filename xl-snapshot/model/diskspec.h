/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What is said about one disk: --disk, or an element of disk= in a file.
 */
#ifndef SNAP_MODEL_DISKSPEC_H
#define SNAP_MODEL_DISKSPEC_H

#include <stdbool.h>

#include "lib/rc.h"
#include "model/disk_ops.h"

/* What was said about one disk. */
struct snap_disk_choice {
    char *vdev;
    enum snap_disk_type type; /* AUTO: not said */
    char *target; /* new active image, or NULL */
    char *format; /* of the target: "qcow2", or NULL */
    /* revert from a config file: the image that holds the snapshot */
    char *image;
    char *image_format;
    bool skip; /* --no-disk */
    char *origin; /* "--disk xvda" or "s1.cfg:4" */
};

/*
 * Parse "VDEV[,type=internal|external][,target=PATH][,format=qcow2]" as
 * --disk takes it, or one element of the file's disk=/disks= list in any of:
 *   V5  'format=qcow2,vdev=hda,target=/new.qcow2'   'vdev=hda'   'hda'
 *       'hda=/new.qcow2,type=qcow2'  (HOWTO's: type here is the format)
 *   V9  '/new.qcow2,qcow2,hda' external     ',,hda' internal
 *   ours: also type=, image=, imageformat= (what --output writes).
 * origin is copied into the choice and put in front of messages.
 */
int snap_disk_choice_parse(const char *spec, bool from_file,
                           const char *origin, struct snap_disk_choice *c_r,
                           struct snap_err *err);
void snap_disk_choice_dispose(struct snap_disk_choice *c);

#endif /* SNAP_MODEL_DISKSPEC_H */

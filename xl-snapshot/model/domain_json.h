/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Reading and editing libxl's JSON form of a domain's configuration
 * (libxl_domain_config_to_json) as plain JSON, so that keys of other Xen
 * versions survive.  Needs no Xen.  Source of the shape: libxl_types.idl,
 * Xen 4.17 (disks[].{pdev_path,vdev,backend,format}, c_info.{name,uuid}).
 */
#ifndef SNAP_MODEL_DOMAIN_JSON_H
#define SNAP_MODEL_DOMAIN_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/rc.h"
#include "model/hyp_ops.h"

#define SNAP_DOMAIN_JSON_MAX (4u << 20)

/* Set pdev_path, format and backend (qdisk) of the named disks; a vdev that
 * the configuration does not have is SNAP_NOTFOUND.  *json_r is new. */
int snap_domain_json_set_disks(const char *json, const struct snap_active *a,
                               size_t n, char **json_r, struct snap_err *err);
/* A drive that loses its medium, or is left out altogether. */
struct snap_eject {
    const char *vdev;
    bool remove;
};
int snap_domain_json_eject(const char *json, const struct snap_eject *e,
                           size_t n, char **json_r, struct snap_err *err);
/* Name, uuid and type out of it; any *_r may be NULL. */
int snap_domain_json_identity(const char *json, char **name_r, char uuid_r[37],
                              enum snap_guest_type *type_r, uint64_t *mem_kb_r,
                              struct snap_err *err);
/* Give it another UUID.  *json_r is new. */
int snap_domain_json_set_uuid(const char *json, const char *uuid,
                              char **json_r, struct snap_err *err);
/* Another generation ID, if it has one: what runs from it is not what ran
 * before (xl.cfg(5), ms_vm_genid).  *json_r is new, or NULL if it has none. */
int snap_domain_json_new_genid(const char *json, char **json_r,
                               struct snap_err *err);
/* The disks it names, as vbds (frontend_state 0).  A backend that it does not
 * say is the one that libxl would choose (libxl_device.c, disk_try_backend(),
 * Xen 4.17): phy for raw devices and for scripts, else qdisk. */
int snap_domain_json_disks(const char *json, struct snap_vbd **vbds_r,
                           size_t *n_r, struct snap_err *err);

#endif /* SNAP_MODEL_DOMAIN_JSON_H */

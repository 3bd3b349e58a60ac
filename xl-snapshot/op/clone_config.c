/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See clone_config.h.  The shape, from Xen 4.17's libxl_types.idl and
 * libxl_json.c: a defbool is "True", "False" or "<default>"; a MAC address is
 * a text; an ms_vm_genid is an array of 16 numbers; the branch of a keyed
 * union is named by its key, "type.hvm" or "connection.pty".
 *
 * xl looks for none of these clashes (Xen 4.17): of two domains with one
 * address, one display or one socket, the second fails or, worse, does not.
 */
#include "op/clone_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "model/domain_json.h"
#include "op/parts.h"

#define TRIES 64

struct edit {
    const struct snap_clone_config *c;
    struct snap_json *root;
    char ***macs;
    size_t *n_macs;
    char ***notes;
    size_t *n_notes;
};

static int random_bytes(void *p, size_t len, struct snap_err *err)
{
    if (getrandom(p, len, 0) != (ssize_t)len)
        return snap_fail_errno(err, SNAP_FAIL, errno, "getrandom");
    return 0;
}

int snap_uuid_make(char uuid_r[37], struct snap_err *err)
{
    unsigned char b[16];
    size_t i, n = 0;
    int rc;

    rc = random_bytes(b, sizeof(b), err);
    if (rc)
        return rc;
    b[6] = 0x40 | (b[6] & 0x0f);
    b[8] = 0x80 | (b[8] & 0x3f);
    for (i = 0; i < sizeof(b); i++)
        n += snprintf(uuid_r + n, 37 - n, "%s%02x",
                      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
    return 0;
}

/* --- network ------------------------------------------------------------ */

static bool mac_taken(const struct edit *e, const char *mac)
{
    const struct snap_json *nics = snap_json_get(e->root, "nics");
    const char *have;
    size_t i;

    for (i = 0; i < snap_json_len(nics); i++) {
        have = snap_json_get_str(snap_json_at(nics, i), "mac");
        if (have && !strcasecmp(have, mac))
            return true;
    }
    return false;
}

/* Xen's part of the address space, as libxl takes it for a random address
 * (libxl_nic.c: libxl__device_nic_setdefault()). */
static int mac_make(const struct edit *e, char mac[18], struct snap_err *err)
{
    unsigned char b[3];
    int rc, tries;

    for (tries = 0; tries < TRIES; tries++) {
        rc = random_bytes(b, sizeof(b), err);
        if (rc)
            return rc;
        snprintf(mac, 18, "00:16:3e:%02x:%02x:%02x", b[0] & 0x7f, b[1], b[2]);
        if (!mac_taken(e, mac))
            return 0;
    }
    return snap_fail(err, SNAP_FAIL, "no free MAC address was found");
}

static int edit_nics(const struct edit *e, struct snap_err *err)
{
    struct snap_json *nics = snap_json_get(e->root, "nics"), *nic;
    const char *ip;
    char mac[18];
    size_t i;
    int rc;

    for (i = 0; i < snap_json_len(nics); i++) {
        nic = snap_json_at(nics, i);
        if (snap_json_type(nic) != SNAP_JSON_OBJECT)
            return snap_fail(err, SNAP_CORRUPT,
                             "the domain's configuration: a network device is no object");
        rc = mac_make(e, mac, err);
        if (rc)
            return rc;
        snap_json_set_str(nic, "mac", mac);
        snap_note_add(e->macs, e->n_macs, "%s", mac);
        /* A fixed name in dom0 is one device's only. */
        snap_json_set(nic, "ifname", NULL);
        ip = snap_json_get_str(nic, "ip");
        if (ip)
            snap_note_add(e->notes, e->n_notes,
                          "network device %zu is bound to the address %s, as the original's is; change that before both use it",
                          i, ip);
    }
    return 0;
}

/* --- displays ------------------------------------------------------------ */

static void edit_vnc(const struct edit *e, struct snap_json *vnc)
{
    const char *listen = snap_json_get_str(vnc, "listen"), *colon;
    char *host;
    bool fixed;

    if (snap_json_type(vnc) != SNAP_JSON_OBJECT ||
        snap_streq(snap_json_get_str(vnc, "enable"), "False"))
        return;
    colon = listen ? strrchr(listen, ':') : NULL;
    fixed = snap_json_get_int(vnc, "display", 0) != 0 || colon ||
            snap_streq(snap_json_get_str(vnc, "findunused"), "False");
    /* "ADDRESS:DISPLAY"; more colons are an IPv6 address. */
    if (colon && colon == strchr(listen, ':')) {
        host = snap_strndup(listen, colon - listen);
        snap_json_set_str(vnc, "listen", host);
        free(host);
    }
    snap_json_set(vnc, "display", NULL);
    snap_json_set_str(vnc, "findunused", "True");
    if (fixed)
        snap_note_add(e->notes, e->n_notes,
                      "VNC: the original has a fixed display; the clone takes the next free one (xl vncviewer %s)",
                      e->c->name);
}

static int edit_spice(const struct edit *e, struct snap_json *spice,
                      struct snap_err *err)
{
    if (!snap_streq(snap_json_get_str(spice, "enable"), "True"))
        return 0;
    if (e->c->memory)
        return snap_fail(err, SNAP_REFUSED,
                         "the domain has SPICE on a fixed port, which two cannot have, and its guest would miss it; use --disk-only");
    snap_json_set_str(spice, "enable", "False");
    snap_note_add(e->notes, e->n_notes,
                  "SPICE: the port is the original's; the clone has none");
    return 0;
}

/* --- lines to the outside ------------------------------------------------- */

/* What a second domain may have, too: it is made anew for each, or nothing. */
static bool own_line(const char *s)
{
    static const char *const fine[] = { "pty", "none", "null", "vc", "stdio" };
    size_t i;

    for (i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        if (snap_streq(s, fine[i]))
            return true;
    return !s || !s[0];
}

static void note_line(const struct edit *e, const char *what, const char *to)
{
    snap_note_add(e->notes, e->n_notes,
                  "%s: %s is the original's; the clone's leads nowhere", what,
                  to);
}

static void edit_serial(const struct edit *e, struct snap_json *hvm)
{
    const char *one = snap_json_get_str(hvm, "serial"), *s;
    struct snap_json *list = snap_json_get(hvm, "serial_list"), *fresh;
    size_t i;

    if (!own_line(one)) {
        note_line(e, "serial port", one);
        snap_json_set_str(hvm, "serial", "null");
    }
    if (!snap_json_len(list))
        return;
    fresh = snap_json_array();
    for (i = 0; i < snap_json_len(list); i++) {
        s = snap_json_string(snap_json_at(list, i), NULL);
        if (!own_line(s))
            note_line(e, "serial port", s);
        snap_json_push(fresh, snap_json_str(own_line(s) ? s : "null"));
    }
    snap_json_set(hvm, "serial_list", fresh);
}

static void edit_channels(const struct edit *e)
{
    struct snap_json *list = snap_json_get(e->root, "channels"), *ch;
    const char *name;
    size_t i;

    for (i = 0; i < snap_json_len(list); i++) {
        ch = snap_json_at(list, i);
        if (!snap_json_get(ch, "connection.socket"))
            continue;
        name = snap_json_get_str(ch, "name");
        snap_json_set(ch, "connection.socket", NULL);
        snap_json_set(ch, "connection.pty", snap_json_object());
        snap_note_add(e->notes, e->n_notes,
                      "channel %s: the socket is the original's; the clone's is a pty",
                      name ? name : "without a name");
    }
}

/* --- what only one can have ------------------------------------------------ */

static int edit_devices(const struct edit *e, struct snap_err *err)
{
    static const struct {
        const char *key;
        const char *what;
    } single[] = {
        { "pcidevs", "PCI devices" },
        { "dtdevs", "host devices" },
        { "usbdevs", "USB devices of the host" },
        { "vtpms", "a virtual TPM" },
        { "sshms", "static shared memory" },
        /* Each is served by a program for one domain (Xen 4.18). */
        { "virtios", "virtio devices with a backend of their own" },
    };
    const struct snap_json *p9s = snap_json_get(e->root, "p9s");
    const char *path;
    size_t i;

    for (i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
        if (!snap_json_len(snap_json_get(e->root, single[i].key)))
            continue;
        if (e->c->memory)
            return snap_fail(err, SNAP_REFUSED,
                             "the domain has %s, which two cannot have, and its guest would miss them; use --disk-only",
                             single[i].what);
        snap_json_set(e->root, single[i].key, NULL);
        snap_note_add(e->notes, e->n_notes,
                      "%s: two domains cannot have the same; the clone has none",
                      single[i].what);
    }
    for (i = 0; i < snap_json_len(p9s); i++) {
        path = snap_json_get_str(snap_json_at(p9s, i), "path");
        snap_note_add(e->notes, e->n_notes,
                      "9pfs: the clone shares the folder %s with the original",
                      path ? path : "of the host");
    }
    return 0;
}

/* QEMU's own names for what it emulates are anybody's; "host:..." is not. */
static int edit_usb(const struct edit *e, struct snap_json *hvm,
                    struct snap_err *err)
{
    const struct snap_json *list = snap_json_get(hvm, "usbdevice_list");
    bool one = snap_has_prefix(snap_json_get_str(hvm, "usbdevice"), "host:");
    bool found = one;
    struct snap_json *kept;
    const char *s;
    size_t i;

    kept = snap_json_array();
    for (i = 0; i < snap_json_len(list); i++) {
        s = snap_json_string(snap_json_at(list, i), NULL);
        if (snap_has_prefix(s, "host:"))
            found = true;
        else
            snap_json_push(kept, snap_json_copy(snap_json_at(list, i)));
    }
    if (!found || e->c->memory) {
        snap_json_free(kept);
        return found
                   ? snap_fail(err, SNAP_REFUSED,
                               "the domain has USB devices of the host, which two cannot have, and its guest would miss them; use --disk-only")
                   : 0;
    }
    if (one)
        snap_json_set(hvm, "usbdevice", NULL);
    /* An empty list is none. */
    snap_json_set(hvm, "usbdevice_list", kept);
    snap_note_add(e->notes, e->n_notes,
                  "USB devices of the host: two domains cannot have the same; the clone has none");
    return 0;
}

/* Serial numbers and asset tags are one machine's (libxl_types.idl of Xen
 * 4.19: libxl_smbios_type).  hvmloader takes the UUID where there is none. */
static void edit_smbios(const struct edit *e, struct snap_json *hvm)
{
    const struct snap_json *list = snap_json_get(hvm, "smbios"), *one;
    const char *file = snap_json_get_str(hvm, "smbios_firmware"), *key;
    struct snap_json *kept = snap_json_array();
    size_t i;

    for (i = 0; i < snap_json_len(list); i++) {
        one = snap_json_at(list, i);
        key = snap_json_get_str(one, "key");
        if (key && (strstr(key, "serial_number") || strstr(key, "asset_tag")))
            snap_note_add(e->notes, e->n_notes,
                          "SMBIOS: %s is the original's; from its next boot on the clone has none",
                          key);
        else
            snap_json_push(kept, snap_json_copy(one));
    }
    if (snap_json_len(kept) < snap_json_len(list))
        snap_json_set(hvm, "smbios", kept);
    else
        snap_json_free(kept);
    if (file && file[0])
        snap_note_add(e->notes, e->n_notes,
                      "SMBIOS: the clone has the tables of %s as well, serial numbers and all",
                      file);
}

/* New for every copy of a guest: that is what it is there for. */
static int edit_genid(struct snap_json *hvm, struct snap_err *err)
{
    struct snap_json *fresh;
    const struct snap_json *old = snap_json_get(hvm, "ms_vm_genid");
    unsigned char b[16];
    size_t i, set = 0;
    int rc;

    for (i = 0; i < snap_json_len(old); i++)
        set += snap_json_integer(snap_json_at(old, i), 0) != 0;
    if (!set)
        return 0;
    rc = random_bytes(b, sizeof(b), err);
    if (rc)
        return rc;
    fresh = snap_json_array();
    for (i = 0; i < sizeof(b); i++)
        snap_json_push(fresh, snap_json_int(b[i]));
    snap_json_set(hvm, "ms_vm_genid", fresh);
    return 0;
}

static int edit_hvm(const struct edit *e, struct snap_err *err)
{
    static const char *const extra[] = { "extra", "extra_pv", "extra_hvm" };
    struct snap_json *b_info = snap_json_get(e->root, "b_info"), *hvm;
    size_t i;
    int rc;

    for (i = 0; i < 3; i++)
        if (snap_json_len(snap_json_get(b_info, extra[i]))) {
            snap_note_add(e->notes, e->n_notes,
                          "the configuration has arguments for QEMU, which are the clone's as well: see that no file or port in them is used twice");
            break;
        }
    hvm = snap_json_get(b_info, "type.hvm");
    if (!hvm)
        return 0;
    edit_vnc(e, snap_json_get(hvm, "vnc"));
    edit_serial(e, hvm);
    edit_smbios(e, hvm);
    rc = edit_usb(e, hvm, err);
    if (!rc)
        rc = edit_spice(e, snap_json_get(hvm, "spice"), err);
    return rc ? rc : edit_genid(hvm, err);
}

/* --- all of it -------------------------------------------------------------- */

static bool listed(const struct snap_clone_config *c, const char *vdev)
{
    size_t i;

    for (i = 0; i < c->n_left_out; i++)
        if (snap_streq(c->left_out[i], vdev))
            return true;
    return false;
}

static void leave_out(const struct edit *e)
{
    const struct snap_json *disks = snap_json_get(e->root, "disks"), *d;
    struct snap_json *kept;
    size_t i;

    if (!e->c->n_left_out)
        return;
    kept = snap_json_array();
    for (i = 0; i < snap_json_len(disks); i++) {
        d = snap_json_at(disks, i);
        if (!listed(e->c, snap_json_get_str(d, "vdev")))
            snap_json_push(kept, snap_json_copy(d));
    }
    snap_json_set(e->root, "disks", kept);
}

static int edit(const struct edit *e, struct snap_err *err)
{
    struct snap_json *c_info = snap_json_get(e->root, "c_info");
    const struct snap_json *vfbs = snap_json_get(e->root, "vfbs");
    size_t i;
    int rc;

    if (snap_json_type(c_info) != SNAP_JSON_OBJECT)
        return snap_fail(err, SNAP_CORRUPT,
                         "the domain's configuration has no c_info");
    snap_json_set_str(c_info, "name", e->c->name);
    snap_json_set_str(c_info, "uuid", e->c->uuid);
    snap_json_set(c_info, "domid", NULL);
    leave_out(e);
    for (i = 0; i < snap_json_len(vfbs); i++)
        edit_vnc(e, snap_json_get(snap_json_at(vfbs, i), "vnc"));
    edit_channels(e);
    rc = edit_nics(e, err);
    if (!rc)
        rc = edit_devices(e, err);
    if (!rc)
        rc = edit_hvm(e, err);
    return rc;
}

int snap_clone_config_make(const char *json, const struct snap_clone_config *c,
                           char **json_r, char ***macs_r, size_t *n_macs_r,
                           char ***notes, size_t *n_notes,
                           struct snap_err *err)
{
    char *with_disks = NULL;
    struct edit e = {
        .c = c,
        .macs = macs_r,
        .n_macs = n_macs_r,
        .notes = notes,
        .n_notes = n_notes,
    };
    int rc;

    *json_r = NULL;
    *macs_r = NULL;
    *n_macs_r = 0;
    rc = snap_domain_json_set_disks(json, c->disks, c->n_disks, &with_disks,
                                    err);
    if (rc)
        goto out;
    rc = snap_json_parse(with_disks, strlen(with_disks), &e.root, err);
    if (rc)
        goto out;
    rc = edit(&e, err);
    if (rc)
        goto out;
    *json_r = snap_json_text(e.root, true);

out:
    if (rc)
        snap_notes_free(macs_r, n_macs_r);
    snap_json_free(e.root);
    free(with_disks);
    return rc;
}

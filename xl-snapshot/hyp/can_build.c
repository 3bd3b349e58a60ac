/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Before a domain is destroyed: could it be built again now?  Looks at what a
 * build opens or starts in dom0 and has no substitute for.  What libxl chooses
 * itself (hvmloader, QEMU, where a bootloader's bare name leads) is compiled
 * into it and cannot be asked for; where none of the known places has it, that
 * is only said.
 *
 * Keys of libxl's JSON and their meaning: libxl_types.idl, libxl_dom.c,
 * libxl_dm.c, libxl_nic.c and libxl_bootloader.c of Xen 4.17.  A value that is
 * the default is not there; a libxl_defbool is "True" or "False".
 */
#include "hyp/can_build.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hyp/call.h"
#include "hyp/config_file.h"
#include "hyp/ctx.h"
#include "hyp/domain.h"
#include "hyp/memory.h"
#include "hyp/xl_lock.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/run.h"
#include "model/domain_json.h"

#define MB_KB 1024u

const char *hyp_pci_sysfs = "/sys/bus/pci";
const char *hyp_net_sysfs = "/sys/class/net";
const char *hyp_script_dir = "/etc/xen/scripts";

static const char *const ovmf_places[] = {
    "/usr/share/ovmf/OVMF.fd",
    "/usr/lib/xen/boot/ovmf.bin",
    "/usr/libexec/xen/boot/ovmf.bin",
    "/usr/local/lib/xen/boot/ovmf.bin",
    "/usr/share/qemu-ovmf/bios/ovmf.bin",
    "/usr/share/edk2/xen/OVMF.fd",
    "/usr/share/edk2/ovmf/OVMF.fd",
    NULL,
};
static const char *const seabios_places[] = {
    "/usr/share/seabios/bios-256k.bin",
    "/usr/share/seabios/bios.bin",
    "/usr/lib/xen/boot/seabios.bin",
    "/usr/libexec/xen/boot/seabios.bin",
    "/usr/local/lib/xen/boot/seabios.bin",
    "/usr/share/qemu/bios-256k.bin",
    NULL,
};
const char *const *hyp_ovmf_places = ovmf_places;
const char *const *hyp_seabios_places = seabios_places;

/* --- collecting reasons ------------------------------------------------- */

static void can_build_add(struct hyp_lacks *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void can_build_add(struct hyp_lacks *l, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    snap_buf_addf(&l->why, "%s%s", l->why.len ? "; " : "", text);
    l->n++;
}

/* --- files -------------------------------------------------------------- */

static void must_exist(struct hyp_lacks *l, const char *what, const char *path)
{
    if (path && path[0] && access(path, F_OK))
        can_build_add(l, "%s %s: %s (put it back)", what, path,
                      strerror(errno));
}

static void file(struct hyp_lacks *l, const char *what, const char *path,
                 bool program)
{
    struct stat st;

    if (!path || !path[0])
        return;
    if (stat(path, &st))
        can_build_add(l,
                      "%s %s: %s (put it back; a link to another one will do)",
                      what, path, strerror(errno));
    else if (program && (!S_ISREG(st.st_mode) || access(path, X_OK)))
        can_build_add(l, "%s %s: not a program that can be run", what, path);
    else if (!program && S_ISDIR(st.st_mode))
        can_build_add(l, "%s %s: that is a folder", what, path);
    else if (path[0] != '/')
        snap_say(l->log, SNAP_LOG_NOTE,
                 "%s %s: found, but only from this folder: its path is not absolute",
                 what, path);
}

/* One of several places that libxl may have been built to look in. */
static void one_of(struct hyp_lacks *l, const char *what,
                   const char *const *places)
{
    size_t i;

    for (i = 0; places[i]; i++)
        if (!access(places[i], R_OK))
            return;
    snap_say(l->log, SNAP_LOG_NOTE,
             "%s is in none of the usual places (%s, …)", what, places[0]);
}

/* libxl_bootloader.c: first among libxl's own programs, then in PATH. */
static void bootloader(const struct snap_hyp *h, struct hyp_lacks *l,
                       const char *name)
{
    char *place, *found;

    if (name[0] == '/') {
        file(l, "bootloader", name, true);
        return;
    }
    place = snap_printf("/usr/lib/xen-%d.%d/bin/%s", h->xen_major,
                        h->xen_minor, name);
    found = access(place, X_OK) ? snap_run_find(name) : snap_strdup(place);
    if (!found)
        snap_say(l->log, SNAP_LOG_NOTE,
                 "bootloader %s: neither %s is there nor one in PATH", name,
                 place);
    free(found);
    free(place);
}

static const char *either(const struct snap_json *a, const struct snap_json *b,
                          const char *key)
{
    const char *s = snap_json_get_str(a, key);

    return s ? s : snap_json_get_str(b, key);
}

/* The guest's own, which hvmloader starts; libxl_dom.c. */
static void bios(struct hyp_lacks *l, const struct snap_json *hvm)
{
    const char *own = snap_json_get_str(hvm, "system_firmware");
    const char *name = snap_json_get_str(hvm, "bios");

    if (own && own[0])
        file(l, "system firmware", own, false);
    else if (snap_streq(name, "ovmf"))
        one_of(l, name, hyp_ovmf_places);
    else if (snap_streq(name, "seabios"))
        one_of(l, name, hyp_seabios_places);
}

static void boot_files(const struct snap_hyp *h, struct hyp_lacks *l,
                       const struct snap_json *b, enum snap_guest_type type)
{
    const struct snap_json *pv = snap_json_get(b, "type.pv");
    const struct snap_json *hvm = snap_json_get(b, "type.hvm");
    const char *loader = either(b, pv, "bootloader"), *firmware;
    char own[64];
    const char *const loaders[] = {
        own,
        "/usr/lib/xen/boot/hvmloader",
        "/usr/libexec/xen/boot/hvmloader",
        "/usr/local/lib/xen/boot/hvmloader",
        NULL,
    };

    snprintf(own, sizeof(own), "/usr/lib/xen-%d.%d/boot/hvmloader",
             h->xen_major, h->xen_minor);
    file(l, "device tree", snap_json_get_str(b, "device_tree"), false);
    if (type != SNAP_GUEST_HVM && loader && loader[0]) {
        bootloader(h, l, loader); /* it finds the kernel */
        return;
    }
    file(l, "kernel", either(b, pv, "kernel"), false);
    file(l, "ramdisk", either(b, pv, "ramdisk"), false);
    file(l, "PV shim",
         snap_json_get_str(snap_json_get(b, "type.pvh"), "pvshim_path"),
         false);
    if (type != SNAP_GUEST_HVM)
        return;
    firmware = snap_json_get_str(hvm, "firmware");
    if (firmware && firmware[0] == '/')
        file(l, "firmware", firmware, false);
    else
        one_of(l, "hvmloader", loaders);
    bios(l, hvm);
    file(l, "ACPI firmware", snap_json_get_str(hvm, "acpi_firmware"), false);
    file(l, "SMBIOS firmware", snap_json_get_str(hvm, "smbios_firmware"),
         false);
}

static void device_model(struct hyp_lacks *l, const struct snap_json *b)
{
    static const char *const places[] = {
        "/usr/libexec/xen-qemu-system-i386",
        "/usr/lib/xen/bin/qemu-system-i386",
        "/usr/libexec/xen/bin/qemu-system-i386",
        "/usr/local/lib/xen/bin/qemu-system-i386",
        "/usr/bin/qemu-system-i386",
        "/usr/bin/qemu-system-x86_64",
        "/usr/bin/qemu-system-aarch64",
        NULL,
    };
    const char *model = snap_json_get_str(b, "device_model");

    if (model && model[0])
        file(l, "device model", model, true);
    else
        one_of(l, "QEMU", places);
    file(l, "stub domain's kernel", snap_json_get_str(b, "stubdomain_kernel"),
         false);
    file(l, "stub domain's ramdisk",
         snap_json_get_str(b, "stubdomain_ramdisk"), false);
}

/* --- devices ------------------------------------------------------------ */

/* libxl_pci.c: assignable is what pciback has; with seize libxl sees to it. */
static void pci(struct hyp_lacks *l, const struct snap_json *config)
{
    const struct snap_json *all = snap_json_get(config, "pcidevs"), *one;
    char bdf[32], *there, *bound;
    size_t i;

    for (i = 0; i < snap_json_len(all); i++) {
        one = snap_json_at(all, i);
        snprintf(bdf, sizeof(bdf), "%04x:%02x:%02x.%x",
                 (unsigned)snap_json_get_int(one, "domain", 0) & 0xffff,
                 (unsigned)snap_json_get_int(one, "bus", 0) & 0xff,
                 (unsigned)snap_json_get_int(one, "dev", 0) & 0x1f,
                 (unsigned)snap_json_get_int(one, "func", 0) & 0x7);
        there = snap_printf("%s/devices/%s", hyp_pci_sysfs, bdf);
        bound = snap_printf("%s/drivers/pciback/%s", hyp_pci_sysfs, bdf);
        if (access(there, F_OK))
            can_build_add(l, "PCI device %s is not in this machine", bdf);
        else if (access(bound, F_OK) &&
                 !snap_json_get_bool(one, "seize", false))
            can_build_add(l,
                          "PCI device %s cannot be assigned to a guest (xl pci-assignable-add %s makes that possible)",
                          bdf, bdf);
        free(there);
        free(bound);
    }
}

/* What another domain serves has its bridge and its folders there. */
static bool is_dom0s(const struct snap_json *device)
{
    const char *name = snap_json_get_str(device, "backend_domname");

    return (!name || !name[0] || snap_streq(name, "Domain-0")) &&
           !snap_json_get_int(device, "backend_domid", 0);
}

/* A script that libxl runs for a device.  The folder of those without one in
 * their name is compiled into libxl. */
static void script(struct hyp_lacks *l, const char *name)
{
    char *path;

    if (!name || !name[0] || (name[0] != '/' && access(hyp_script_dir, F_OK)))
        return;
    path = name[0] == '/' ? snap_strdup(name)
                          : snap_printf("%s/%s", hyp_script_dir, name);
    file(l, "script", path, true);
    free(path);
}

/* As the script vif-bridge finds it: "xenbr0" may be "eth0", and a device may
 * have other names, which only the kernel knows. */
static bool has_bridge(const char *name)
{
    char *there = snap_printf("%s/%s", hyp_net_sysfs, name);
    char *old = NULL;
    bool has = !access(there, F_OK) || if_nametoindex(name);

    if (!has && snap_has_prefix(name, "xenbr")) {
        old = snap_printf("%s/eth%s/bridge", hyp_net_sysfs,
                          name + strlen("xenbr"));
        has = !access(old, F_OK);
    }
    free(old);
    free(there);
    return has;
}

/* What other scripts mean by a bridge only they know. */
static void nic(struct hyp_lacks *l, const struct snap_json *one)
{
    const char *run = snap_json_get_str(one, "script");
    const char *bridge = snap_json_get_str(one, "bridge");

    script(l, run);
    if (run && run[0] && !snap_streq(snap_basename(run), "vif-bridge"))
        return;
    if (!bridge || !bridge[0])
        bridge = "xenbr0"; /* libxl__device_nic_setdefault() */
    if (!has_bridge(bridge))
        can_build_add(l,
                      "bridge %s is not there (make it, or rename the one it is now)",
                      bridge);
}

/* Who serves it, by libxl's rule: the name if there is one, else the number
 * (libxl__resolve_domid()).  Caller frees. */
static char *server_of(const struct snap_json *device)
{
    const char *name = snap_json_get_str(device, "backend_domname");

    return name && name[0]
               ? snap_strdup(name)
               : snap_printf("%lld",
                             (long long)snap_json_get_int(device,
                                                          "backend_domid", 0));
}

/* A backend that is in a driver domain: without that domain libxl fails, or
 * waits for it, when the old one is destroyed.  Lists of all kinds of devices,
 * whatever they are called ("disks", "nics", "vtpms", …). */
static void servers(struct snap_hyp *h, struct hyp_lacks *l,
                    const struct snap_json *config)
{
    const struct snap_json *all, *one;
    size_t i, k;
    char *who;

    for (i = 0; l->serves && i < snap_json_len(config); i++) {
        all = snap_json_at(config, i);
        for (k = 0;
             snap_json_type(all) == SNAP_JSON_ARRAY && k < snap_json_len(all);
             k++) {
            one = snap_json_at(all, k);
            if (is_dom0s(one))
                continue;
            who = server_of(one);
            if (!l->serves(h, who))
                can_build_add(l,
                              "domain %s, which serves one of its devices (%s), does not run (start it)",
                              who, snap_json_key_at(config, i));
            free(who);
        }
    }
}

static void devices(struct hyp_lacks *l, const struct snap_json *config)
{
    const struct snap_json *nics = snap_json_get(config, "nics"),
                           *disks = snap_json_get(config, "disks"),
                           *p9s = snap_json_get(config, "p9s"), *one;
    const char *run = snap_json_get_str(snap_json_get(config, "c_info"),
                                        "run_hotplug_scripts");
    bool by_udev = snap_streq(run, "False");
    size_t i;

    for (i = 0; !by_udev && i < snap_json_len(nics); i++) {
        one = snap_json_at(nics, i);
        if (is_dom0s(one))
            nic(l, one);
    }
    for (i = 0; !by_udev && i < snap_json_len(disks); i++) {
        one = snap_json_at(disks, i);
        if (is_dom0s(one))
            script(l, snap_json_get_str(one, "script"));
    }
    for (i = 0; i < snap_json_len(p9s); i++) {
        one = snap_json_at(p9s, i);
        if (is_dom0s(one))
            must_exist(l, "shared folder", snap_json_get_str(one, "path"));
    }
}

/* --- versions ----------------------------------------------------------- */

/* Major and minor behind a word: "QEMU 7.2.22" is 7, 2. */
static bool version_of(const char *text, const char *word, int v[2])
{
    const char *p = text ? strstr(text, word) : NULL;
    char *end;

    if (!p)
        return false;
    p += strlen(word);
    v[0] = strtol(p, &end, 10);
    if (end == p || *end != '.')
        return false;
    p = end + 1;
    v[1] = strtol(p, &end, 10);
    return end != p;
}

/* The machine that libxl gives QEMU is "xenfv", which does not change, or
 * "pc", which is another one with each QEMU, if the guest has no Xen platform
 * device (libxl_dm.c). */
static void versions(struct hyp_lacks *l, const struct snap_json *b,
                     enum snap_guest_type type, const char *then,
                     const char *now)
{
    int xen[2][2], qemu[2][2];
    const char *platform = snap_json_get_str(snap_json_get(b, "type.hvm"),
                                             "xen_platform_pci");
    bool other_xen, other_qemu;

    if (!version_of(then, "Xen ", xen[0]) || !version_of(now, "Xen ", xen[1]))
        return;
    other_xen = memcmp(xen[0], xen[1], sizeof(xen[0]));
    other_qemu = version_of(then, "QEMU ", qemu[0]) &&
                 version_of(now, "QEMU ", qemu[1]) &&
                 memcmp(qemu[0], qemu[1], sizeof(qemu[0]));
    if (type == SNAP_GUEST_HVM && other_qemu && snap_streq(platform, "False"))
        can_build_add(l,
                      "its memory was saved with QEMU %d.%d and a machine of that version (xen_platform_pci=0), which QEMU %d.%d cannot load (install that QEMU again, or use --disk-only)",
                      qemu[0][0], qemu[0][1], qemu[1][0], qemu[1][1]);
    else if (other_xen || (other_qemu && type == SNAP_GUEST_HVM))
        snap_say(l->log, SNAP_LOG_NOTE,
                 "its memory was saved under %s, and here is %s: should it not be restored, --disk-only boots from the disks",
                 then, now);
}

/* --- together ----------------------------------------------------------- */

int hyp_build_lacks(struct snap_hyp *h, const char *config_json,
                    bool from_memory, const char *then, const char *now,
                    struct hyp_lacks *l, struct snap_err *err)
{
    int rc;
    char *program;
    enum snap_guest_type type;
    struct snap_json *config = NULL, *b;

    rc = snap_json_parse(config_json, strlen(config_json), &config, err);
    if (rc)
        goto out;
    rc = snap_domain_json_identity(config_json, NULL, NULL, &type, NULL, err);
    if (rc)
        goto out;
    b = snap_json_get(config, "b_info");
    device_model(l, b);
    pci(l, config);
    servers(h, l, config);
    devices(l, config);
    if (!from_memory) {
        boot_files(h, l, b, type);
    } else {
        versions(l, b, type, then, now);
        program = hyp_xl_program(h);
        if (!program)
            can_build_add(l,
                          "xl is neither in PATH nor in /usr/sbin (install xen-utils)");
        free(program);
    }
    rc = 0;

out:
    snap_json_free(config);
    return rc;
}

/*
 * Not what a guest lacks that is there now and gets back what it has: what Xen
 * keeps beside its memory (shadow and IOMMU tables, libxl_mem.c) is not in
 * freed_kb.
 */
static int memory(struct snap_hyp *h, const char *config_json,
                  uint64_t freed_kb, struct hyp_lacks *l, struct snap_err *err)
{
    libxl_domain_config cfg;
    uint64_t need = 0, have = 0;
    int rc, xl;

    libxl_domain_config_init(&cfg);
    xl = libxl_domain_config_from_json(h->ctx, &cfg, config_json);
    if (xl) {
        rc = hyp_fail(h, err, xl, "libxl cannot read its configuration");
        goto out;
    }
    xl = libxl_domain_need_memory(h->ctx, &cfg, INVALID_DOMID, &need);
    if (xl) {
        rc = hyp_fail(h, err, xl, "%s: cannot tell how much memory it needs",
                      cfg.c_info.name);
        goto out;
    }
    rc = hyp_free_mem(h, &have, err);
    if (rc)
        goto out;
    if (freed_kb)
        have += freed_kb + freed_kb / 32 + 16 * MB_KB;
    if (need > have)
        can_build_add(l,
                      "it needs %llu MB of memory, and %llu can be had (end or shrink another domain)",
                      (unsigned long long)need / MB_KB,
                      (unsigned long long)have / MB_KB);
    rc = 0;

out:
    libxl_domain_config_dispose(&cfg);
    return rc;
}

/* Somebody who builds another domain keeps ours waiting, and the guest would
 * be off for as long. */
static bool lock_held(struct snap_hyp *h, struct hyp_lacks *l)
{
    char *title;
    pid_t pid;

    if (!hyp_autoballoon(h))
        return false;
    pid = hyp_xl_lock_holder();
    if (!pid)
        return false;
    title = pid > 0 ? hyp_process_title(pid) : snap_strdup("another process");
    can_build_add(l, "%s builds a domain and holds %s (wait for it to end)",
                  title, hyp_xl_lock_file);
    free(title);
    return true;
}

static bool runs(struct snap_hyp *h, const char *who)
{
    struct snap_domain dom = { 0 };
    struct snap_err ignored = SNAP_ERR_INIT;
    int rc = hyp_find(h, who, &dom, &ignored);
    bool there = rc ? rc != SNAP_NOTFOUND : !dom.dying && !dom.shutdown;

    snap_domain_dispose(&dom);
    return there;
}

int hyp_can_build(struct snap_hyp *h, const char *config_json,
                  bool from_memory, const char *versions_then,
                  uint64_t freed_kb, struct snap_err *err)
{
    struct hyp_lacks l = { .log = NULL, .serves = runs };
    char *now = NULL, *name = NULL;
    bool busy, lacks;
    int rc;

    rc = hyp_version(h, &now, err);
    if (rc)
        goto out;
    rc = hyp_enter(h, "can_build", err);
    if (rc)
        goto out;
    rc = snap_domain_json_identity(config_json, &name, NULL, NULL, NULL, err);
    if (rc)
        goto out;
    /* A command asks more than once; what is doubtful it says once. */
    if (!h->build_noted[from_memory])
        l.log = h->log;
    h->build_noted[from_memory] = true;
    rc = hyp_build_lacks(h, config_json, from_memory, versions_then, now, &l,
                         err);
    if (rc)
        goto out;
    rc = memory(h, config_json, freed_kb, &l, err);
    if (rc)
        goto out;
    lacks = l.n > 0;
    busy = lock_held(h, &l) && !lacks;
    if (l.n)
        rc = snap_fail(err, busy ? SNAP_BUSY : SNAP_REFUSED,
                       "%s cannot be built now: %s", name, l.why.data);

out:
    snap_buf_dispose(&l.why);
    free(name);
    free(now);
    return rc;
}

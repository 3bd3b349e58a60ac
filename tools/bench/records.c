/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Fills a store with records, as snapshot-create would have written them but
 * without a sync for each: for tools/bench/list.sh.
 *
 *   records STORE N     N snapshots of one domain, each the child of the one
 *                       before it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/mem.h"
#include "store/record_check.h"
#include "store/record_json.h"
#include "store/store.h"

#define UUID "6b1f9a3c-2d4e-4f60-8a7b-0c1d2e3f4a5b"

/* What libxl 4.17 says of a small PVH guest with two disks. */
static const char config
    [] = "{\"c_info\":{\"type\":\"pvh\",\"hap\":\"True\",\"name\":\"web\","
         "\"uuid\":\"" UUID "\",\"run_hotplug_scripts\":\"True\"},"
         "\"b_info\":{\"max_vcpus\":2,\"avail_vcpus\":[0,1],\"numa_placement\":"
         "\"True\",\"max_memkb\":524288,\"target_memkb\":524288,"
         "\"shadow_memkb\":6144,\"sched_params\":{\"sched\":\"credit2\","
         "\"weight\":256,\"cap\":0},\"claim_mode\":\"True\",\"kernel\":"
         "\"/boot/vmlinuz-6.1.0-28-amd64\",\"cmdline\":\"root=/dev/xvda1 ro "
         "console=hvc0\",\"ramdisk\":\"/boot/initrd.img-6.1.0-28-amd64\","
         "\"device_model_version\":\"qemu_xen\",\"event_channels\":1023,"
         "\"nested_hvm\":\"False\",\"apic\":\"True\",\"type.pvh\":"
         "{\"pvshim\":\"False\"},\"arch_x86\":{\"msr_relaxed\":\"False\"},"
         "\"altp2m\":\"disabled\"},\"disks\":[{\"pdev_path\":\"/img/web.qcow2\","
         "\"vdev\":\"xvda\",\"backend\":\"qdisk\",\"format\":\"qcow2\","
         "\"removable\":1,\"readwrite\":1,\"discard_enable\":\"True\","
         "\"colo_enable\":\"False\",\"colo_restore_enable\":\"False\"},"
         "{\"pdev_path\":\"/img/data.qcow2\",\"vdev\":\"xvdb\",\"backend\":"
         "\"qdisk\",\"format\":\"qcow2\",\"removable\":1,\"readwrite\":1,"
         "\"discard_enable\":\"True\",\"colo_enable\":\"False\","
         "\"colo_restore_enable\":\"False\"}],\"nics\":[{\"devid\":0,\"mac\":"
         "\"00:16:3e:5a:21:7c\",\"bridge\":\"xenbr0\",\"script\":"
         "\"/etc/xen/scripts/vif-bridge\",\"nictype\":\"vif\"}],"
         "\"on_reboot\":\"restart\",\"on_soft_reset\":\"soft_reset\"}";

static void disk(struct snap_part *p, const char *vdev, const char *path)
{
    p->vdev = snap_strdup(vdev);
    p->drv = snap_disk_by_name(snap_disk_drivers, "qcow2-internal");
    p->type = SNAP_DISK_INTERNAL;
    p->size = 8ull << 30;
    p->path = snap_strdup(path);
    p->frozen_path = snap_strdup(path);
    p->active_path = snap_strdup(path);
    p->format = snap_strdup("qcow2");
    p->frozen_format = snap_strdup("qcow2");
    p->active_format = snap_strdup("qcow2");
}

static void fill(struct snap_record *r, const char *dir, unsigned i)
{
    memset(r, 0, sizeof(*r));
    r->id = snap_printf("%032x", i);
    r->name = snap_printf("hourly-%05u", i);
    r->description = snap_strdup("made by the timer");
    r->parent = i ? snap_printf("hourly-%05u", i - 1) : NULL;
    r->created = 1795257220 + 3600ll * i;
    r->domain_name = snap_strdup("web");
    memcpy(r->domain_uuid, UUID, sizeof(UUID));
    r->guest_type = SNAP_GUEST_PVH;
    r->consistency = snap_strdup("memory");
    r->config_json = snap_strdup(config);
    r->has_memory = true;
    r->mem_path = snap_printf("%s/memory/%s.save", dir, r->name);
    r->mem_size = 537395200;
    memset(r->mem_hash, 'a', 32);
    r->mem_kb = 524288;
    r->window_ms = 41.125;
    r->versions = snap_strdup("Xen 4.17.7, QEMU 7.2.22, xl-snapshot");
    r->parts = snap_zalloc(2 * sizeof(*r->parts));
    r->n_parts = 2;
    disk(&r->parts[0], "xvda", "/img/web.qcow2");
    disk(&r->parts[1], "xvdb", "/img/data.qcow2");
}

static int put(const struct snap_record *r, const char *path)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j = NULL;
    char *text = NULL;
    FILE *f = NULL;
    int rc;

    rc = snap_record_check(r, &err);
    if (rc) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    j = snap_record_to_json(r);
    text = snap_json_text(j, true);
    f = fopen(path, "w");
    rc = !f || fprintf(f, "%s\n", text) < 0;
    if (f && fclose(f))
        rc = 1;
    if (rc)
        perror(path);
    free(text);
    snap_json_free(j);
    return rc;
}

int main(int argc, char **argv)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_record r;
    unsigned long i, n;
    char *path;
    int rc = 0;

    if (argc != 3) {
        fprintf(stderr, "usage: records STORE N\n");
        return 2;
    }
    n = strtoul(argv[2], NULL, 10);
    umask(077);
    if (snap_store_open(&s, argv[1], UUID, true, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    for (i = 0; i < n && !rc; i++) {
        fill(&r, s.dir, (unsigned)i);
        path = snap_store_record_path(&s, r.name);
        rc = put(&r, path);
        free(path);
        snap_record_dispose(&r);
    }
    snap_store_close(&s);
    return rc;
}

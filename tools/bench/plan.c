/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What it costs to plan a command of a domain with many snapshots: real
 * images, the product's drivers, the domain off, and nothing of Xen.  For
 * tools/bench/plan.sh.
 *
 *   plan DIR RECORDS DISKS
 *
 * DIR/base.qcow2 and DIR/over.qcow2 are copied for each image; the second has
 * DIR/img/a-00000.qcow2 as its backing file, and that name is overwritten in
 * each copy.  The snapshots are a revert tree: thirty after each other, then
 * back to the first one, and thirty more.  Prints "COMMAND CPU-MS" lines: the
 * least of three rounds.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/drivers.h"
#include "disk/file/in_use.h"
#include "lib/mem.h"
#include "op/clone.h"
#include "op/create.h"
#include "op/delete.h"
#include "op/revert.h"
#include "store/record_check.h"
#include "store/record_json.h"
#include "store/state.h"
#include "store/store.h"

#define UUID  "6b1f9a3c-2d4e-4f60-8a7b-0c1d2e3f4a5b"
#define DEPTH 30

static const char *dir;
static unsigned n_records, n_disks;

static void die(const char *what, const struct snap_err *err)
{
    fprintf(stderr, "plan: %s: %s\n", what, err ? err->msg : "failed");
    exit(1);
}

/* ---- a hypervisor without domains ---- */

static int no_domain(struct snap_hyp *h, const char *who,
                     struct snap_domain *dom_r, struct snap_err *err)
{
    (void)h;
    (void)dom_r;
    return snap_fail(err, SNAP_NOTFOUND, "there is no domain %s", who);
}

static int no_user(struct snap_hyp *h, const char *path, uint32_t except,
                   char **who_r, struct snap_err *err)
{
    (void)h;
    (void)path;
    (void)except;
    (void)err;
    *who_r = NULL;
    return 0;
}

static pid_t no_monitor(struct snap_hyp *h, const char *uuid, const char *name)
{
    (void)h;
    (void)uuid;
    (void)name;
    return 0;
}

static char *not_saved(struct snap_hyp *h, const char *uuid)
{
    (void)h;
    (void)uuid;
    return NULL;
}

static int version(struct snap_hyp *h, char **text_r, struct snap_err *err)
{
    (void)h;
    (void)err;
    *text_r = snap_strdup("Xen 4.17.7, QEMU 7.2.22");
    return 0;
}

static int free_mem(struct snap_hyp *h, uint64_t *kb_r, struct snap_err *err)
{
    (void)h;
    (void)err;
    *kb_r = 8u << 20;
    return 0;
}

static int can_build(struct snap_hyp *h, const char *config_json,
                     bool from_memory, const char *versions, uint64_t freed_kb,
                     struct snap_err *err)
{
    (void)h;
    (void)config_json;
    (void)from_memory;
    (void)versions;
    (void)freed_kb;
    (void)err;
    return 0;
}

/* A plan of a domain that is off asks no more than these. */
static const struct snap_hyp_ops no_domains = {
    .name = "none",
    .version = version,
    .find = no_domain,
    .find_uuid = no_domain,
    .monitor = no_monitor,
    .saved = not_saved,
    .image_user = no_user,
    .free_mem = free_mem,
    .can_build = can_build,
};

/* ---- images ---- */

/* What the disk had open while record i was its newest one. */
static char *image(unsigned disk, unsigned i)
{
    return snap_printf("%s/img/%c-%05u.qcow2", dir, 'a' + (char)disk, i);
}

/* Thirty after each other, and each thirty from the first record of all. */
static bool branches(unsigned i)
{
    return i && i % DEPTH == 0;
}

static void copy(const char *from, const char *to, const char *backing)
{
    char buf[65536], *at = NULL, *old = image(0, 0);
    int in = open(from, O_RDONLY), out;
    off_t off = 0, size;
    ssize_t n;

    out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
    size = lseek(in, 0, SEEK_END);
    while ((off = lseek(in, off, SEEK_DATA)) >= 0 && off < size) {
        n = pread(in, buf, sizeof(buf), off);
        if (n > 0 && !off && backing) {
            at = memmem(buf, n, old, strlen(old));
            if (at)
                memcpy(at, backing, strlen(old));
        }
        if (n <= 0 || pwrite(out, buf, n, off) != n)
            die(to, NULL);
        off += n;
    }
    if ((backing && !at) || ftruncate(out, size))
        die(to, NULL);
    close(in);
    close(out);
    free(old);
}

static void make_images(void)
{
    char *base = snap_printf("%s/base.qcow2", dir);
    char *over = snap_printf("%s/over.qcow2", dir);
    char *path, *backing;
    unsigned d, i;

    for (d = 0; d < n_disks; d++)
        for (i = 0; i <= n_records; i++) {
            path = image(d, i);
            backing = i ? image(d, branches(i) ? 0 : i - 1) : NULL;
            copy(i ? over : base, path, backing);
            free(backing);
            free(path);
        }
    free(over);
    free(base);
}

/* ---- the store ---- */

static char *config_of(unsigned i)
{
    char *disks = snap_strdup(""), *more, *path, *all;
    unsigned d;

    for (d = 0; d < n_disks; d++) {
        path = image(d, i);
        more = snap_printf("%s%s{\"pdev_path\":\"%s\",\"vdev\":\"xvd%c\","
                           "\"backend\":\"qdisk\",\"format\":\"qcow2\","
                           "\"removable\":1,\"readwrite\":1}",
                           disks, d ? "," : "", path, 'a' + (char)d);
        free(path);
        free(disks);
        disks = more;
    }
    all = snap_printf("{\"c_info\":{\"type\":\"pvh\",\"name\":\"web\","
                      "\"uuid\":\"" UUID "\"},\"b_info\":{\"max_vcpus\":2,"
                      "\"max_memkb\":524288,\"target_memkb\":524288,"
                      "\"kernel\":\"/boot/vmlinuz\",\"type.pvh\":{}},"
                      "\"disks\":[%s],\"on_reboot\":\"restart\"}",
                      disks);
    free(disks);
    return all;
}

static char *name_of(unsigned i)
{
    return snap_printf("hourly-%05u", i);
}

static void fill(struct snap_record *r, unsigned i)
{
    unsigned d;

    memset(r, 0, sizeof(*r));
    r->id = snap_printf("%032x", i);
    r->name = name_of(i);
    r->parent = i ? name_of(branches(i) ? 0 : i - 1) : NULL;
    r->created = 1795257220 + 3600ll * i;
    r->domain_name = snap_strdup("web");
    memcpy(r->domain_uuid, UUID, sizeof(UUID));
    r->guest_type = SNAP_GUEST_PVH;
    r->consistency = snap_strdup("offline");
    r->config_json = config_of(i);
    r->versions = snap_strdup("Xen 4.17.7, QEMU 7.2.22, xl-snapshot");
    r->parts = snap_zalloc(n_disks * sizeof(*r->parts));
    r->n_parts = n_disks;
    for (d = 0; d < n_disks; d++) {
        struct snap_part *p = &r->parts[d];

        p->vdev = snap_printf("xvd%c", 'a' + (char)d);
        p->drv = snap_disk_by_name(snap_disk_drivers, "overlay");
        p->type = SNAP_DISK_EXTERNAL;
        p->size = 64u << 20;
        p->path = image(d, i);
        p->frozen_path = image(d, i);
        p->active_path = image(d, i + 1);
        p->format = snap_strdup("qcow2");
        p->frozen_format = snap_strdup("qcow2");
        p->active_format = snap_strdup("qcow2");
        p->stem = snap_printf("%c", 'a' + (char)d);
        p->frozen_made = i > 0;
    }
}

static void put(const struct snap_store *s, const struct snap_record *r)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_json *j;
    char *text, *path = snap_store_record_path(s, r->name);
    FILE *f = fopen(path, "w");

    if (snap_record_check(r, &err))
        die(r->name, &err);
    j = snap_record_to_json(r);
    text = snap_json_text(j, true);
    if (!f || fprintf(f, "%s\n", text) < 0 || fclose(f))
        die(path, NULL);
    free(text);
    snap_json_free(j);
    free(path);
}

static void make_store(const char *root)
{
    struct snap_err err = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state state = { 0 };
    struct snap_record r;
    char vdev[] = "xvd?", stem[2] = "?", *path;
    unsigned i, d;

    if (snap_store_open(&s, root, UUID, true, &err))
        die(root, &err);
    for (i = 0; i < n_records; i++) {
        fill(&r, i);
        put(&s, &r);
        snap_record_dispose(&r);
    }
    state.current = name_of(n_records - 1);
    state.domain_name = snap_strdup("web");
    for (d = 0; d < n_disks; d++) {
        vdev[3] = stem[0] = (char)('a' + d);
        path = image(d, n_records);
        snap_state_set_leaf(&state, vdev,
                            (struct snap_object){ .id = path,
                                                  .format = "qcow2" },
                            stem, true);
        free(path);
    }
    if (snap_state_save(&s, &state, &err))
        die("state", &err);
    snap_state_dispose(&state);
    snap_store_close(&s);
}

/* ---- the plans ---- */

static void plan_create(struct snap_env *env, struct snap_err *err)
{
    struct snap_create_req req = { .domain = (char *)UUID,
                                   .name = (char *)"new",
                                   .memory = SNAP_MEM_NO,
                                   .live = -1,
                                   .type = SNAP_DISK_EXTERNAL };
    struct snap_create_plan p = { 0 };

    if (snap_create_plan_make(env, &req, true, &p, err))
        die("create", err);
    snap_create_plan_dispose(&p);
}

/* One in the middle of the branch that the disks are on. */
static char *middle(void)
{
    return name_of(n_records - 1 - (n_records - 1) % DEPTH / 2);
}

static void plan_delete(struct snap_env *env, struct snap_err *err)
{
    struct snap_delete_req req = { .domain = (char *)UUID };
    struct snap_delete_plan p = { 0 };

    req.name = middle();
    if (snap_delete_plan_make(env, &req, true, &p, err))
        die("delete", err);
    snap_delete_plan_dispose(&p);
    free(req.name);
}

/* A branch and all that hangs on it. */
static void plan_children(struct snap_env *env, struct snap_err *err)
{
    struct snap_delete_req req = { .domain = (char *)UUID, .children = true };
    struct snap_delete_plan p = { 0 };

    req.name = name_of(n_records / 2 / DEPTH * DEPTH);
    if (snap_delete_plan_make(env, &req, true, &p, err))
        die("delete --children", err);
    snap_delete_plan_dispose(&p);
    free(req.name);
}

static void plan_revert(struct snap_env *env, struct snap_err *err)
{
    struct snap_revert_req req = { .domain = (char *)UUID };
    struct snap_revert_plan p = { 0 };

    req.name = middle();
    if (snap_revert_plan_make(env, &req, true, &p, err))
        die("revert", err);
    snap_revert_plan_dispose(&p);
    free(req.name);
}

static void plan_clone(struct snap_env *env, struct snap_err *err)
{
    struct snap_clone_req req = { .domain = (char *)UUID,
                                  .new_name = (char *)"web2" };
    struct snap_clone_plan p = { 0 };

    req.name = middle();
    if (snap_clone_plan_make(env, &req, true, &p, err))
        die("clone", err);
    snap_clone_plan_dispose(&p);
    free(req.name);
}

static double used_ms(int who)
{
    struct rusage u;

    getrusage(who, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

/* Ours, and that of the tools that it ran. */
static double cpu_ms(void)
{
    return used_ms(RUSAGE_SELF) + used_ms(RUSAGE_CHILDREN);
}

static void measure(const char *what,
                    void (*plan)(struct snap_env *, struct snap_err *),
                    struct snap_env *env)
{
    struct snap_err err = SNAP_ERR_INIT;
    double least = 0, ms;
    int i;

    for (i = 0; i < 3; i++) {
        snap_err_clear(&err);
        ms = cpu_ms();
        plan(env, &err);
        ms = cpu_ms() - ms;
        if (!i || ms < least)
            least = ms;
    }
    printf("%s %.1f\n", what, least);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct snap_env env = { .ops = &no_domains,
                            .drivers = snap_disk_drivers,
                            .check_unused = snap_image_check_unused,
                            .check_others = snap_image_check_others };
    char *root;

    if (argc != 4) {
        fprintf(stderr, "usage: plan DIR RECORDS DISKS\n");
        return 2;
    }
    dir = argv[1];
    n_records = (unsigned)strtoul(argv[2], NULL, 10);
    n_disks = (unsigned)strtoul(argv[3], NULL, 10);
    umask(077);
    make_images();
    root = snap_printf("%s/store", dir);
    make_store(root);
    env.store_root = root;
    measure("create", plan_create, &env);
    measure("revert", plan_revert, &env);
    measure("clone", plan_clone, &env);
    measure("delete", plan_delete, &env);
    measure("children", plan_children, &env);
    free(root);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See show_record.h.
 */
#include "cli/show_record.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "op/neighbours.h"

char *snap_what(bool memory, size_t disks)
{
    if (memory && !disks)
        return snap_strdup("memory");
    return snap_printf("%s%zu disk%s", memory ? "memory and " : "", disks,
                       disks == 1 ? "" : "s");
}

char *snap_record_what(const struct snap_record *rec)
{
    return snap_what(rec->has_memory, rec->n_parts);
}

void snap_report_disks(struct snap_report *r, const struct snap_column *cols,
                       size_t n, snap_disk_row_fn *row,
                       const struct snap_record *rec)
{
    size_t i;

    snap_report_table(r, "disks", cols, n);
    for (i = 0; i < rec->n_parts; i++)
        row(r, &rec->parts[i]);
}

void snap_report_domid(struct snap_report *r, bool there,
                       const struct snap_domain *d)
{
    snap_report_add(r, "domid", NULL,
                    there ? snap_json_int(d->domid) : snap_json_null(), NULL);
}

void snap_report_record(struct snap_report *r, const struct snap_record *rec)
{
    struct snap_json *captured = snap_json_array();
    char *what = snap_record_what(rec);

    snap_report_str(r, "uuid", "uuid", rec->domain_uuid);
    if (rec->description)
        snap_report_str(r, "description", "description", rec->description);
    if (rec->has_memory)
        snap_json_push(captured, snap_json_str("memory"));
    if (rec->n_parts)
        snap_json_push(captured, snap_json_str("disks"));
    snap_report_add(r, "captured", "captured", captured, what);
    snap_report_str(r, "consistency", "consistency", rec->consistency);
    free(what);
}

const char *snap_domain_state(const struct snap_domain *d)
{
    if (d->dying)
        return "dying";
    if (d->suspended)
        return "suspended";
    if (d->shutdown)
        return "shut down";
    if (d->paused)
        return "paused";
    return "running";
}

const char *snap_session_state(const struct snap_session *ses)
{
    return ses->there ? snap_domain_state(&ses->dom) : "off";
}

char *snap_session_text(const struct snap_session *ses, const char *name)
{
    if (!ses->there)
        return snap_printf("%s (does not exist now)", name);
    return snap_printf("%s (id %u, %s)", ses->dom.name, ses->dom.domid,
                       snap_domain_state(&ses->dom));
}

const char *snap_record_state(const struct snap_record *rec)
{
    if (snap_streq(rec->consistency, "offline"))
        return "shut down";
    return rec->paused ? "paused" : "running";
}

const char *snap_record_letters(const struct snap_record *rec)
{
    if (snap_streq(rec->consistency, "offline"))
        return "---s-";
    return rec->paused ? "--p--" : "r----";
}

static const struct snap_column disk_cols[] = {
    { "vdev", "DISK" },
    { "type", "TYPE" },
    { "size:json", NULL },
    { NULL, "SIZE" },
    { "frozen", "SNAPSHOT IN" },
    { "frozen_format", "FORMAT" },
    { "active", "GUEST WROTE TO" },
    { "format", "FORMAT" },
    { "driver", "DRIVER" },
    { "path", NULL },
    { "path_format", NULL },
    { "stem", NULL },
    { "keep_path:bool", NULL },
    { "data:json", NULL },
};

static void show_record_add_disk(struct snap_report *r,
                                 const struct snap_part *p)
{
    char *size = snap_printf("%" PRIu64, p->size);
    char *human = p->size ? snap_size_human(p->size) : NULL;
    char *data = p->data ? snap_json_text(p->data, false) : NULL;

    snap_report_row(r, (const char *const[]){
                           p->vdev, snap_disk_type_name(p->type), size, human,
                           p->frozen_path, p->frozen_format, p->active_path,
                           p->active_format, p->drv ? p->drv->name : NULL,
                           p->path, p->format, p->stem,
                           p->keep_path ? "yes" : "no", data });
    free(data);
    free(human);
    free(size);
}

static void show_record_add_memory(struct snap_report *r,
                                   const struct snap_record *rec)
{
    char *human;

    if (rec->has_memory) {
        snap_report_str(r, "memory.path", "memory in", rec->mem_path);
        snap_report_size(r, "memory.size", "its size", rec->mem_size);
        snap_report_str(r, "memory.checksum", "its checksum", rec->mem_hash);
        snap_report_bool(r, "memory.live", "live", rec->live);
    } else {
        snap_report_add(r, "memory", NULL, snap_json_null(), NULL);
    }
    human = snap_size_human(rec->mem_kb * 1024);
    snap_report_add(r, "memory_kb", rec->mem_kb ? "guest's memory" : NULL,
                    snap_json_int((int64_t)rec->mem_kb), human);
    free(human);
}

static void add_config(struct snap_report *r, const struct snap_record *rec)
{
    struct snap_json *j = NULL;
    char *size = snap_size_human(strlen(rec->config_json));
    char *text = snap_printf("%s; --json shows it", size);

    if (snap_json_parse(rec->config_json, strlen(rec->config_json), &j, NULL))
        j = snap_json_null();
    snap_report_add(r, "domain_config", "configuration", j, text);
    free(text);
    free(size);
}

static void add_clones(struct snap_report *r, const struct snap_record *rec,
                       const struct snap_clone *cs, size_t n)
{
    char **names = snap_zalloc((n + 1) * sizeof(*names));
    size_t i, m = 0;

    for (i = 0; i < n; i++)
        if (snap_clone_is_of(&cs[i], rec))
            names[m++] = cs[i].name;
    snap_report_strv(r, "clones", "clones", names, m);
    free(names);
}

struct snap_report *snap_report_snapshot(const struct snap_record *rec,
                                         bool current,
                                         const struct snap_clone *clones,
                                         size_t n_clones)
{
    struct snap_report *r = snap_report_new();
    char *tag = snap_printf("%" PRId64, rec->created);
    char *created = snap_time_iso(rec->created);

    snap_report_str(r, "name", "snapshot", rec->name);
    snap_report_add(r, "tag", "tag", snap_json_int(rec->created), tag);
    snap_report_str(r, "created", "taken", created);
    snap_report_str(r, "domain", "domain", rec->domain_name);
    snap_report_str(r, "type", "its type",
                    snap_guest_type_name(rec->guest_type));
    snap_report_record(r, rec);
    if (!rec->description)
        snap_report_str(r, "description", NULL, NULL);
    snap_report_str(r, "state", "domain was", snap_record_state(rec));
    snap_report_bool(r, "disk_only", "disk-only", !rec->has_memory);
    snap_report_str(r, "parent", "parent", rec->parent);
    snap_report_bool(r, "current", "current", current);
    add_clones(r, rec, clones, n_clones);
    show_record_add_memory(r, rec);
    snap_report_ms(r, "window_ms",
                   snap_streq(rec->consistency, "offline")
                       ? NULL
                       : "guest stood still",
                   rec->window_ms);
    snap_report_str(r, "versions", "versions", rec->versions);
    snap_report_str(r, "id", "id", rec->id);
    snap_report_strv(r, "left_out", "left out", rec->left_out,
                     rec->n_left_out);
    if (rec->config_json)
        add_config(r, rec);
    snap_report_disks(r, disk_cols, SNAP_COLUMNS(disk_cols),
                      show_record_add_disk, rec);
    free(created);
    free(tag);
    return r;
}

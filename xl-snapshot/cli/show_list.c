/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The forms of snapshot-list: the RFC's table, a block for each snapshot, a
 * tree, and one JSON object for the first two.
 */
#include "cli/show_list.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/log_sink.h"
#include "cli/notes.h"
#include "cli/output.h"
#include "cli/show_notes.h"
#include "cli/show_record.h"
#include "lib/mem.h"
#include "op/listing.h"
#include "op/neighbours.h"
#include "store/tree.h"

/* Deeper levels of a tree are not drawn, but told. */
#define DRAWN 24

static bool is_current(const struct snap_listing *l, size_t i)
{
    return snap_streq(l->current, l->rs[i].name);
}

static size_t count(const struct snap_listing *ls, size_t n)
{
    size_t i, all = 0;

    for (i = 0; i < n; i++)
        all += ls[i].n;
    return all;
}

static void put_none(struct snap_cli *cli)
{
    fprintf(cli->out, "no snapshots\n");
}

static const struct snap_column domain_cols[] = {
    { "domain", NULL },  { "uuid", NULL },        { "state", NULL },
    { "current", NULL }, { "interrupted", NULL },
};

static void add_domains(struct snap_report *r, const struct snap_listing *ls,
                        size_t n)
{
    size_t i;

    snap_report_table(r, "domains", domain_cols, SNAP_COLUMNS(domain_cols));
    for (i = 0; i < n; i++)
        snap_report_row(r,
                        (const char *const[]){
                            ls[i].name, ls[i].uuid,
                            ls[i].there ? snap_domain_state(&ls[i].dom) : NULL,
                            ls[i].current, ls[i].interrupted });
}

static void add_notes(struct snap_cli *cli, struct snap_report *r)
{
    struct snap_cli_notes notes = { 0 };

    snap_cli_notes_said(cli, &notes);
    snap_report_strv(r, "notes", NULL, notes.v, notes.n);
    snap_cli_notes_dispose(&notes);
}

/* --- table ------------------------------------------------------------- */

/* clang-format off */
#define ROW_COLUMNS                                                         \
    { "uuid", NULL },                                                       \
    { "tag:json", "TAG" },                                                  \
    { "name", "NAME" },                                                     \
    { "created", "DATE" },                                                  \
    { NULL, "STATE" },                                                      \
    { "disk_only:bool", "DISK-ONLY" },                                      \
    { NULL, "PARENT" },                                                     \
    { NULL, "CURRENT" },                                                    \
    { "parent", NULL },                                                     \
    { "state", NULL },                                                      \
    { "current:bool", NULL },                                               \
    { "description", NULL },                                                \
    { "consistency", NULL }
/* clang-format on */

/* The RFC's columns in its order, then ours.  All are always there: a script
 * may count them. */
static const struct snap_column one_cols[] = {
    { "domain", NULL },
    ROW_COLUMNS,
};
static const struct snap_column all_cols[] = {
    { "domain", "DOMAIN" },
    ROW_COLUMNS,
};

static void add_row(struct snap_report *r, const struct snap_listing *l,
                    size_t i)
{
    const struct snap_record *rec = &l->rs[i];
    char *tag = snap_printf("%" PRId64, rec->created);
    char *created = snap_time_iso(rec->created);
    bool current = is_current(l, i);

    snap_report_row(r, (const char *const[]){
                           l->name, l->uuid, tag, rec->name, created,
                           snap_record_letters(rec),
                           rec->has_memory ? "no" : "yes",
                           rec->parent ? rec->parent : "-",
                           current ? "*" : "-", rec->parent,
                           snap_record_state(rec), current ? "yes" : "no",
                           rec->description, rec->consistency });
    free(created);
    free(tag);
}

void snap_list_table(struct snap_cli *cli, const struct snap_listing *ls,
                     size_t n, bool one)
{
    struct snap_report *r = snap_report_new();
    size_t i, k;

    add_domains(r, ls, n);
    snap_report_table(r, "snapshots", one ? one_cols : all_cols,
                      SNAP_COLUMNS(one_cols));
    for (i = 0; i < n; i++)
        for (k = 0; k < ls[i].n; k++)
            add_row(r, &ls[i], k);
    add_notes(cli, r);
    if (cli->json)
        snap_report_json(r, cli->out);
    else if (count(ls, n))
        snap_report_text(r, cli->out);
    else
        put_none(cli);
    snap_report_free(r);
}

/* --- blocks ------------------------------------------------------------ */

static void long_json(struct snap_cli *cli, const struct snap_listing *ls,
                      size_t n, const struct snap_clone *cs, size_t n_cs)
{
    struct snap_report *r = snap_report_new(), *one;
    struct snap_json *all = snap_json_array();
    size_t i, k;

    add_domains(r, ls, n);
    for (i = 0; i < n; i++)
        for (k = 0; k < ls[i].n; k++) {
            one = snap_report_snapshot(&ls[i].rs[k], is_current(&ls[i], k), cs,
                                       n_cs);
            snap_json_push(all, snap_report_inner(one));
            snap_report_free(one);
        }
    snap_report_add(r, "snapshots", NULL, all, NULL);
    add_notes(cli, r);
    snap_report_json(r, cli->out);
    snap_report_free(r);
}

void snap_list_long(struct snap_cli *cli, const struct snap_listing *ls,
                    size_t n)
{
    struct snap_report *r;
    struct snap_err e = SNAP_ERR_INIT;
    struct snap_clone *cs = NULL;
    bool first = true;
    size_t i, k, n_cs = 0;

    if (snap_clones_look(&cli->env, NULL, &cs, &n_cs, &e))
        snap_sink_line(cli->sink, "warning: ", e.msg);
    if (cli->json) {
        long_json(cli, ls, n, cs, n_cs);
        goto out;
    }
    for (i = 0; i < n; i++)
        for (k = 0; k < ls[i].n; k++) {
            r = snap_report_snapshot(&ls[i].rs[k], is_current(&ls[i], k), cs,
                                     n_cs);
            snap_report_text(r, cli->out);
            snap_report_free(r);
            first = false;
        }
    if (first)
        put_none(cli);

out:
    snap_clones_free(&cs, &n_cs);
}

/* --- tree -------------------------------------------------------------- */

/* open[d]: at depth d another sibling follows. */
static void put_branches(FILE *f, const struct snap_tree_node *node,
                         const bool *open)
{
    size_t d;

    for (d = 1; d < node->depth && d < DRAWN; d++)
        fputs(open[d] ? "|  " : "   ", f);
    if (node->depth)
        fputs(node->last ? "`- " : "|- ", f);
    if (node->depth > DRAWN)
        fprintf(f, "(level %zu) ", node->depth);
}

static void put_node(FILE *f, const struct snap_listing *l,
                     const struct snap_tree_node *node)
{
    const struct snap_record *rec = &l->rs[node->record];
    char *created = snap_time_iso(rec->created);
    char *what = snap_record_what(rec);

    fprintf(f, "%s  %s  %s", rec->name, created, what);
    if (node->why == SNAP_TREE_ORPHAN)
        fprintf(f, "  (its parent %s is gone)", rec->parent);
    if (node->why == SNAP_TREE_CIRCLE)
        fprintf(f, "  (its parent is %s, which comes after it)", rec->parent);
    fprintf(f, "%s\n", is_current(l, node->record) ? "  <- now" : "");
    free(what);
    free(created);
}

static void put_tree(FILE *f, const struct snap_listing *l)
{
    struct snap_tree_node *nodes = snap_tree_make(l->rs, l->n);
    char *name = snap_strdup(l->name);
    bool open[DRAWN + 1] = { false }, current = false;
    size_t i;

    snap_clean(name);
    fprintf(f, "%s (%s), %s\n", name, l->uuid,
            l->there ? snap_domain_state(&l->dom) : "not there");
    for (i = 0; i < l->n; i++) {
        if (nodes[i].depth <= DRAWN)
            open[nodes[i].depth] = !nodes[i].last;
        put_branches(f, &nodes[i], open);
        put_node(f, l, &nodes[i]);
        current = current || is_current(l, nodes[i].record);
    }
    if (l->current && !current)
        fprintf(f, "now: after %s, which is gone\n", l->current);
    free(name);
    free(nodes);
}

void snap_list_tree(struct snap_cli *cli, const struct snap_listing *ls,
                    size_t n)
{
    bool first = true;
    size_t i;

    for (i = 0; i < n; i++) {
        if (!ls[i].n)
            continue;
        if (!first)
            fputc('\n', cli->out);
        put_tree(cli->out, &ls[i]);
        first = false;
    }
    if (first)
        put_none(cli);
}

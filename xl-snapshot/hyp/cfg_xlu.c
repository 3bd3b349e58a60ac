/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Parsing a configuration file with libxlutil, the library that reads xl.cfg:
 * the grammar is exactly xl's, and so are its messages ("FILE:LINE: ...").
 * libxlutil decides what is right and has the values; which keys there are
 * and where they stand is found by cfg_scan.c, and the two must agree.
 * "+=" appends, as in xl.cfg.  Works without Xen running.
 */
#define LIBXL_API_VERSION 0x041300
#include <libxlutil.h>

#include <stdlib.h>
#include <string.h>

#include "hyp/cfg_scan.h"
#include "hyp/cfg_xlu.h"
#include "lib/mem.h"

#define NEAR ": config parsing error near "

/*
 * libxlutil reports every error, and what it tried to recover from: the first
 * line is the one that is true.  Where the offender is the end of a line or a
 * comment, its line number is one too low (libxlu_cfg.c: xlu__cfg_yyerror()
 * takes back a newline that the scanner has taken back already, 4.17).
 */
static int cfg_xlu_refuse(const char *file, const char *report,
                          struct snap_err *err)
{
    size_t len = strlen(file), n = strcspn(report, "\n");
    const char *rest;
    char *end;
    long line;

    if (!n)
        return snap_fail(err, SNAP_INVAL, "%s: cannot be parsed", file);
    if (n > len && !strncmp(report, file, len) && report[len] == ':') {
        line = strtol(report + len + 1, &end, 10);
        if (end > report + len + 1 && *end == ':') {
            rest = end;
            if (snap_has_prefix(rest, NEAR "<newline>") ||
                snap_has_prefix(rest, NEAR "`#"))
                line++;
            return snap_fail(err, SNAP_INVAL, "%s:%ld%.*s", file, line,
                             (int)(report + n - rest), rest);
        }
    }
    return snap_fail(err, SNAP_INVAL, "%.*s", (int)n, report);
}

static int disagree(const struct snap_cfg *cfg, const struct snap_cfg_entry *e,
                    struct snap_err *err)
{
    return snap_fail(err, SNAP_INVAL, "%s:%d: \"%s\" cannot be understood",
                     cfg->file, e->line, e->key);
}

static int fill_list(XLU_Config *xlu, const struct snap_cfg *cfg,
                     struct snap_cfg_entry *e, struct snap_err *err)
{
    XLU_ConfigList *list = NULL;
    const char *item;
    int n = 0;
    size_t i;

    if (xlu_cfg_get_list(xlu, e->key, &list, &n, 1) || n < 0 ||
        (size_t)n != e->n)
        return disagree(cfg, e, err);
    for (i = 0; i < e->n; i++) {
        item = xlu_cfg_get_listitem(list, i);
        if (!item)
            return disagree(cfg, e, err);
        e->values[i] = snap_strdup(item);
    }
    return 0;
}

static int fill_values(XLU_Config *xlu, struct snap_cfg *cfg,
                       struct snap_err *err)
{
    struct snap_cfg_entry *e;
    const char *value;
    size_t i;
    int rc;

    for (i = 0; i < cfg->n; i++) {
        e = &cfg->entries[i];
        if (e->list) {
            rc = fill_list(xlu, cfg, e, err);
            if (rc)
                return rc;
            continue;
        }
        if (e->n != 1 || xlu_cfg_get_string(xlu, e->key, &value, 1))
            return disagree(cfg, e, err);
        e->values[0] = snap_strdup(value);
    }
    return 0;
}

int hyp_cfg_read(const char *file, const char *text, size_t len,
                 struct hyp_cfg_text *t_r, struct snap_err *err)
{
    memset(t_r, 0, sizeof(*t_r));
    /* libxlutil does not see a comment that no newline ends. */
    t_r->copy = snap_zalloc(len + 2);
    memcpy(t_r->copy, text, len);
    t_r->copy[len] = '\n';
    t_r->len = len + 1;
    t_r->to = open_memstream(&t_r->report, &t_r->report_len);
    t_r->xlu = t_r->to ? xlu_cfg_init(t_r->to, file) : NULL;
    if (!t_r->xlu)
        return snap_fail(err, SNAP_FAIL, "%s: out of memory", file);
    if (xlu_cfg_readdata(t_r->xlu, t_r->copy, (int)t_r->len)) {
        fflush(t_r->to);
        return cfg_xlu_refuse(file, t_r->report, err);
    }
    return 0;
}

void hyp_cfg_text_dispose(struct hyp_cfg_text *t)
{
    if (t->xlu)
        xlu_cfg_destroy(t->xlu);
    if (t->to)
        fclose(t->to);
    free(t->report);
    free(t->copy);
}

int hyp_cfg_parse(const char *file, const char *text, size_t len,
                  struct snap_cfg *cfg_r, struct snap_err *err)
{
    struct hyp_cfg_text t = { .xlu = NULL };
    int rc;

    cfg_r->file = snap_strdup(file);
    if (len > SNAP_CFG_MAX) {
        rc = snap_fail(err, SNAP_INVAL,
                       "%s: %zu bytes are too long for a configuration file",
                       file, len);
        goto out;
    }
    rc = cfg_scan_check(file, text, len, err);
    if (rc)
        goto out;
    rc = hyp_cfg_read(file, text, len, &t, err);
    if (rc)
        goto out;
    rc = cfg_scan_keys(file, t.copy, t.len, cfg_r, err);
    if (rc)
        goto out;
    rc = fill_values(t.xlu, cfg_r, err);

out:
    hyp_cfg_text_dispose(&t);
    return rc;
}

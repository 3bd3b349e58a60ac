/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The configuration of a domain that does not run, out of its xl.cfg.  Which
 * keys there are and what they mean is xl's own business (tools/xl/xl_parse.c
 * is in no library), so xl is asked: `xl create -n FILE` prints libxl's JSON
 * of what it would create, and creates nothing (xl_vmcontrol.c,
 * create_domain(): dryrun, Xen 4.17).
 *
 * The UUID in it is a random one, and another one each time, if the file has
 * none; whether it has is asked of libxlutil.
 */
#include "hyp/config_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hyp/call.h"
#include "hyp/cfg_xlu.h"
#include "lib/file.h"
#include "lib/run.h"
#include "model/cfg.h"

#include <libxlutil.h>

/* Debian keeps each version's xl beside its libraries; what stands in /usr/
 * sbin may be a front of ours.  A cron job or a unit has a PATH without sbin. */
char *hyp_xl_program(const struct snap_hyp *h)
{
    char *path = snap_printf("/usr/lib/xen-%d.%d/bin/xl", h->xen_major,
                             h->xen_minor);

    if (access(path, X_OK)) {
        free(path);
        path = snap_run_find("xl");
    }
    return path;
}

int hyp_no_xl(const struct snap_hyp *h, struct snap_err *err)
{
    return snap_fail(err, SNAP_NOTFOUND,
                     "there is no xl: neither /usr/lib/xen-%d.%d/bin/xl nor one in PATH or in /usr/sbin; install xen-utils",
                     h->xen_major, h->xen_minor);
}

/* Does this text of an xl.cfg have a value for uuid? */
static int has_uuid(const char *file, const char *text, size_t len,
                    bool *has_r, struct snap_err *err)
{
    int rc;
    const char *value;
    struct hyp_cfg_text t = { .xlu = NULL };

    rc = hyp_cfg_read(file, text, len, &t, err);
    *has_r = !rc && !xlu_cfg_get_string(t.xlu, "uuid", &value, 1);
    hyp_cfg_text_dispose(&t);
    return rc;
}

/* xl's reasons stand in its first line; the last one says that it failed. */
static int ask_xl(struct snap_hyp *h, const char *path, char **json_r,
                  struct snap_err *err)
{
    int rc;
    char *program = hyp_xl_program(h);
    const char *const argv[] = {
        program, "create", "-n", "-q", path, NULL,
    };
    struct snap_run r = SNAP_RUN_INIT;
    struct snap_err why = SNAP_ERR_INIT;

    if (!program)
        return hyp_no_xl(h, err);
    r.argv = argv;
    r.log = h->log;
    rc = snap_run(&r, &why);
    if (rc == SNAP_FAIL && r.err_text && r.err_text[0]) {
        r.err_text[strcspn(r.err_text, "\n")] = '\0';
        snap_clean(r.err_text);
        rc = snap_fail(err, SNAP_INVAL, "xl cannot use %s: %s", path,
                       r.err_text);
        goto out;
    }
    if (rc) {
        rc = snap_fail(err, rc, "xl create -n %s: %s", path, why.msg);
        goto out;
    }
    if (!r.out || r.out[strspn(r.out, " \n")] != '{') {
        rc = snap_fail(err, SNAP_PROTO,
                       "xl create -n %s printed no JSON; is output_format in xl.conf something else?",
                       path);
        goto out;
    }
    *json_r = snap_strdup(r.out);
    rc = 0;

out:
    snap_run_dispose(&r);
    free(program);
    return rc;
}

int hyp_config_file(struct snap_hyp *h, const char *path, char **json_r,
                    bool *has_uuid_r, struct snap_err *err)
{
    int rc;
    char *text = NULL;
    size_t len;

    *json_r = NULL;
    rc = hyp_enter(h, "config_file", err);
    if (rc)
        goto out;
    /* xl takes a word with a "=" for a line of configuration. */
    if (path[0] != '/' || strchr(path, '=')) {
        rc = snap_fail(err, SNAP_INVAL,
                       "%s: xl takes no configuration file whose path has a \"=\" in it; give it another name",
                       path);
        goto out;
    }
    rc = snap_file_read(path, SNAP_CFG_MAX, &text, &len, err);
    if (rc)
        goto out;
    rc = has_uuid(path, text, len, has_uuid_r, err);
    if (rc)
        goto out;
    rc = ask_xl(h, path, json_r, err);

out:
    free(text);
    return rc;
}

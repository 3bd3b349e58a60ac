/* SPDX-License-Identifier: LGPL-2.1-only */
/* See failure.h. */
#include "cli/failure.h"

#include <stdlib.h>

#include "cli/log_sink.h"
#include "lib/mem.h"

int snap_exit_of(int rc)
{
    switch (rc) {
    case SNAP_OK:
        return SNAP_EXIT_DONE;
    case SNAP_INVAL:
        return SNAP_EXIT_USAGE;
    case SNAP_RECOVER:
        return SNAP_EXIT_RECOVER;
    default:
        return SNAP_EXIT_FAILED;
    }
}

void snap_cli_report_error(struct snap_report *r, const struct snap_err *err)
{
    snap_report_str(r, "error.code", NULL, snap_rc_name(err->rc));
    snap_report_str(r, "error.message", NULL, err->msg);
}

int snap_cli_fail(struct snap_cli *cli, const struct snap_err *err)
{
    struct snap_report *r;

    snap_sink_line(cli->sink, "", err->msg);
    if (cli->json) {
        r = snap_report_new();
        snap_cli_report_error(r, err);
        snap_report_json(r, cli->out);
        snap_report_free(r);
    }
    return snap_exit_of(err->rc);
}

int snap_cli_usage(struct snap_cli *cli, const struct snap_err *err)
{
    int status = snap_cli_fail(cli, err);
    char *hint;

    if (cli->cmd)
        hint = snap_printf("see '%s --help'", cli->prog);
    else
        hint = snap_printf("see '%s help'", cli->as);
    snap_sink_line(cli->sink, "", hint);
    free(hint);
    return status;
}

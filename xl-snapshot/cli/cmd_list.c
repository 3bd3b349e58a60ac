/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-list: the snapshots of one domain or of all, running or not.  Only
 * looks: no lock is taken and nothing is recovered.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/job.h"
#include "cli/log_sink.h"
#include "cli/show_list.h"
#include "core/listing.h"
#include "lib/mem.h"

struct request {
    bool blocks;
    bool tree;
    const char *who;
};

static int on_option(void *ctx, const struct snap_opt *opt, const char *arg,
                     struct snap_err *err)
{
    struct request *req = ctx;

    (void)arg;
    switch (opt->id) {
    case OPT_LONG:
        req->blocks = true;
        return 0;
    case OPT_TREE:
        req->tree = true;
        return 0;
    default:
        return snap_fail(err, SNAP_INVAL, "--%s is not handled", opt->name);
    }
}

static int operands(void *ctx, int argc, char **argv, struct snap_err *err)
{
    struct request *req = ctx;

    if (argc > 1)
        return snap_fail(err, SNAP_INVAL, "'%s' is one word too many",
                         argv[1]);
    if (argc && !*argv[0])
        return snap_fail(err, SNAP_INVAL, "the name of the domain is empty");
    if (req->blocks && req->tree)
        return snap_fail(err, SNAP_INVAL,
                         "--long and --tree are two forms; choose one");
    req->who = argc ? argv[0] : NULL;
    return 0;
}

int snap_cmd_list(struct snap_cli *cli, int argc, char **argv)
{
    int rc, status;
    struct snap_err err = SNAP_ERR_INIT;
    struct request req = { 0 };
    struct snap_listing *ls = NULL;
    size_t n = 0;

    if (!snap_cli_begin(cli, argc, argv, on_option, operands, &req, &status))
        goto out;

    snap_cli_try_open(cli);
    rc = snap_listings_load(&cli->env, req.who, &ls, &n, &err);
    if (rc) {
        status = snap_cli_fail(cli, &err);
        goto out;
    }
    snap_sink_flush(cli->sink);
    if (req.blocks)
        snap_list_long(cli, ls, n);
    else if (req.tree && !cli->json)
        snap_list_tree(cli, ls, n);
    else
        snap_list_table(cli, ls, n, req.who != NULL);
    status = SNAP_EXIT_DONE;

out:
    snap_listings_free(&ls, &n);
    return status;
}

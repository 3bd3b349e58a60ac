/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * snapshot-list: the snapshots of one domain or of all, running or not.  Only
 * looks: no lock is taken and nothing is recovered.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/failure.h"
#include "cli/job.h"
#include "cli/log_sink.h"
#include "cli/show_list.h"
#include "lib/mem.h"
#include "op/listing.h"

struct request {
    bool blocks;
    bool tree;
    const char *who;
};

static int list_take(void *ctx, struct snap_words *w, struct snap_err *err)
{
    struct request *req = ctx;

    req->who = w->operand[0];
    req->blocks = snap_words_has(w, OPT_LONG);
    req->tree = snap_words_has(w, OPT_TREE);
    if (req->blocks && req->tree)
        return snap_fail(err, SNAP_INVAL,
                         "--long and --tree are two forms; choose one");
    return 0;
}

int snap_cmd_list(struct snap_cli *cli, int argc, char **argv)
{
    int rc, status;
    struct snap_err err = SNAP_ERR_INIT;
    struct request req = { 0 };
    struct snap_listing *ls = NULL;
    size_t n = 0;

    if (!snap_cli_begin(cli, argc, argv, NULL, list_take, &req, &status))
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

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The answers that bash completion asks for.
 */
#include "cli/complete.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "cli/job.h"
#include "lib/mem.h"
#include "op/resolve.h"
#include "store/state.h"
#include "store/store.h"

static const char *const kinds[] = {
    [ARG_NONE] = "none", [ARG_TEXT] = "text", [ARG_FILE] = "file",
    [ARG_DIR] = "dir",   [ARG_VDEV] = "vdev", [ARG_TYPE] = "type",
};

static int complete_options(struct snap_cli *cli, const char *word)
{
    const struct snap_cmd *cmd = NULL;
    const struct snap_opt *o;

    if (snap_cmd_find(word, &cmd, NULL))
        return 1;
    for (o = cmd->opts; o->id != OPT_END; o++) {
        fprintf(cli->out, "--%s %s\n", o->name, kinds[o->kind]);
        if (o->letter)
            fprintf(cli->out, "-%c %s\n", o->letter, kinds[o->kind]);
    }
    return 0;
}

/* A line for each: what it is, and the option that takes its place. */
static int complete_operands(struct snap_cli *cli, const char *word)
{
    static const char *const what[] = {
        [OPERAND_DOMAIN] = "domain",
        [OPERAND_SNAPSHOT] = "snapshot",
        [OPERAND_NEW] = "new",
        [OPERAND_CONFIG] = "config",
    };
    const struct snap_cmd *cmd = NULL;
    const struct snap_operand *o;
    const struct snap_opt *opt;

    if (snap_cmd_find(word, &cmd, NULL))
        return 1;
    for (o = cmd->operands; o->kind != OPERAND_END; o++) {
        fprintf(cli->out, "%s", what[o->kind]);
        for (opt = cmd->opts; o->instead && opt->id != OPT_END; opt++)
            if (opt->id == o->instead)
                fprintf(cli->out, " --%s", opt->name);
        fputc('\n', cli->out);
    }
    return 0;
}

static int complete_vdevs(struct snap_cli *cli, const char *who)
{
    int rc;
    struct snap_domain dom = { 0 };
    struct snap_vbd *vbds = NULL;
    size_t n = 0, i;

    rc = snap_cli_open(cli, NULL);
    if (rc)
        goto out;
    rc = snap_find_domain(&cli->env, who, &dom, NULL);
    if (rc)
        goto out;
    rc = cli->env.ops->disks(cli->env.hyp, &dom, &vbds, &n, NULL);
    if (rc)
        goto out;
    for (i = 0; i < n; i++)
        fprintf(cli->out, "%s\n", vbds[i].vdev);
    rc = 0;

out:
    for (i = 0; i < n; i++)
        snap_vbd_dispose(&vbds[i]);
    free(vbds);
    snap_domain_dispose(&dom);
    return rc ? 1 : 0;
}

/* Is this folder of the store the domain's?  By the store alone: the domain
 * need not exist now. */
static bool folder_is(struct snap_store *s, const char *who)
{
    struct snap_state st = { 0 };
    bool yes;

    if (!strcmp(s->uuid, who))
        return true;
    yes = !snap_state_load(s, &st, NULL) && snap_streq(st.domain_name, who);
    snap_state_dispose(&st);
    return yes;
}

static void list_folder(struct snap_cli *cli, struct snap_store *s)
{
    char *path = snap_printf("%s/records", s->dir);
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        if (e->d_name[0] == '.' || !snap_has_suffix(e->d_name, ".json"))
            continue;
        fprintf(cli->out, "%.*s\n", (int)(strlen(e->d_name) - 5), e->d_name);
    }
    if (d)
        closedir(d);
    free(path);
}

static int complete_snapshots(struct snap_cli *cli, const char *who)
{
    char **uuids = NULL;
    size_t n = 0, i;
    struct snap_store s;

    if (snap_store_domains(cli->env.store_root, &uuids, &n, NULL))
        return 1;
    for (i = 0; i < n; i++) {
        s = (struct snap_store)SNAP_STORE_INIT;
        if (!snap_store_open(&s, cli->env.store_root, uuids[i], false, NULL) &&
            folder_is(&s, who))
            list_folder(cli, &s);
        snap_store_close(&s);
        free(uuids[i]);
    }
    free(uuids);
    return 0;
}

int snap_complete_main(struct snap_cli *cli, int argc, char **argv)
{
    const struct snap_cmd *c;

    if (argc == 4 && !strcmp(argv[2], "--store"))
        cli->env.store_root = argv[3];
    else if (argc != 1 && argc != 2)
        return 1;
    if (!strcmp(argv[0], "commands")) {
        for (c = snap_cmds; c->name; c++)
            fprintf(cli->out, "%s\n", c->name);
        return 0;
    }
    if (argc < 2)
        return 1;
    if (!strcmp(argv[0], "options"))
        return complete_options(cli, argv[1]);
    if (!strcmp(argv[0], "operands"))
        return complete_operands(cli, argv[1]);
    if (!strcmp(argv[0], "vdevs"))
        return complete_vdevs(cli, argv[1]);
    if (!strcmp(argv[0], "snapshots"))
        return complete_snapshots(cli, argv[1]);
    return 1;
}

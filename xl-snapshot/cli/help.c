/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See help.h.
 */
#include "cli/help.h"

#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/failure.h"
#include "lib/mem.h"

#define LEFT  24 /* columns before an option's text */
#define RIGHT 79

static const char *prefix_of(const struct snap_cli *cli)
{
    return strcmp(cli->as, "xl") ? "" : SNAP_XL_PREFIX;
}

void snap_help_all(struct snap_cli *cli, FILE *f)
{
    const struct snap_cmd *c;
    char *name;

    fprintf(f, "Usage: %s [-vfNtT] [--store DIR] <command> [args]\n\n",
            cli->as);
    fprintf(f,
            "Snapshots of Xen domains: memory and disks at one instant.\n\n");
    for (c = snap_cmds; c->name; c++) {
        name = snap_printf("%s%s", prefix_of(cli), c->name);
        fprintf(f, " %-19s %s\n", name, c->desc);
        free(name);
    }
    fprintf(f,
            "\n'%s help <command>' shows its options; --version the version.\n",
            cli->as);
}

/* text in words, between columns LEFT and RIGHT; the cursor is at LEFT. */
static void wrap(const char *text, FILE *f)
{
    int col = LEFT;
    size_t n;

    while (*text) {
        n = strcspn(text, " ");
        if (col > LEFT && col + 1 + (int)n > RIGHT) {
            fprintf(f, "\n%*s", LEFT, "");
            col = LEFT;
        }
        if (col > LEFT) {
            fputc(' ', f);
            col++;
        }
        fwrite(text, 1, n, f);
        col += (int)n;
        text += n;
        while (*text == ' ')
            text++;
    }
    fputc('\n', f);
}

/* "DOMAIN NAME | DOMAIN --config FILE" */
static void add_operands(struct snap_buf *b, const struct snap_cmd *cmd)
{
    const struct snap_operand *o;
    const struct snap_opt *opt;
    size_t before;

    for (o = cmd->operands; o->kind != OPERAND_END; o++) {
        before = b->len;
        snap_buf_addf(b, o->optional ? "%s[%s]" : "%s%s", b->len ? " " : "",
                      snap_operand_name(o->kind));
        if (!o->instead)
            continue;
        for (opt = cmd->opts; opt->id != o->instead; opt++)
            ;
        snap_buf_addf(b, " | %.*s --%s %s", (int)before, b->data, opt->name,
                      opt->arg);
    }
}

void snap_help_cmd(struct snap_cli *cli, const struct snap_cmd *cmd, FILE *f)
{
    const struct snap_opt *o;
    struct snap_buf b = { 0 };

    add_operands(&b, cmd);
    fprintf(f,
            "Usage: %s [-vtT%s%s] %s%s [options] %s\n\n%s.\n\n"
            "Options:\n\n",
            cli->as, cmd->modifies ? "f" : "", cmd->can_dryrun ? "N" : "",
            prefix_of(cli), cmd->name, b.data, cmd->desc);
    for (o = cmd->opts; o->id != OPT_END; o++) {
        b.len = 0;
        if (o->letter)
            snap_buf_addf(&b, "-%c%s%s, ", o->letter, o->arg ? " " : "",
                          o->arg ? o->arg : "");
        snap_buf_addf(&b, "--%s%s%s", o->name, o->arg ? "=" : "",
                      o->arg ? o->arg : "");
        if (b.len < LEFT)
            fprintf(f, "%-*s", LEFT, b.data);
        else
            fprintf(f, "%s\n%*s", b.data, LEFT, "");
        wrap(o->help, f);
    }
    fputc('\n', f);
    snap_buf_dispose(&b);
}

int snap_help_main(struct snap_cli *cli, int argc, char **argv)
{
    struct snap_err err = SNAP_ERR_INIT;
    const struct snap_cmd *cmd = NULL;

    if (argc < 2 || !strcmp(argv[1], "help")) {
        snap_help_all(cli, cli->out);
        return SNAP_EXIT_DONE;
    }
    if (argc > 2) {
        snap_fail(&err, SNAP_INVAL, "help takes one command");
        return snap_cli_usage(cli, &err);
    }
    if (snap_cmd_find(argv[1], &cmd, &err))
        return snap_cli_usage(cli, &err);
    snap_help_cmd(cli, cmd, cli->out);
    return SNAP_EXIT_DONE;
}

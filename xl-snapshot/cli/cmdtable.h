/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The declarative table of commands.  Parsing, operands, usage, --help, the lines that
 * `xl help` shows, bash completion and the check of the manual page are all
 * made from it, so that they cannot disagree.
 */
#ifndef SNAP_CLI_CMDTABLE_H
#define SNAP_CLI_CMDTABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/commands.h"
#include "lib/rc.h"

struct snap_cli;

enum snap_opt_id {
    OPT_END, /* ends a list */
    /* handled by options.c for every command */
    OPT_DRY_RUN,
    OPT_JSON,
    OPT_STORE,
    OPT_VERBOSE,
    OPT_HELP,
    /* handed to the command */
    OPT_NAME,
    OPT_DESCRIPTION,
    OPT_DISK_ONLY,
    OPT_LIVE,
    OPT_PAUSED,
    OPT_TYPE,
    OPT_DISK,
    OPT_NO_DISK,
    OPT_MEMORY,
    OPT_REUSE_EXTERNAL,
    OPT_KEEP_PATH,
    OPT_NO_METADATA,
    OPT_OUTPUT,
    OPT_NO_WAIT,
    OPT_CONFIG,
    OPT_LONG,
    OPT_TREE,
    OPT_CHECK,
    OPT_CHILDREN,
    OPT_CHILDREN_ONLY,
    OPT_DOMAIN_CONFIG,
    OPT_DIR,
    OPT_NO_START,
    OPT_KEEP,
    OPT_DISCARD,
    OPT_TAKE_OVER,
    OPT_EJECT_MISSING,
    OPT_COUNT, /* how many there are */
};

/* What an argument is, for completion. */
enum snap_arg_kind {
    ARG_NONE,
    ARG_TEXT,
    ARG_FILE,
    ARG_DIR,
    ARG_VDEV,
    ARG_TYPE,
};

struct snap_opt {
    enum snap_opt_id id;
    char letter; /* 0: long form only */
    const char *name; /* without the dashes */
    const char *arg; /* what --help calls the argument */
    enum snap_arg_kind kind; /* ARG_NONE: takes none */
    bool repeat; /* may be given more than once */
    const char *help;
};

/* What an operand is: how it is called, asked for, checked and completed. */
enum snap_operand_kind {
    OPERAND_END, /* ends a list */
    OPERAND_DOMAIN, /* name, number or UUID */
    OPERAND_SNAPSHOT, /* of the domain before it */
    OPERAND_NEW, /* the name of a clone */
    OPERAND_CONFIG, /* a file; may stand before the domain, with a slash */
};

#define SNAP_OPERANDS_MAX 3

struct snap_operand {
    enum snap_operand_kind kind;
    bool optional;
    enum snap_opt_id instead; /* the option that takes its place, or OPT_END */
};

struct snap_cmd {
    const char *name; /* "create" */
    int (*impl)(struct snap_cli *cli, int argc, char **argv);
    bool can_dryrun;
    bool modifies;
    bool needs_store; /* looks for something in it */
    const char *desc;
    const struct snap_operand *operands; /* ends with OPERAND_END */
    const struct snap_opt *opts; /* ends with OPT_END */
};

/* snap_cmd_create() of cmd_create.c and so on; each returns an exit status. */
#define SNAP_CMD_IMPL(word, ...) \
    int snap_cmd_##word(struct snap_cli *cli, int argc, char **argv);
SNAP_COMMANDS(SNAP_CMD_IMPL)

/* What usage calls an operand: "DOMAIN". */
const char *snap_operand_name(enum snap_operand_kind kind);

extern const struct snap_cmd snap_cmds[]; /* ends with a NULL name */

/*
 * Look a word up: "create", "snapshot-create", or the unambiguous beginning
 * of either.  SNAP_INVAL with the candidates if there is more than one.
 */
int snap_cmd_find(const char *word, const struct snap_cmd **cmd_r,
                  struct snap_err *err);

#endif /* SNAP_CLI_CMDTABLE_H */

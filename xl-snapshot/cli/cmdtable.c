/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See cmdtable.h.  An option has one row here and one case in its command;
 * tests/cli/test_docs.sh fails when the manual page lacks it or has more.
 */
#include "cli/cmdtable.h"

#include <string.h>

#include "lib/mem.h"

/* clang-format off */
#define COMMON_OPTS                                                         \
    { OPT_DRY_RUN, 'N', "dry-run", NULL, ARG_NONE, true,                    \
      "Print the plan and touch nothing." },                                \
    LOOK_OPTS
/* For commands that change nothing. */
#define LOOK_OPTS                                                           \
    { OPT_JSON, 0, "json", NULL, ARG_NONE, true,                            \
      "Print one JSON object on standard output." },                        \
    { OPT_STORE, 0, "store", "DIR", ARG_DIR, false,                         \
      "Keep snapshots below DIR instead of /var/lib/xen/snapshots." },      \
    { OPT_VERBOSE, 'v', "verbose", NULL, ARG_NONE, true,                    \
      "Say every step." },                                                  \
    { OPT_HELP, 'h', "help", NULL, ARG_NONE, true,                          \
      "Print this help." },                                                 \
    { OPT_END, 0, NULL, NULL, ARG_NONE, false, NULL }

static const struct snap_opt create_opts[] = {
    { OPT_NAME, 'n', "name", "NAME", ARG_TEXT, false,
      "Name of the snapshot (default: seconds since 1970)." },
    { OPT_DESCRIPTION, 0, "description", "TEXT", ARG_TEXT, false,
      "A line of text to keep with it." },
    { OPT_DISK_ONLY, 'D', "disk-only", NULL, ARG_NONE, true,
      "Only the disks, as a power cut would leave them; not the memory." },
    { OPT_MEMORY, 0, "memory", "FILE", ARG_FILE, false,
      "Write the memory to FILE (absolute path) instead of the store." },
    { OPT_LIVE, 0, "live", NULL, ARG_NONE, true,
      "Copy most of the memory while the guest runs; a larger file, a shorter standstill." },
    { OPT_PAUSED, 0, "paused", NULL, ARG_NONE, true,
      "Leave the guest paused afterwards." },
    { OPT_TYPE, 0, "type", "TYPE", ARG_TYPE, false,
      "internal (inside the image) or external (a new image takes the writes) for all disks; default: what suits each disk." },
    { OPT_DISK, 0, "disk", "VDEV[,type=TYPE][,target=FILE]", ARG_VDEV, true,
      "How to take this disk; FILE is the new image. Also format=qcow2. May be repeated." },
    { OPT_NO_DISK, 0, "no-disk", "VDEV", ARG_VDEV, true,
      "Leave this disk out. May be repeated." },
    { OPT_REUSE_EXTERNAL, 0, "reuse-external", NULL, ARG_NONE, true,
      "The targets exist already; use them as they are." },
    { OPT_KEEP_PATH, 0, "keep-path", NULL, ARG_NONE, true,
      "The frozen image gets another name and the old path becomes a link to the new one, so that no configuration file goes stale." },
    { OPT_DOMAIN_CONFIG, 0, "domain-config", "FILE", ARG_FILE, false,
      "The xl.cfg of a domain that does not run; default: its configuration as the store last knew it." },
    { OPT_NO_METADATA, 0, "no-metadata", NULL, ARG_NONE, true,
      "Register nothing in the store; keep what --output writes." },
    { OPT_OUTPUT, 0, "output", "FILE", ARG_FILE, false,
      "With --no-metadata: write the file that snapshot-revert --config takes." },
    { OPT_NO_WAIT, 0, "no-wait", NULL, ARG_NONE, true,
      "Fail if another snapshot command works on this domain." },
    COMMON_OPTS
};

static const struct snap_opt revert_opts[] = {
    { OPT_CONFIG, 0, "config", "FILE", ARG_FILE, false,
      "The snapshot is the one this file describes, not one in the store." },
    { OPT_DISK_ONLY, 'D', "disk-only", NULL, ARG_NONE, true,
      "Boot from the disks, though the snapshot has memory." },
    { OPT_EJECT_MISSING, 0, "eject-missing", NULL, ARG_NONE, true,
      "Go on without a CD whose image is gone; not with memory." },
    { OPT_PAUSED, 0, "paused", NULL, ARG_NONE, true,
      "Leave the guest paused afterwards." },
    { OPT_NO_WAIT, 0, "no-wait", NULL, ARG_NONE, true,
      "Fail if another snapshot command works on this domain." },
    COMMON_OPTS
};

static const struct snap_opt clone_opts[] = {
    { OPT_DISK_ONLY, 'D', "disk-only", NULL, ARG_NONE, true,
      "Boot it from the disks, though the snapshot has memory." },
    { OPT_EJECT_MISSING, 0, "eject-missing", NULL, ARG_NONE, true,
      "Go on without a CD whose image is gone; not with memory." },
    { OPT_PAUSED, 0, "paused", NULL, ARG_NONE, true,
      "Leave the clone paused." },
    { OPT_NO_START, 0, "no-start", NULL, ARG_NONE, true,
      "Only make its images, and say what its xl.cfg needs." },
    { OPT_DIR, 0, "dir", "DIR", ARG_DIR, false,
      "Put its images into DIR, not beside those of the snapshot." },
    { OPT_NO_WAIT, 0, "no-wait", NULL, ARG_NONE, true,
      "Fail if another snapshot command works on DOMAIN." },
    COMMON_OPTS
};

static const struct snap_opt delete_opts[] = {
    { OPT_CHILDREN, 0, "children", NULL, ARG_NONE, true,
      "Delete also all snapshots that descend from it, the youngest first." },
    { OPT_CHILDREN_ONLY, 0, "children-only", NULL, ARG_NONE, true,
      "Delete those, and not the snapshot itself." },
    { OPT_NO_WAIT, 0, "no-wait", NULL, ARG_NONE, true,
      "Fail if another snapshot command works on this domain." },
    COMMON_OPTS
};

static const struct snap_opt recover_opts[] = {
    { OPT_KEEP, 0, "keep", NULL, ARG_NONE, true,
      "Give an unfinished revert or deletion up, and leave the disks as they are now." },
    { OPT_DISCARD, 0, "discard", NULL, ARG_NONE, true,
      "Put them back, and lose what was written to them since." },
    { OPT_TAKE_OVER, 0, "take-over", NULL, ARG_NONE, true,
      "Also recover what another machine, which is gone, has left." },
    { OPT_NO_WAIT, 0, "no-wait", NULL, ARG_NONE, true,
      "Fail if another snapshot command works on this domain." },
    COMMON_OPTS
};

static const struct snap_opt list_opts[] = {
    { OPT_LONG, 'l', "long", NULL, ARG_NONE, true,
      "All that is known of each snapshot, in a block of lines." },
    { OPT_TREE, 0, "tree", NULL, ARG_NONE, true,
      "Each snapshot under the one it came after." },
    LOOK_OPTS
};

static const struct snap_opt info_opts[] = {
    { OPT_CHECK, 0, "check", NULL, ARG_NONE, true,
      "Check that every part of it is there and whole; exit with 1 if not." },
    LOOK_OPTS
};

static const struct snap_operand create_operands[] = {
    { OPERAND_DOMAIN, false, OPT_END },
    { OPERAND_CONFIG, true, OPT_END },
    { OPERAND_END, false, OPT_END },
};
static const struct snap_operand revert_operands[] = {
    { OPERAND_DOMAIN, false, OPT_END },
    { OPERAND_SNAPSHOT, false, OPT_CONFIG },
    { OPERAND_END, false, OPT_END },
};
static const struct snap_operand clone_operands[] = {
    { OPERAND_DOMAIN, false, OPT_END },
    { OPERAND_SNAPSHOT, false, OPT_END },
    { OPERAND_NEW, false, OPT_END },
    { OPERAND_END, false, OPT_END },
};
/* One snapshot. */
static const struct snap_operand one_operands[] = {
    { OPERAND_DOMAIN, false, OPT_END },
    { OPERAND_SNAPSHOT, false, OPT_END },
    { OPERAND_END, false, OPT_END },
};
/* One domain, or all. */
static const struct snap_operand some_operands[] = {
    { OPERAND_DOMAIN, true, OPT_END },
    { OPERAND_END, false, OPT_END },
};
#define info_operands one_operands
#define delete_operands one_operands
#define list_operands some_operands
#define recover_operands some_operands

#define ROW(word, dryrun, modifies, needs_store, desc)                      \
    { #word, snap_cmd_##word, dryrun, modifies, needs_store, desc,          \
      word##_operands, word##_opts },

const struct snap_cmd snap_cmds[] = {
    SNAP_COMMANDS(ROW)
    { NULL, NULL, false, false, false, NULL, NULL, NULL },
};
/* clang-format on */

const char *snap_operand_name(enum snap_operand_kind kind)
{
    static const char *const names[] = {
        [OPERAND_END] = NULL,        [OPERAND_DOMAIN] = "DOMAIN",
        [OPERAND_SNAPSHOT] = "NAME", [OPERAND_NEW] = "NEW",
        [OPERAND_CONFIG] = "CONFIG",
    };

    return names[kind];
}

int snap_cmd_find(const char *word, const struct snap_cmd **cmd_r,
                  struct snap_err *err)
{
    int rc;
    const struct snap_cmd *cmd, *found = NULL;
    struct snap_buf all = { 0 };
    const char *sub = word;
    unsigned hits = 0;
    size_t len;

    if (snap_has_prefix(word, SNAP_XL_PREFIX))
        sub = word + strlen(SNAP_XL_PREFIX);
    len = strlen(sub);

    for (cmd = snap_cmds; cmd->name; cmd++) {
        if (strncmp(cmd->name, sub, len) != 0)
            continue;
        if (!cmd->name[len]) {
            *cmd_r = cmd;
            rc = 0;
            goto out;
        }
        found = cmd;
        snap_buf_addf(&all, "%s%s", hits ? ", " : "", cmd->name);
        hits++;
    }
    if (!hits) {
        rc = snap_fail(err, SNAP_INVAL, "there is no command '%s'", word);
        goto out;
    }
    if (hits > 1) {
        rc = snap_fail(err, SNAP_INVAL, "'%s' can be any of: %s", word,
                       all.data);
        goto out;
    }
    *cmd_r = found;
    rc = 0;

out:
    snap_buf_dispose(&all);
    return rc;
}

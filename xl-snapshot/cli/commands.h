/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The names and one-line descriptions of all commands: the one list that the
 * program (cmdtable.c) and the dispatcher for `xl` (tools/front/xl.c) share.
 * The dispatcher includes nothing else of this project.
 *
 * X(word, dry run possible, changes something, its store must be there,
 *   description)
 */
#ifndef SNAP_CLI_COMMANDS_H
#define SNAP_CLI_COMMANDS_H

/* In front of the word when the command is given to xl. */
#define SNAP_XL_PREFIX "snapshot-"

/* clang-format off */
#define SNAP_COMMANDS(X)                                                    \
    X(create, true, true, false,                                            \
      "Take a snapshot of a domain: its memory and its disks")              \
    X(revert, true, true, false, "Bring a domain back to a snapshot")       \
    X(clone, true, true, true,                                              \
      "Make a new domain, called NEW, from a snapshot")                     \
    X(list, false, false, true,                                             \
      "List the snapshots of a domain, or of all")                          \
    X(info, false, false, true,                                             \
      "Show all that is known of a snapshot, and check that it is whole")   \
    X(delete, true, true, true,                                             \
      "Delete a snapshot; no other one loses anything by it")               \
    X(recover, true, true, true,                                            \
      "Finish or undo what an interrupted snapshot command left")
/* clang-format on */

#endif /* SNAP_CLI_COMMANDS_H */

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What was typed behind a command: the operands that its row of the table
 * names, and its options.
 */
#ifndef SNAP_CLI_WORDS_H
#define SNAP_CLI_WORDS_H

#include <stdbool.h>

#include "cli/cli.h"

struct snap_word_opt {
    bool given;
    bool seen; /* somebody has asked for it */
    const char *arg; /* the last one; argv's */
};

struct snap_words {
    const char
        *operand[SNAP_OPERANDS_MAX]; /* as in the row; argv's, or NULL */
    struct snap_word_opt opt[OPT_COUNT];
};

/* Was the option given?  And with which argument, NULL if it was not. */
bool snap_words_has(struct snap_words *w, enum snap_opt_id id);
const char *snap_words_arg(struct snap_words *w, enum snap_opt_id id);

/*
 * The words behind the options, as the command's row wants them: none missing,
 * none too many, none empty, names that can be names.  The options have to be
 * in w already.  SNAP_INVAL says which word is wrong.
 */
int snap_words_operands(struct snap_words *w, const struct snap_cmd *cmd,
                        int argc, char **argv, struct snap_err *err);

/* SNAP_INVAL if an option was given that nobody asked for: it would do
 * nothing, and silently. */
int snap_words_check(const struct snap_words *w, const struct snap_cmd *cmd,
                     struct snap_err *err);

#endif /* SNAP_CLI_WORDS_H */

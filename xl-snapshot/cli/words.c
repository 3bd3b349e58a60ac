/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * See words.h.
 */
#include "cli/words.h"

#include <string.h>

#include "model/name.h"
#include "model/request.h"

bool snap_words_has(struct snap_words *w, enum snap_opt_id id)
{
    w->opt[id].seen = true;
    return w->opt[id].given;
}

const char *snap_words_arg(struct snap_words *w, enum snap_opt_id id)
{
    return snap_words_has(w, id) ? w->opt[id].arg : NULL;
}

int snap_words_check(const struct snap_words *w, const struct snap_cmd *cmd,
                     struct snap_err *err)
{
    const struct snap_opt *o;

    for (o = cmd->opts; o->id != OPT_END; o++)
        if (w->opt[o->id].given && !w->opt[o->id].seen)
            return snap_fail(err, SNAP_INVAL, "--%s is not handled", o->name);
    return 0;
}

/* An operand is not there; the first is the domain. */
static int missing(enum snap_operand_kind kind, const char *domain,
                   struct snap_err *err)
{
    switch (kind) {
    case OPERAND_SNAPSHOT:
        return snap_fail(err, SNAP_INVAL,
                         "which snapshot of %s? 'xl snapshot-list %s' names them",
                         domain, domain);
    case OPERAND_NEW:
        return snap_fail(err, SNAP_INVAL,
                         "what is the clone of %s to be called?", domain);
    case OPERAND_CONFIG:
        return snap_fail(err, SNAP_INVAL, "which configuration file?");
    default:
        return snap_fail(err, SNAP_INVAL, "which domain?");
    }
}

static int words_check(enum snap_operand_kind kind, const char *word,
                       struct snap_err *err)
{
    switch (kind) {
    case OPERAND_SNAPSHOT:
    case OPERAND_NEW:
        return snap_name_check(word, err);
    case OPERAND_CONFIG:
        if (*word)
            return 0;
        return snap_fail(err, SNAP_INVAL,
                         "the name of the configuration file is empty");
    default:
        if (*word)
            return 0;
        return snap_fail(err, SNAP_INVAL, "the name of the domain is empty");
    }
}

/*
 * DOMAIN, DOMAIN CONFIG or CONFIG DOMAIN.  The word with a slash is the file;
 * without one the domain comes first.  Nothing is guessed from what files or
 * domains happen to exist.
 */
static int put_file_last(int argc, char **argv, struct snap_err *err)
{
    char *first = argv[0];

    if (argc < 1 || argc > 2 || !strchr(first, '/'))
        return 0;
    if (argc == 1)
        return snap_fail(err, SNAP_INVAL, "'%s' is a file; which domain?",
                         first);
    if (strchr(argv[1], '/'))
        return snap_fail(err, SNAP_INVAL,
                         "'%s' and '%s' are both files; which domain?", first,
                         argv[1]);
    argv[0] = argv[1];
    argv[1] = first;
    return 0;
}

/* Has the row one that may stand in front? */
static bool has_file(const struct snap_cmd *cmd)
{
    const struct snap_operand *o;

    for (o = cmd->operands; o->kind != OPERAND_END; o++)
        if (o->kind == OPERAND_CONFIG)
            return true;
    return false;
}

/* Something else was given in its place; then it must not be there. */
static int replaced(const struct snap_operand *o, const struct snap_cmd *cmd,
                    const char *word, struct snap_err *err)
{
    const struct snap_opt *opt;

    if (!word)
        return 0;
    for (opt = cmd->opts; opt->id != o->instead; opt++)
        ;
    return snap_fail(err, SNAP_INVAL, "either a name ('%s') or --%s, not both",
                     word, opt->name);
}

/* The operand at i of the row; word is NULL if there is none. */
static int words_take(struct snap_words *w, const struct snap_cmd *cmd, int i,
                      const char *word, struct snap_err *err)
{
    const struct snap_operand *o = &cmd->operands[i];

    if (o->instead && w->opt[o->instead].given)
        return replaced(o, cmd, word, err);
    if (!word)
        return o->optional ? 0 : missing(o->kind, w->operand[0], err);
    w->operand[i] = word;
    return words_check(o->kind, word, err);
}

int snap_words_operands(struct snap_words *w, const struct snap_cmd *cmd,
                        int argc, char **argv, struct snap_err *err)
{
    int rc, i;

    rc = has_file(cmd) ? put_file_last(argc, argv, err) : 0;
    for (i = 0; !rc && cmd->operands[i].kind != OPERAND_END; i++)
        rc = words_take(w, cmd, i, i < argc ? argv[i] : NULL, err);
    if (!rc && argc > i)
        rc = snap_fail(err, SNAP_INVAL, "'%s' is one word too many", argv[i]);
    return rc;
}

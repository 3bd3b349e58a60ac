/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * getopt_long over a command's row of the table.  It says what is wrong in
 * the words the user typed, and refuses a valued option given twice: the
 * second would silently win.
 */
#include "cli/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

/* Values of getopt_long for options without a letter. */
#define LONG_BASE 0x100

static void tables(const struct snap_opt *opts, struct option **longs_r,
                   struct snap_buf *shorts)
{
    size_t n = 0, i;
    struct option *longs;

    while (opts[n].id != OPT_END)
        n++;
    longs = snap_zalloc((n + 1) * sizeof(*longs));
    /* ':' first: a missing argument is told apart from an unknown option. */
    snap_buf_adds(shorts, ":");
    for (i = 0; i < n; i++) {
        longs[i].name = opts[i].name;
        longs[i].has_arg = opts[i].kind == ARG_NONE ? no_argument
                                                    : required_argument;
        longs[i].val = LONG_BASE + (int)i;
        if (opts[i].letter)
            snap_buf_addf(shorts, "%c%s", opts[i].letter,
                          opts[i].kind == ARG_NONE ? "" : ":");
    }
    *longs_r = longs;
}

/* How the option now at fault was typed. */
static char *typed(const struct snap_opt *opts, char **argv)
{
    if (optopt >= LONG_BASE)
        return snap_printf("--%s", opts[optopt - LONG_BASE].name);
    if (optopt)
        return snap_printf("-%c", optopt);
    return snap_strndup(argv[optind - 1], strcspn(argv[optind - 1], "="));
}

/* The options that begin with a word such as --di, which are none or many. */
static int options_unknown(const struct snap_opt *opts, const char *word,
                           struct snap_err *err)
{
    struct snap_buf all = { 0 };
    int rc;

    for (; opts->id != OPT_END; opts++)
        if (snap_has_prefix(word, "--") &&
            snap_has_prefix(opts->name, word + 2))
            snap_buf_addf(&all, "%s--%s", all.len ? ", " : "", opts->name);
    if (all.len)
        rc = snap_fail(err, SNAP_INVAL, "option %s can be any of: %s", word,
                       all.data);
    else
        rc = snap_fail(err, SNAP_INVAL, "unknown option %s", word);
    snap_buf_dispose(&all);
    return rc;
}

static int options_refuse(const struct snap_opt *opts, int c, char **argv,
                          struct snap_err *err)
{
    int rc;
    char *what = typed(opts, argv);

    if (c == ':')
        rc = snap_fail(err, SNAP_INVAL, "option %s needs an argument", what);
    else if (optopt >= LONG_BASE)
        rc = snap_fail(err, SNAP_INVAL, "option %s takes no argument", what);
    else
        rc = options_unknown(opts, what, err);
    free(what);
    return rc;
}

int snap_options_store(struct snap_cli *cli, const char *dir,
                       struct snap_err *err)
{
    if (dir[0] != '/')
        return snap_fail(err, SNAP_INVAL,
                         "--store %s: the path must be absolute", dir);
    if (cli->store_root && strcmp(cli->store_root, dir) != 0)
        return snap_fail(err, SNAP_INVAL, "--store is given twice: %s and %s",
                         cli->store_root, dir);
    snap_set(&cli->store_root, dir);
    return 0;
}

/* *mine_r: it is one that all commands have. */
static int common(struct snap_cli *cli, const struct snap_opt *o,
                  const char *arg, bool *mine_r, struct snap_err *err)
{
    *mine_r = true;
    switch (o->id) {
    case OPT_DRY_RUN:
        cli->dry_run = true;
        return 0;
    case OPT_JSON:
        cli->json = true;
        return 0;
    case OPT_VERBOSE:
        cli->verbose++;
        return 0;
    case OPT_HELP:
        cli->help_shown = true;
        return 0;
    case OPT_STORE:
        return snap_options_store(cli, arg, err);
    default:
        *mine_r = false;
        return 0;
    }
}

/* The row that getopt_long() means by c. */
static const struct snap_opt *row_of(const struct snap_opt *opts, int c)
{
    if (c >= LONG_BASE)
        return &opts[c - LONG_BASE];
    while (opts->letter != c)
        opts++;
    return opts;
}

static int on_option(struct snap_cli *cli, const struct snap_opt *o,
                     snap_opt_fn *fn, void *ctx, struct snap_words *w,
                     struct snap_err *err)
{
    struct snap_word_opt *word = &w->opt[o->id];
    bool mine;
    int rc;

    if (word->given && !o->repeat && o->id != OPT_STORE)
        return snap_fail(err, SNAP_INVAL, "--%s is given twice", o->name);
    word->given = true;
    word->arg = optarg;
    rc = common(cli, o, optarg, &mine, err);
    if (rc)
        return rc;
    word->seen = mine || fn;
    return mine || !fn ? 0 : fn(ctx, o, optarg, err);
}

int snap_options_parse(struct snap_cli *cli, int argc, char **argv,
                       snap_opt_fn *fn, void *ctx, struct snap_words *w,
                       int *first_r, struct snap_err *err)
{
    int rc = 0, c, i;
    const struct snap_opt *opts = cli->cmd->opts;
    struct option *longs = NULL;
    struct snap_buf shorts = { 0 };

    /* An error may come before --json is reached; it is told as asked. */
    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--json"))
            cli->json = true;

    tables(opts, &longs, &shorts);
    opterr = 0;
    optind = 0; /* glibc: start afresh */
    while (!rc && !cli->help_shown) {
        optopt = 0;
        c = getopt_long(argc, argv, shorts.data, longs, NULL);
        if (c < 0)
            break;
        if (c == '?' || c == ':')
            rc = options_refuse(opts, c, argv, err);
        else
            rc = on_option(cli, row_of(opts, c), fn, ctx, w, err);
    }
    *first_r = optind;
    free(longs);
    snap_buf_dispose(&shorts);
    return rc;
}

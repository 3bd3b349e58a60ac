/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the files of the command line share.  Only this folder prints.
 */
#ifndef SNAP_CLI_CLI_H
#define SNAP_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/cmdtable.h"
#include "core/env.h"
#include "core/record.h"
#include "lib/json.h"

/* Exit statuses; promises to scripts. */
enum snap_exit {
    SNAP_EXIT_DONE = 0,
    SNAP_EXIT_FAILED = 1, /* and everything undone */
    SNAP_EXIT_USAGE = 2,
    SNAP_EXIT_RECOVER = 3, /* and not everything undone */
};
int snap_exit_of(int rc);

struct snap_sink;
struct snap_progress_line;

struct snap_cli {
    struct snap_env env;
    FILE *out;
    FILE *errf;
    const char *as; /* "xl" or "xl-snapshot": typed by whom */
    const struct snap_cmd *cmd;
    char *prog; /* "xl snapshot-create", for messages */
    char *store_root;
    int verbose;
    bool dry_run;
    bool json;
    bool progress_always; /* xl -t */
    bool timestamps; /* xl -T */
    bool help_shown; /* --help was given: all is done */
    struct snap_sink *sink;
    struct snap_progress_line *line;
    struct snap_log log;
    struct snap_progress progress;
};

/* The commands (cmd_*.c); each returns an exit status. */
int snap_cmd_create(struct snap_cli *cli, int argc, char **argv);
int snap_cmd_revert(struct snap_cli *cli, int argc, char **argv);
int snap_cmd_clone(struct snap_cli *cli, int argc, char **argv);
int snap_cmd_delete(struct snap_cli *cli, int argc, char **argv);
int snap_cmd_recover(struct snap_cli *cli, int argc, char **argv);
int snap_cmd_list(struct snap_cli *cli, int argc, char **argv);
int snap_cmd_info(struct snap_cli *cli, int argc, char **argv);

/* cmd_help.c */
void snap_help_all(struct snap_cli *cli, FILE *f);
void snap_help_cmd(struct snap_cli *cli, const struct snap_cmd *cmd, FILE *f);
int snap_help_main(struct snap_cli *cli, int argc, char **argv);
/* Hidden: what tools/completion asks.  Quiet; exit status 0 or 1. */
int snap_complete_main(struct snap_cli *cli, int argc, char **argv);

/* options.c: calls fn for each option of the command's own, handles the
 * common ones; afterwards argv[*first_r] and on are the operands.  With
 * --help, cli->help_shown is set and fn may not have seen every option. */
typedef int snap_opt_fn(void *ctx, const struct snap_opt *opt, const char *arg,
                        struct snap_err *err);
int snap_options_parse(struct snap_cli *cli, int argc, char **argv,
                       snap_opt_fn *fn, void *ctx, int *first_r,
                       struct snap_err *err);

/* run.c: how every command begins: its options to fn, what is left to
 * operands, --help, --store.  False: there is nothing more to do, and status_r
 * has the exit status. */
typedef int snap_operands_fn(void *ctx, int argc, char **argv,
                             struct snap_err *err);
bool snap_cli_begin(struct snap_cli *cli, int argc, char **argv,
                    snap_opt_fn *fn, snap_operands_fn *operands, void *ctx,
                    int *status_r);

/* run.c: tables and a connection to the hypervisor into cli->env. */
int snap_cli_load(struct snap_cli *cli, struct snap_err *err);
int snap_cli_open(struct snap_cli *cli, struct snap_err *err);
/* For commands that only look: without Xen the store has to do, and a note
 * says so. */
void snap_cli_try_open(struct snap_cli *cli);
/* Tell a failure, on stderr and with --json on stdout; returns the status. */
int snap_cli_fail(struct snap_cli *cli, const struct snap_err *err);
/* The same for what was typed wrong: with a line on where to read. */
int snap_cli_usage(struct snap_cli *cli, const struct snap_err *err);

struct snap_cli_notes;

/* run.c: a command that plans and then does.  Opens the hypervisor, plans;
 * with --dry-run shows that, else runs, the signals in hand, and shows what
 * was done.  job is the command's own.  Returns the exit status. */
struct snap_cli_job {
    int (*plan)(struct snap_cli *cli, void *job, struct snap_err *err);
    void (*show_plan)(struct snap_cli *cli, void *job);
    int (*run)(struct snap_cli *cli, void *job, struct snap_err *err);
    void (*show_done)(struct snap_cli *cli, void *job);
    /* It ended with SNAP_RECOVER: what its user has to know already, since it
     * is so, and no other command tells it. */
    void (*note_left)(struct snap_cli_notes *n, const void *job);
};
int snap_cli_do(struct snap_cli *cli, const struct snap_cli_job *steps,
                void *job);

/* log_sink.c: lines to errf, one at a time, in the program's name.  Never
 * blocks while the guest may be at rest: what a stopped terminal does not
 * take is kept until snap_sink_flush(). */
struct snap_sink *snap_sink_new(struct snap_cli *cli);
void snap_sink_free(struct snap_sink *s); /* flushes */
void snap_sink_log(void *opaque, enum snap_level level, const char *msg);
/* A line of our own; kind is "" or "note: " or "warning: ". */
void snap_sink_line(struct snap_sink *s, const char *kind, const char *msg);
/* Draw over the current line of the terminal; "" removes what is drawn.
 * Dropped if the terminal does not take it now. */
void snap_sink_draw(struct snap_sink *s, const char *text);
/* Columns of the terminal; 0 if errf is none. */
int snap_sink_columns(struct snap_sink *s);
void snap_sink_flush(struct snap_sink *s);
/* Notes and warnings said so far, for --json; and has this been said? */
size_t snap_sink_notes(struct snap_sink *s);
const char *snap_sink_note_at(struct snap_sink *s, size_t i);
bool snap_sink_said(struct snap_sink *s, const char *msg);

/* progress.c */
struct snap_progress_line *snap_progress_line_new(struct snap_sink *s,
                                                  bool always);
void snap_progress_line_free(struct snap_progress_line *p);
void snap_progress_fn(void *opaque, const char *what, uint64_t done,
                      uint64_t total);
/* One drawing of the line, at most width columns (0: any).  For tests. */
char *snap_progress_text(const char *what, uint64_t done, uint64_t total,
                         double seconds, int width);

/* signals.c.  Until arm(), Ctrl-C ends the program at once, which is right
 * since nothing has begun; after start() with status 1 and a word about it.
 * Afterwards it only sets a flag.  After disarm() it ends the program with the
 * status of what was done; SIGPIPE stays harmless, whoever reads about it. */
void snap_signals_start(const char *prog);
void snap_signals_arm(void);
void snap_signals_disarm(int status);
int snap_signals_interrupted(void);

/* output.c: a report is one list of fields, printed as text or as JSON. */
struct snap_column {
    /* In JSON; NULL: for people only.  "KEY:bool": the cell is "yes" or "no";
     * "KEY:json": the cell is JSON, such as a number. */
    const char *key;
    const char *head; /* NULL: JSON only */
};
struct snap_report;
struct snap_report *snap_report_new(void);
void snap_report_free(struct snap_report *r);
/* key: path in the JSON object ("memory.path").  label: NULL: not shown to
 * people.  value is owned.  text: how people read it; NULL: not shown. */
void snap_report_add(struct snap_report *r, const char *key, const char *label,
                     struct snap_json *value, const char *text);
void snap_report_str(struct snap_report *r, const char *key, const char *label,
                     const char *value);
void snap_report_strv(struct snap_report *r, const char *key,
                      const char *label, char *const *v, size_t n);
void snap_report_size(struct snap_report *r, const char *key,
                      const char *label, uint64_t bytes);
void snap_report_ms(struct snap_report *r, const char *key, const char *label,
                    double ms);
void snap_report_bool(struct snap_report *r, const char *key,
                      const char *label, bool v);
/* A table; then a row at a time, one cell (or NULL) for each column.  A column
 * without a value is not shown. */
void snap_report_table(struct snap_report *r, const char *key,
                       const struct snap_column *cols, size_t n);
void snap_report_row(struct snap_report *r, const char *const *cells);
void snap_report_text(const struct snap_report *r, FILE *f);
void snap_report_json(const struct snap_report *r, FILE *f);
/* The JSON object; it stays the report's, to which nothing more is added. */
const struct snap_json *snap_report_root(const struct snap_report *r);

/* "873 ms", "4.1 s", "2 min 5 s"; caller frees. */
char *snap_ms_human(double ms);
/* "memory and 2 disks", "1 disk"; caller frees. */
char *snap_record_what(const struct snap_record *rec);
/* Its number; null if there is none now.  JSON only. */
void snap_report_domid(struct snap_report *r, bool there,
                       const struct snap_domain *d);
/* The fields of a record that every command shows. */
void snap_report_record(struct snap_report *r, const struct snap_record *rec);
/* "running", "paused", … */
const char *snap_domain_state(const struct snap_domain *d);

/* show_record.c: a whole snapshot, as snapshot-info and snapshot-list --long
 * show it.  current: the domain descends from it; clones: all of the store,
 * of which its own are shown. */
struct snap_clone;
struct snap_report *snap_report_snapshot(const struct snap_record *rec,
                                         bool current,
                                         const struct snap_clone *clones,
                                         size_t n_clones);
/* What the domain was then: "running", "paused" or "shut down"; and in the
 * letters of `xl list` and the RFC, "r----". */
const char *snap_record_state(const struct snap_record *rec);
const char *snap_record_letters(const struct snap_record *rec);

/* show_list.c: snapshot-list's forms.  one: a domain was named, so that it
 * need not be told apart. */
struct snap_listing;
void snap_list_table(struct snap_cli *cli, const struct snap_listing *ls,
                     size_t n, bool one);
void snap_list_long(struct snap_cli *cli, const struct snap_listing *ls,
                    size_t n);
void snap_list_tree(struct snap_cli *cli, const struct snap_listing *ls,
                    size_t n);

/* notes.c: all notes of a command, once each. */
struct snap_cli_notes {
    char **v;
    size_t n;
};
void snap_cli_note(struct snap_cli_notes *n, const char *text); /* or NULL */
/* A list of them, and what was said on stderr so far. */
void snap_cli_notes_add(struct snap_cli *cli, struct snap_cli_notes *n,
                        char *const *v, size_t n_v);
void snap_cli_notes_dispose(struct snap_cli_notes *n);
/* The end of a dry run: report and notes to out, but what was said. */
void snap_cli_show_plan(struct snap_cli *cli, struct snap_report *r,
                        const struct snap_cli_notes *notes);
/* Those not said yet, to errf. */
void snap_cli_show_notes(struct snap_cli *cli,
                         const struct snap_cli_notes *notes);
/* The end of a command: the report if it is to be JSON, else the line (taken
 * over) to out.  The notes not said yet to errf, or into the JSON. */
void snap_cli_show_done(struct snap_cli *cli, struct snap_report *r,
                        char *line, const struct snap_cli_notes *notes);

#endif /* SNAP_CLI_CLI_H */

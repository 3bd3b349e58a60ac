/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Write-ahead journal of one operation; see journal.h.  Knows nothing of what
 * the steps mean.  Must never be written to after the operation it describes
 * has let go of the store's lock.
 */
#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/file.h"
#include "lib/mem.h"

#define SUM_LEN 16

static uint64_t fnv1a(const char *data, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u;
    size_t i;

    for (i = 0; i < len; i++) {
        h ^= (unsigned char)data[i];
        h *= 0x100000001b3u;
    }
    return h;
}

/* All of it or nothing: a line behind half a line could not be read, nor any
 * after it. */
static int add_line(struct snap_journal *j, const char *line,
                    struct snap_err *err)
{
    int rc;
    off_t end = lseek(j->fd, 0, SEEK_END);

    if (j->torn)
        return snap_fail(err, SNAP_IO,
                         "%s: a step could not be written whole, nor taken back, so no other is written behind it; make room, and run xl snapshot-recover",
                         j->path);
    rc = snap_write_all(j->fd, line, strlen(line), j->path, err);
    if (rc)
        j->torn = end < 0 || snap_fault("file", "cut journal") ||
                  ftruncate(j->fd, end) || lseek(j->fd, end, SEEK_SET) < 0;
    return rc;
}

static int append(struct snap_journal *j, const char *step,
                  const struct snap_json *data, bool sync,
                  struct snap_err *err)
{
    int rc;
    struct snap_json *line = snap_json_object();
    char *text = NULL, *full = NULL;

    snap_json_set_int(line, "seq", j->seq);
    snap_json_set_str(line, "op", j->op);
    snap_json_set_str(line, "step", step);
    if (data)
        snap_json_set(line, "data", snap_json_copy(data));
    text = snap_json_text(line, false);
    full = snap_printf("%016" PRIx64 " %s\n", fnv1a(text, strlen(text)), text);

    rc = add_line(j, full, err);
    if (rc)
        goto out;
    if (sync) {
        rc = snap_file_sync(j->fd, j->path, err);
        if (rc)
            goto out;
    }
    j->seq++;

out:
    snap_json_free(line);
    free(text);
    free(full);
    return rc;
}

/* One line without its newline; false if it is damaged. */
static bool parse_line(const char *line, size_t len,
                       struct snap_journal_entry *e)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_json *j = NULL;
    char sum[SUM_LEN + 1];
    const char *op, *step;
    bool ok = false;

    if (len < SUM_LEN + 3 || line[SUM_LEN] != ' ')
        return false;
    snprintf(sum, sizeof(sum), "%016" PRIx64,
             fnv1a(line + SUM_LEN + 1, len - SUM_LEN - 1));
    if (memcmp(sum, line, SUM_LEN))
        return false;
    if (snap_json_parse(line + SUM_LEN + 1, len - SUM_LEN - 1, &j, &ignored))
        return false;
    op = snap_json_get_str(j, "op");
    step = snap_json_get_str(j, "step");
    if (op && step) {
        e->op = snap_strdup(op);
        e->step = snap_strdup(step);
        e->data = snap_json_get(j, "data")
                      ? snap_json_copy(snap_json_get(j, "data"))
                      : NULL;
        ok = true;
    }
    snap_json_free(j);
    return ok;
}

/* *whole_r: where the last whole entry ends. */
static int read_entries(const char *path, struct snap_journal_entry **e_r,
                        size_t *n_r, off_t *whole_r, struct snap_err *err)
{
    int rc;
    char *text = NULL, *p, *end, *nl;
    size_t len = 0, n = 0;
    struct snap_journal_entry *e = NULL;

    rc = snap_file_read(path, SNAP_JOURNAL_MAX, &text, &len, err);
    if (rc)
        goto out;

    *whole_r = 0;
    end = text + len;
    for (p = text; p < end; p = nl + 1) {
        nl = memchr(p, '\n', end - p);
        if (!nl)
            break; /* torn last line */
        e = snap_realloc(e, n + 1, sizeof(*e));
        memset(&e[n], 0, sizeof(*e));
        if (!parse_line(p, nl - p, &e[n])) {
            if (nl + 1 == end)
                break;
            rc = snap_fail(err, SNAP_CORRUPT, "%s: line %zu is damaged", path,
                           n + 1);
            goto out;
        }
        n++;
        *whole_r = nl + 1 - text;
    }
    *e_r = e;
    *n_r = n;
    e = NULL;
    rc = 0;

out:
    if (e)
        snap_journal_entries_free(e, n);
    free(text);
    return rc;
}

int snap_journal_begin(struct snap_journal *j, const char *path,
                       const char *op, const struct snap_json *plan,
                       struct snap_err *err)
{
    int rc;
    char *dir = snap_dirname(path);

    j->op = op;
    j->seq = 1;
    j->fd = -1;
    j->torn = false;
    j->path = snap_strdup(path);

    rc = snap_file_create(path, 0600, &j->fd, err);
    if (rc) {
        snap_free(&j->path);
        goto out;
    }
    rc = append(j, "plan", plan, true, err);
    if (!rc)
        rc = snap_dir_sync(dir, err);
    if (rc) {
        /* Nothing has been done under this plan: take it back. */
        struct snap_err ignored = SNAP_ERR_INIT;

        snap_file_remove(path, &ignored);
        snap_journal_dispose(j);
    }

out:
    free(dir);
    return rc;
}

int snap_journal_resume(struct snap_journal *j, const char *path,
                        const char *op, struct snap_err *err)
{
    int rc, e;
    size_t n = 0;
    off_t whole = 0;
    struct snap_journal_entry *entries = NULL;

    j->op = op;
    j->fd = -1;
    j->torn = false;
    j->path = NULL;
    rc = read_entries(path, &entries, &n, &whole, err);
    if (rc)
        return rc;
    snap_journal_entries_free(entries, n);
    j->seq = n + 1;
    j->path = snap_strdup(path);
    e = snap_fault("file", "resume journal");
    if (!e) {
        j->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
        e = j->fd < 0 || ftruncate(j->fd, whole) ? errno : 0;
    }
    if (e) {
        rc = snap_fail_errno(err, SNAP_IO, e, "%s", path);
        snap_journal_dispose(j);
    }
    return rc;
}

int snap_journal_mark(struct snap_journal *j, const char *step,
                      const struct snap_json *data, struct snap_err *err)
{
    return append(j, step, data, true, err);
}

void snap_journal_note(struct snap_journal *j, const char *step)
{
    snap_journal_note_data(j, step, NULL);
}

void snap_journal_note_data(struct snap_journal *j, const char *step,
                            const struct snap_json *data)
{
    struct snap_err ignored = SNAP_ERR_INIT;

    append(j, step, data, false, &ignored);
}

int snap_journal_end(struct snap_journal *j, struct snap_err *err)
{
    int rc;

    if (!j->path)
        return 0;
    rc = snap_file_remove(j->path, err);
    if (rc)
        return rc;
    snap_journal_dispose(j);
    return 0;
}

void snap_journal_dispose(struct snap_journal *j)
{
    if (j->fd >= 0)
        close(j->fd);
    j->fd = -1;
    snap_free(&j->path);
}

int snap_journal_read(const char *path, struct snap_journal_entry **e_r,
                      size_t *n_r, struct snap_err *err)
{
    off_t whole;

    return read_entries(path, e_r, n_r, &whole, err);
}

void snap_journal_entries_free(struct snap_journal_entry *e, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        free(e[i].op);
        free(e[i].step);
        snap_json_free(e[i].data);
    }
    free(e);
}

const struct snap_journal_entry *
snap_journal_find(const struct snap_journal_entry *e, size_t n,
                  const char *step)
{
    size_t i;

    for (i = n; i > 0; i--)
        if (snap_streq(e[i - 1].step, step))
            return &e[i - 1];
    return NULL;
}

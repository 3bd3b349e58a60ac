/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What may be a snapshot's name, a virtual disk's, a domain's UUID, a text
 * for people.  Names become parts of paths, of image tags and of other
 * programs' arguments, so these rules stand between the user and all of
 * those: they are asked before any path is built.  ASCII only and the same in
 * every locale; nothing here looks at a file.
 */
#include "model/name.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

#define VDEV_MAX  16
#define QUOTE_MAX 40 /* bytes of a bad name in a message */

/* One of these characters; a NUL is none of them. */
static bool in(char c, const char *set)
{
    return c && strchr(set, c);
}

int snap_name_check(const char *name, struct snap_err *err)
{
    char *q = NULL;
    size_t len, good;
    int rc;

    if (!name || !name[0])
        return snap_fail(err, SNAP_INVAL, "a snapshot's name cannot be empty");
    len = strlen(name);
    good = strspn(name, LOWER UPPER DIGITS "._-");
    if (good == len && len <= SNAP_NAME_MAX && name[len - 1] != '.' &&
        in(name[0], LOWER UPPER DIGITS))
        return 0;
    q = snap_excerpt(name, len, QUOTE_MAX);
    if (good < len)
        rc = snap_fail(err, SNAP_INVAL,
                       "name \"%s\": character %zu is not allowed; use letters, digits, '.', '_' and '-'",
                       q, good + 1);
    else if (!in(name[0], LOWER UPPER DIGITS))
        rc = snap_fail(err, SNAP_INVAL,
                       "name \"%s\" must begin with a letter or a digit", q);
    else if (len > SNAP_NAME_MAX)
        rc = snap_fail(err, SNAP_INVAL,
                       "name \"%s\" is %zu characters long; at most %d are allowed",
                       q, len, SNAP_NAME_MAX);
    else
        rc = snap_fail(err, SNAP_INVAL, "name \"%s\" must not end in a dot",
                       q);
    free(q);
    return rc;
}

int snap_vdev_check(const char *vdev, struct snap_err *err)
{
    char *q = NULL;
    size_t len, letters;
    int rc;

    if (!vdev || !vdev[0])
        return snap_fail(err, SNAP_INVAL,
                         "a disk's name cannot be empty; it is a virtual device such as xvda");
    len = strlen(vdev);
    letters = strspn(vdev, LOWER);
    if (letters >= 2 && strspn(vdev, LOWER DIGITS) == len && len <= VDEV_MAX)
        return 0;
    q = snap_excerpt(vdev, len, QUOTE_MAX);
    rc = snap_fail(err, SNAP_INVAL,
                   "\"%s\" is no virtual device; it must be like xvda, hda or sdb",
                   q);
    free(q);
    return rc;
}

int snap_uuid_check(const char *uuid, struct snap_err *err)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    char *q = NULL;
    size_t i;
    int rc;

    if (!uuid)
        uuid = "";
    for (i = 0; shape[i]; i++)
        if (shape[i] == '-' ? uuid[i] != '-' : !in(uuid[i], DIGITS "abcdef"))
            break;
    if (!shape[i] && !uuid[i])
        return 0;
    q = snap_excerpt(uuid, strlen(uuid), QUOTE_MAX);
    rc = snap_fail(err, SNAP_INVAL,
                   "\"%s\" is no UUID of 32 lower-case hex digits and four dashes",
                   q);
    free(q);
    return rc;
}

int snap_text_check(const char *text, size_t max, const char *what,
                    struct snap_err *err)
{
    size_t len, i, seq;

    if (!text || !text[0])
        return snap_fail(err, SNAP_INVAL, "%s cannot be empty", what);
    len = strlen(text);
    if (len > max)
        return snap_fail(err, SNAP_INVAL,
                         "%s is %zu bytes long; at most %zu are allowed", what,
                         len, max);
    for (i = 0; i < len; i += seq) {
        seq = 1;
        if (text[i] >= ' ' && text[i] < 0x7f)
            continue;
        seq = snap_utf8_seq(text + i, len - i);
        if (!seq)
            return snap_fail(err, SNAP_INVAL, "%s: byte %zu is not UTF-8",
                             what, i + 1);
        if (snap_is_control(text + i, seq))
            return snap_fail(err, SNAP_INVAL,
                             "%s: control character (such as a newline) at byte %zu; use one line of text",
                             what, i + 1);
    }
    return 0;
}

bool snap_format_known(const char *format)
{
    static const char *const known[] = {
        "raw", "qcow2", "qcow", "qed", "vhd", NULL,
    };
    size_t i;

    for (i = 0; known[i]; i++)
        if (snap_streq(format, known[i]))
            return true;
    return false;
}

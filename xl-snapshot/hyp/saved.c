/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Domains that the xendomains service has saved: when the host goes down it
 * writes each into a folder (`xl save`), and when it comes up it starts each
 * from there, whatever became of its disks, and removes the file (Xen:
 * tools/hotplug/Linux/init.d/xendomains.in, and the sysconfig file beside it
 * for the folder's name).
 */
#include "hyp/saved.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hyp/saveheader.h"
#include "lib/file.h"
#include "model/domain_json.h"

#define SETTING      "XENDOMAINS_SAVE="
#define SETTINGS_MAX (64u << 10)
#define FILES_MAX    1024

static const char *const settings[] = { "/etc/default/xendomains",
                                        "/etc/sysconfig/xendomains", NULL };
static const char *const usual = "/var/lib/xen/save";

/* The last such line of a file of shell variables counts; without quotes. */
static char *setting_of(const char *text)
{
    const char *at = text, *value = NULL;
    char *dir, quote[] = " \t\r\n"; /* the end of it */
    size_t n;

    for (; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
        if (snap_has_prefix(at, SETTING))
            value = at + strlen(SETTING);
    if (!value)
        return NULL;
    quote[0] = *value == '"' || *value == '\'' ? *value++ : ' ';
    n = strcspn(value, quote);
    dir = snap_strndup(value, n);
    if (!snap_path_ok(dir))
        snap_free(&dir);
    return dir;
}

char *hyp_saved_folder_of(const char *const *files)
{
    char *text, *dir = NULL;
    size_t len;

    for (; *files && !dir; files++) {
        text = NULL;
        if (!snap_file_read(*files, SETTINGS_MAX, &text, &len, NULL))
            dir = setting_of(text);
        free(text);
    }
    return dir ? dir : snap_strdup(usual);
}

/* Is it an image that xl would restore, of this domain?  Not one of ours. */
static bool is_of(int dirfd, const char *name, const char *uuid)
{
    char *json = NULL, *its_name = NULL, its_uuid[37] = "";
    bool poisoned = true, is = false;
    struct stat st;
    int fd = openat(dirfd, name,
                    O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

    if (fd < 0)
        return false;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) &&
        !snap_saveheader_read(fd, &json, &poisoned, NULL) && !poisoned &&
        !snap_domain_json_identity(json, &its_name, its_uuid, NULL, NULL,
                                   NULL))
        is = !strcmp(its_uuid, uuid);
    close(fd);
    free(its_name);
    free(json);
    return is;
}

char *hyp_saved_in(const char *dir, const char *uuid)
{
    DIR *d = opendir(dir);
    const struct dirent *de;
    char *path = NULL;
    unsigned n;

    for (n = 0; d && !path && n < FILES_MAX && (de = readdir(d)); n++)
        if (de->d_name[0] != '.' && is_of(dirfd(d), de->d_name, uuid))
            path = snap_printf("%s/%s", dir, de->d_name);
    if (d)
        closedir(d);
    return path;
}

char *hyp_saved(struct snap_hyp *h, const char *uuid)
{
    char *dir = hyp_saved_folder_of(settings), *path;

    (void)h;
    path = hyp_saved_in(dir, uuid);
    free(dir);
    return path;
}

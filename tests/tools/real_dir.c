/* SPDX-License-Identifier: LGPL-2.1-only */
/* See real_dir.h.  A digest is one level deep. */
#include "tools/real_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/file/image_protect.h"
#include "lib/file.h"
#include "lib/mem.h"

char *real_dir_make(void)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = snap_printf("%s/xlsnap-test-XXXXXX", tmp ? tmp : "/tmp");

    if (!mkdtemp(dir)) {
        perror(dir);
        abort();
    }
    return dir;
}

static int no_dots(const struct dirent *e)
{
    return strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
}

void real_dir_remove(const char *dir)
{
    struct dirent **list = NULL;
    int i, n = scandir(dir, &list, no_dots, alphasort);

    for (i = 0; i < n; i++) {
        char *path = snap_printf("%s/%s", dir, list[i]->d_name);
        struct stat st;

        if (!lstat(path, &st) && S_ISREG(st.st_mode))
            snap_image_unprotect(path, NULL);
        if (!lstat(path, &st) && S_ISDIR(st.st_mode))
            real_dir_remove(path);
        else if (unlink(path))
            perror(path);
        free(path);
        free(list[i]);
    }
    free(list);
    if (rmdir(dir))
        perror(dir);
}

static void describe(struct snap_buf *b, const char *path, const char *name)
{
    struct stat st;
    char hex[33] = "", link[4096];
    ssize_t len;
    int fd;

    if (lstat(path, &st) || S_ISSOCK(st.st_mode))
        return;
    snap_buf_addf(b, "%s %o %lld", name, (unsigned)st.st_mode,
                  (long long)st.st_size);
    if (S_ISLNK(st.st_mode)) {
        len = readlink(path, link, sizeof(link) - 1);
        link[len < 0 ? 0 : len] = '\0';
        snap_buf_addf(b, " -> %s", link);
    } else if (S_ISREG(st.st_mode)) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && !snap_file_hash(fd, path, hex, NULL, NULL, NULL))
            snap_buf_addf(b, " %s%s", hex,
                          snap_image_protected(path) ? " immutable" : "");
        close(fd);
    }
    snap_buf_adds(b, "\n");
}

char *real_dir_digest(const char *dir)
{
    struct snap_buf b = { 0 };
    struct dirent **list = NULL;
    int i, n = scandir(dir, &list, no_dots, alphasort);

    for (i = 0; i < n; i++) {
        char *path = snap_printf("%s/%s", dir, list[i]->d_name);

        describe(&b, path, list[i]->d_name);
        free(path);
        free(list[i]);
    }
    free(list);
    snap_buf_adds(&b, ".");
    return b.data;
}

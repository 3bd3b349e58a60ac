/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What /usr/sbin/xl is while the front is enabled (see setup.sh): it hands
 * `xl snapshot-*` to xl-snapshot and every other word, untouched, to the
 * real xl.  xl has no plug-ins; this is the smallest thing that gives it
 * more commands.
 *
 * It sits in front of everything that runs xl, so it does as little as it
 * can: a word that cannot be ours costs one exec.  It must never change what
 * the real xl sees (argv, descriptors, exit status), and never look at
 * anything the environment says.
 *
 * Layout, found from where this program is (PKGLIBDIR/front/xl):
 *   PKGLIBDIR/orig/xl        symbolic link to the real one.  Its name must be
 *                            xl: Debian's is a script that goes by its name.
 *   PKGLIBDIR/xl-snapshot    symbolic link to the program
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/commands.h"

#define PREFIX_LEN (sizeof(SNAP_XL_PREFIX) - 1)

struct command {
    const char *name;
    const char *desc;
};

#define ROW(word, dryrun, modifies, needs_store, desc) \
    { SNAP_XL_PREFIX #word, desc },
static const struct command ours[] = { SNAP_COMMANDS(ROW) };
#define N_OURS (sizeof(ours) / sizeof(ours[0]))

static char real_xl[PATH_MAX + 16];
static char program[PATH_MAX + 16];

/* Where we are tells where the others are. */
static void find_others(void)
{
    char self[PATH_MAX];
    const char *dir = SNAP_PKGLIBDIR;
    char *slash;
    ssize_t n;
    int up;

    n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n > 0) {
        self[n] = '\0';
        for (up = 0; up < 2; up++) {
            slash = strrchr(self, '/');
            if (!slash)
                break;
            *slash = '\0';
        }
        if (up == 2)
            dir = self;
    }
    snprintf(real_xl, sizeof(real_xl), "%s/orig/xl", dir);
    snprintf(program, sizeof(program), "%s/xl-snapshot", dir);
}

/* A real xl that is ourselves would be run for ever. */
static bool is_ourselves(const char *path)
{
    struct stat a, b;

    return !stat(path, &a) && !stat("/proc/self/exe", &b) &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int exec_real(char **argv)
{
    int e;

    if (is_ourselves(real_xl)) {
        fprintf(stderr,
                "xl: %s leads back to the front of xl-snapshot; 'xl-snapshot-setup enable' mends it\n",
                real_xl);
        return 127;
    }
    execv(real_xl, argv);
    e = errno;
    fprintf(stderr, "xl: cannot run the real xl, %s: %s%s\n", real_xl,
            strerror(e),
            e == ENOENT
                ? " (is Xen's xl, Debian package xen-utils-common, installed?)"
                : "");
    return e == ENOENT ? 127 : 126;
}

static int exec_program(char **argv)
{
    int e;

    execv(program, argv);
    e = errno;
    fprintf(stderr,
            "xl: cannot run %s: %s; install xl-snapshot again, or let 'xl-snapshot-setup disable' take this front away\n",
            program, strerror(e));
    return e == ENOENT ? 127 : 126;
}

/*
 * Run the real xl: its standard output, for the caller to free.  quiet:
 * nothing of it is seen, and it sees no input.  NULL: it could not be started.
 */
static char *capture(char **argv, bool quiet, int *status_r)
{
    int fd[2];
    char *text = NULL, *more;
    size_t len = 0, cap = 0;
    ssize_t n;
    pid_t pid;

    if (is_ourselves(real_xl) || access(real_xl, X_OK) || pipe(fd))
        return NULL;
    pid = fork();
    if (pid < 0) {
        close(fd[0]);
        close(fd[1]);
        return NULL;
    }
    if (!pid) {
        if (quiet && (!freopen("/dev/null", "r", stdin) ||
                      !freopen("/dev/null", "w", stderr)))
            _exit(127);
        dup2(fd[1], STDOUT_FILENO);
        close(fd[0]);
        close(fd[1]);
        execv(real_xl, argv);
        _exit(127);
    }
    close(fd[1]);
    for (;;) {
        if (cap - len < 4097) {
            cap += 65536;
            more = realloc(text, cap);
            if (!more)
                abort();
            text = more;
        }
        n = read(fd[0], text + len, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += n;
    }
    text[len] = '\0';
    close(fd[0]);
    while (waitpid(pid, status_r, 0) < 0 && errno == EINTR)
        ;
    return text;
}

/* The command that a line of `xl help` is about; its length in *len_r. */
static const char *command_of(const char *line, size_t *len_r)
{
    if (line[0] != ' ' || line[1] == ' ')
        return NULL;
    *len_r = strcspn(line + 1, " \n");
    return *len_r ? line + 1 : NULL;
}

static const char *next_line(const char *line)
{
    line += strcspn(line, "\n");
    return *line ? line + 1 : NULL;
}

static bool listed(const char *help, const char *name)
{
    const char *line, *c;
    size_t len;

    for (line = help; line; line = next_line(line)) {
        c = command_of(line, &len);
        if (c && len == strlen(name) && !strncmp(c, name, len))
            return true;
    }
    return false;
}

static bool is_ours(const char *name, size_t len)
{
    size_t i;

    for (i = 0; i < N_OURS; i++)
        if (strlen(ours[i].name) == len && !strncmp(ours[i].name, name, len))
            return true;
    return false;
}

/* How many commands of the real xl, other than ours, begin with word. */
static size_t real_hits(const char *word, bool *exact_r)
{
    char *argv[] = { (char *)"xl", (char *)"help", NULL };
    char *help;
    const char *line, *c;
    size_t hits = 0, len, n = strlen(word);
    int status;

    *exact_r = false;
    help = capture(argv, true, &status);
    if (!help)
        return 0;
    for (line = help; line; line = next_line(line)) {
        c = command_of(line, &len);
        if (!c || len < n || strncmp(c, word, n) != 0 || is_ours(c, len))
            continue;
        hits++;
        if (len == n)
            *exact_r = true;
    }
    free(help);
    return hits;
}

enum whose { REAL, OURS, NOBODYS };

/*
 * Whose command is this word?  As xl itself would decide, were our commands
 * in its table: an exact name, or the beginning of one name only.  *name_r:
 * the full name, if ours.
 */
static enum whose resolve(const char *word, const char **name_r)
{
    size_t i, n = strlen(word), hits = 0, theirs;
    bool exact;

    if (!n ||
        strncmp(word, SNAP_XL_PREFIX, n < PREFIX_LEN ? n : PREFIX_LEN) != 0)
        return REAL;
    for (i = 0; i < N_OURS; i++) {
        if (strncmp(word, ours[i].name, n) != 0)
            continue;
        *name_r = ours[i].name;
        if (!ours[i].name[n])
            return OURS;
        hits++;
    }
    theirs = real_hits(word, &exact);
    if (exact || (theirs && !hits))
        return REAL;
    if (theirs)
        return NOBODYS;
    /* Ours, or nobody's and then xl-snapshot says it best. */
    if (hits != 1)
        *name_r = n < PREFIX_LEN ? SNAP_XL_PREFIX : word;
    return OURS;
}

/* End as the real xl ended. */
static int end_like(int status)
{
    int sig;

    fflush(stdout);
    if (WIFSIGNALED(status)) {
        sig = WTERMSIG(status);
        signal(sig, SIG_DFL);
        raise(sig);
        return 128 + sig;
    }
    return WEXITSTATUS(status);
}

/* The real xl's list of commands, and ours below. */
static int merged_help(char **argv)
{
    char *help;
    const char *line;
    bool list = false;
    size_t i, len;
    int status = 0;

    help = capture(argv, false, &status);
    if (!help)
        return exec_real(argv); /* says why */
    for (line = help; line && !list; line = next_line(line))
        list = command_of(line, &len);
    fputs(help, stdout);
    for (i = 0; list && i < N_OURS; i++)
        if (!listed(help, ours[i].name))
            printf(" %-19s %s\n", ours[i].name, ours[i].desc);
    free(help);
    return end_like(status);
}

/* Index of the command word behind xl's global options; 0: an option that
 * xl does not have, which it shall say itself. */
static int word_index(int argc, char **argv)
{
    int i;

    for (i = 1; i < argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1])
            return i;
        if (!strcmp(argv[i], "--"))
            return i + 1;
        if (argv[i][1 + strspn(argv[i] + 1, "vftTN")])
            return 0;
    }
    return i;
}

int main(int argc, char **argv)
{
    const char *name = NULL;
    char *word, *arg;
    int i;

    find_others();
    i = word_index(argc, argv);
    if (argc < 1 || !i)
        return exec_real(argv);
    word = i < argc ? argv[i] : NULL;
    if (!word)
        return merged_help(argv);

    if (!strcmp(word, "help")) {
        arg = argv[i + 1];
        if (!arg || !strcmp(arg, "help"))
            return merged_help(argv);
        switch (resolve(arg, &name)) {
        case REAL:
            return exec_real(argv);
        case NOBODYS:
            printf("command \"%s\" not implemented\n", arg);
            return 0;
        case OURS:
            argv[i + 1] = (char *)name;
        }
    } else {
        switch (resolve(word, &name)) {
        case REAL:
            return exec_real(argv);
        case NOBODYS:
            fprintf(stderr, "command not implemented\n");
            return 1;
        case OURS:
            argv[i] = (char *)name;
        }
    }
    /* xl-snapshot knows xl's global options, and by this name whose. */
    argv[0] = (char *)"xl";
    return exec_program(argv);
}

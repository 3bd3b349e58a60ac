/* SPDX-License-Identifier: LGPL-2.1-only */
#include "fakes/xen/fake_xenstore.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenstore.h>

#define PATH_SIZE  128
#define VALUE_SIZE 256
#define N_NODES    128
#define N_WATCHES  8
#define N_EVENTS   1024 /* a context that libxl has spoilt reads none */

struct store {
    pthread_mutex_t lock;
    bool broken;
    struct {
        char path[PATH_SIZE], value[VALUE_SIZE];
    } nodes[N_NODES];
};

struct xs_handle {
    struct xs_handle *next;
    int pipe[2];
    struct {
        char path[PATH_SIZE], token[PATH_SIZE];
    } watch[N_WATCHES], event[N_EVENTS];
    int n_watches, n_events;
};
static struct xs_handle *handles; /* of this process */

static void must(bool yes, const char *what)
{
    if (yes)
        return;
    fprintf(stderr, "fake xenstore: %s\n", what);
    abort();
}

/* --- memory that is shared --------------------------------------------- */

void *fake_shared(const char *name, size_t size)
{
    const char *number = getenv(name);
    char text[16];
    void *at;
    int fd;

    if (number) {
        fd = (int)strtol(number, NULL, 10);
    } else {
        fd = memfd_create(name, 0);
        must(fd >= 0 && !ftruncate(fd, size), "no memory to share");
        snprintf(text, sizeof(text), "%d", fd);
        setenv(name, text, 1);
    }
    at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(at != MAP_FAILED, "no memory to share");
    return at;
}

static struct store *store(void)
{
    static struct store *s;
    pthread_mutexattr_t attr;
    bool first = !getenv("FAKE_XENSTORE_FD");

    if (s)
        return s;
    s = fake_shared("FAKE_XENSTORE_FD", sizeof(*s));
    if (first) {
        pthread_mutexattr_init(&attr);
        pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
        pthread_mutex_init(&s->lock, &attr);
    }
    return s;
}

void fake_xs_lock(void)
{
    pthread_mutex_lock(&store()->lock);
}

void fake_xs_unlock(void)
{
    pthread_mutex_unlock(&store()->lock);
}

void fake_xs_reset(void)
{
    fake_xs_lock();
    store()->broken = false;
    memset(store()->nodes, 0, sizeof(store()->nodes));
    fake_xs_unlock();
}

void fake_xs_break(bool broken)
{
    fake_xs_lock();
    store()->broken = broken;
    fake_xs_unlock();
}

/* --- nodes and watches ------------------------------------------------- */

/* "" is a free place. */
static int index_of(const char *path)
{
    int i;

    for (i = 0; i < N_NODES; i++)
        if (!strcmp(store()->nodes[i].path, path))
            return i;
    return -1;
}

/* The rest of a path that is below this one, or NULL. */
static const char *below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return !strncmp(path, dir, len) && path[len] == '/' ? path + len + 1
                                                        : NULL;
}

static void queue(struct xs_handle *h, const char *path, const char *token)
{
    must(h->n_events < N_EVENTS, "nobody reads the events");
    snprintf(h->event[h->n_events].path, PATH_SIZE, "%s", path);
    snprintf(h->event[h->n_events++].token, PATH_SIZE, "%s", token);
    must(write(h->pipe[1], "e", 1) == 1, "no event");
}

void fake_xs_fire(const char *path)
{
    struct xs_handle *h;
    int i;

    for (h = handles; h; h = h->next)
        for (i = 0; i < h->n_watches; i++)
            if (!strcmp(h->watch[i].path, path) ||
                below(path, h->watch[i].path))
                queue(h, path, h->watch[i].token);
}

void fake_xs_set(const char *path, const char *value)
{
    struct store *s = store();
    int i = index_of(path);

    if (value && i < 0)
        i = index_of("");
    if (value) {
        must(i >= 0 && strlen(path) < PATH_SIZE && strlen(value) < VALUE_SIZE,
             "it is full");
        snprintf(s->nodes[i].path, PATH_SIZE, "%s", path);
        snprintf(s->nodes[i].value, VALUE_SIZE, "%s", value);
    }
    for (i = 0; !value && i < N_NODES; i++)
        if (!strcmp(s->nodes[i].path, path) || below(s->nodes[i].path, path))
            s->nodes[i].path[0] = '\0';
    fake_xs_fire(path);
}

const char *fake_xs_get(const char *path)
{
    int i = index_of(path);

    return i < 0 ? NULL : store()->nodes[i].value;
}

void fake_xs_put(const char *path, const char *value)
{
    fake_xs_lock();
    fake_xs_set(path, value);
    fake_xs_unlock();
}

/* --- libxenstore ------------------------------------------------------- */

struct xs_handle *xs_open(unsigned long flags)
{
    struct xs_handle *h = calloc(1, sizeof(*h));

    (void)flags;
    must(h && !pipe2(h->pipe, O_CLOEXEC | O_NONBLOCK), "no connection");
    fake_xs_lock();
    h->next = handles;
    handles = h;
    fake_xs_unlock();
    return h;
}

void xs_close(struct xs_handle *h)
{
    struct xs_handle **at;

    fake_xs_lock();
    for (at = &handles; *at != h; at = &(*at)->next)
        ;
    *at = h->next;
    fake_xs_unlock();
    close(h->pipe[0]);
    close(h->pipe[1]);
    free(h);
}

int xs_fileno(struct xs_handle *h)
{
    return h->pipe[0];
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
    fake_xs_lock();
    must(h->n_watches < N_WATCHES, "too many watches");
    snprintf(h->watch[h->n_watches].path, PATH_SIZE, "%s", path);
    snprintf(h->watch[h->n_watches++].token, PATH_SIZE, "%s", token);
    queue(h, path, token);
    fake_xs_unlock();
    return true;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
    int i;

    fake_xs_lock();
    for (i = 0; i < h->n_watches; i++)
        if (!strcmp(h->watch[i].path, path) &&
            !strcmp(h->watch[i].token, token))
            h->watch[i] = h->watch[--h->n_watches];
    fake_xs_unlock();
    return true;
}

char **xs_check_watch(struct xs_handle *h)
{
    char **event = NULL, *text, c;

    fake_xs_lock();
    if (h->n_events) {
        event = calloc(1, 2 * sizeof(*event) + 2 * (size_t)PATH_SIZE);
        must(event, "no memory");
        text = (char *)(event + 2);
        event[XS_WATCH_PATH] = strcpy(text, h->event[0].path);
        event[XS_WATCH_TOKEN] = strcpy(text + PATH_SIZE, h->event[0].token);
        memmove(h->event, h->event + 1, --h->n_events * sizeof(h->event[0]));
        must(read(h->pipe[0], &c, 1) == 1, "no event");
    }
    fake_xs_unlock();
    if (!event)
        errno = EAGAIN;
    return event;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    (void)h;
    return 7;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abandon)
{
    (void)h, (void)t, (void)abandon;
    return true;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path,
              unsigned int *len)
{
    const char *value;
    bool broken;
    char *copy;

    (void)h, (void)t;
    fake_xs_lock();
    broken = store()->broken;
    value = broken ? NULL : fake_xs_get(path);
    copy = value ? strdup(value) : NULL;
    fake_xs_unlock();
    errno = broken ? EIO : ENOENT;
    if (copy && len)
        *len = strlen(copy);
    return copy;
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path,
              const void *data, unsigned int len)
{
    char value[VALUE_SIZE];

    (void)h, (void)t;
    snprintf(value, sizeof(value), "%.*s", (int)len, (const char *)data);
    fake_xs_put(path, value);
    return true;
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    (void)h, (void)t;
    fake_xs_lock();
    if (fake_xs_get(path))
        fake_xs_set(path, NULL);
    fake_xs_unlock();
    return true;
}

static bool is_listed(char **names, unsigned int n, const char *name,
                      size_t len)
{
    unsigned int i;

    for (i = 0; i < n; i++)
        if (!strncmp(names[i], name, len) && !names[i][len])
            return true;
    return false;
}

/* One allocation, as libxenstore makes it. */
char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path,
                    unsigned int *n)
{
    char **names = calloc(N_NODES, sizeof(*names) + PATH_SIZE), *text;
    const char *rest;
    bool there;
    size_t len;
    int i;

    (void)t;
    must(h && names, "no connection");
    text = (char *)(names + N_NODES);
    *n = 0;
    fake_xs_lock();
    errno = store()->broken ? EIO : ENOENT;
    there = !store()->broken && index_of(path) >= 0;
    for (i = 0; i < N_NODES && !store()->broken; i++) {
        rest = below(store()->nodes[i].path, path);
        len = rest ? strcspn(rest, "/") : 0;
        if (!rest || is_listed(names, *n, rest, len))
            continue;
        there = true;
        names[(*n)++] = memcpy(text, rest, len);
        text += len + 1;
    }
    fake_xs_unlock();
    if (there)
        return names;
    free(names);
    return NULL;
}

char *xs_get_domain_path(struct xs_handle *h, unsigned int domid)
{
    char path[40];

    (void)h;
    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    return strdup(path);
}

bool xs_resume_domain(struct xs_handle *h, unsigned int domid)
{
    (void)h, (void)domid;
    return true;
}

void xs_daemon_destroy_postfork(struct xs_handle *h)
{
    (void)h;
}

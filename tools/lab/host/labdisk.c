/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * labdisk: a disk with a cache that loses what it holds when power goes.
 *
 *   labdisk -f IMAGE -s SOCKET [-r SEED]
 *
 * Serves the raw IMAGE by NBD to one client, a lab's QEMU.  A write is kept
 * in memory, and reaches the image when the client flushes (or asks for it to
 * be forced through), as with a real disk.  A client that says goodbye has its
 * writes kept.  One that vanishes was a machine whose power was cut: of the
 * blocks that were not flushed some are written and the others are lost, each
 * by chance and in no order.  How likely one is to be written is drawn anew
 * for each cut, so that now and then none is, and now and then all are.
 *
 * Blocks are 4 KiB and are written whole or not at all; to the client the
 * disk has sectors of this size.  Prints one line when it ends, and the seed
 * that repeats the draw.
 *
 * Protocol: github.com/NetworkBlockDevice/nbd, doc/proto.md; fixed newstyle,
 * NBD_OPT_GO and simple replies, all that QEMU needs.
 */

#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BLOCK     4096
#define BUCKETS   65536
#define MAX_BYTES (32u << 20) /* of one request */
/* A real cache is small: a full one is written out, as if flushed. */
#define CACHE_MAX 65536

#define REQUEST_MAGIC 0x25609513
#define REPLY_MAGIC   0x67446698
#define OPTION_MAGIC  0x49484156454f5054ull /* "IHAVEOPT" */
#define OPTION_REPLY  0x0003e889045565a9ull

enum { OPT_ABORT = 2, OPT_INFO = 6, OPT_GO = 7 };
enum { REP_ACK = 1, REP_INFO = 3 };
#define REP_UNSUPPORTED 0x80000001u
enum { INFO_EXPORT = 0, INFO_BLOCK_SIZE = 3 };
enum { CMD_READ = 0, CMD_WRITE = 1, CMD_DISC = 2, CMD_FLUSH = 3 };
#define FLAG_FUA 1
/* has flags, flush, forced writes */
#define EXPORT_FLAGS (1 | 4 | 8)

struct cached {
    struct cached *next;
    uint64_t number;
    unsigned char data[BLOCK];
};

static struct cached *bucket[BUCKETS];
static unsigned int n_cached;
static int image = -1, client = -1;
static uint64_t size, seed;

static void die(const char *what)
{
    fprintf(stderr, "labdisk: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- the image and its cache ------------------------------------------- */

static struct cached **place(uint64_t number)
{
    struct cached **c = &bucket[number % BUCKETS];

    while (*c && (*c)->number != number)
        c = &(*c)->next;
    return c;
}

static void to_image(const struct cached *c)
{
    if (pwrite(image, c->data, BLOCK, c->number * BLOCK) != BLOCK)
        die("writing the image");
}

static uint64_t draw(void) /* splitmix64 */
{
    uint64_t z = seed += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* Empties the cache; of all blocks CHANCE in 256 are kept, 256 for all. */
static unsigned int empty(unsigned int chance)
{
    unsigned int i, kept = 0;

    for (i = 0; i < BUCKETS; i++)
        while (bucket[i]) {
            struct cached *c = bucket[i];

            bucket[i] = c->next;
            if (chance >= 256 || draw() % 256 < chance) {
                to_image(c);
                kept++;
            }
            free(c);
        }
    n_cached = 0;
    return kept;
}

static void put(uint64_t number, const unsigned char *data)
{
    struct cached **c;

    if (n_cached >= CACHE_MAX)
        empty(256);
    c = place(number);
    if (!*c) {
        *c = calloc(1, sizeof(**c));
        if (!*c)
            die("memory");
        (*c)->number = number;
        n_cached++;
    }
    memcpy((*c)->data, data, BLOCK);
}

static void get(uint64_t number, unsigned char *data)
{
    struct cached **c = place(number);

    if (*c)
        memcpy(data, (*c)->data, BLOCK);
    else if (pread(image, data, BLOCK, number * BLOCK) != BLOCK)
        die("reading the image");
}

/* --- the client -------------------------------------------------------- */

static void power_cut(void)
{
    static const unsigned int chances[] = { 0, 64, 128, 192, 256 };
    uint64_t first = seed;
    unsigned int held = n_cached, kept;

    kept = empty(chances[draw() % 5]);
    printf("power cut: %u blocks were not flushed, %u of them were written (seed %llu)\n",
           held, kept, (unsigned long long)first);
    exit(0);
}

static void take(void *p, size_t len)
{
    unsigned char *at = p;

    while (len) {
        ssize_t r = read(client, at, len);

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            power_cut();
        at += r;
        len -= r;
    }
}

static void give(const void *p, size_t len)
{
    const unsigned char *at = p;

    while (len) {
        ssize_t r = write(client, at, len);

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            power_cut();
        at += r;
        len -= r;
    }
}

static void option_reply(uint32_t option, uint32_t type, const void *data,
                         uint32_t len)
{
    struct {
        uint64_t magic;
        uint32_t option, type, len;
    } __attribute__((packed)) r = { htobe64(OPTION_REPLY), htobe32(option),
                                    htobe32(type), htobe32(len) };

    give(&r, sizeof(r));
    give(data, len);
}

static void greet(void)
{
    struct {
        uint64_t magic, option;
        uint16_t flags;
    } __attribute__((packed)) hello = { htobe64(0x4e42444d41474943ull),
                                        htobe64(OPTION_MAGIC), htobe16(3) };
    struct {
        uint16_t type;
        uint64_t size;
        uint16_t flags;
    } __attribute__((packed)) export = { htobe16(INFO_EXPORT), htobe64(size),
                                         htobe16(EXPORT_FLAGS) };
    struct {
        uint16_t type;
        uint32_t min, preferred, max;
    } __attribute__((packed))
    blocks = { htobe16(INFO_BLOCK_SIZE), htobe32(BLOCK), htobe32(BLOCK),
               htobe32(MAX_BYTES) };
    struct {
        uint64_t magic;
        uint32_t option, len;
    } __attribute__((packed)) o;
    uint32_t flags;
    char data[4096];

    give(&hello, sizeof(hello));
    take(&flags, sizeof(flags));
    for (;;) {
        take(&o, sizeof(o));
        o.option = be32toh(o.option);
        o.len = be32toh(o.len);
        if (be64toh(o.magic) != OPTION_MAGIC || o.len > sizeof(data)) {
            errno = EPROTO;
            die("the client");
        }
        take(data, o.len);
        if (o.option == OPT_GO || o.option == OPT_INFO) {
            option_reply(o.option, REP_INFO, &export, sizeof(export));
            option_reply(o.option, REP_INFO, &blocks, sizeof(blocks));
            option_reply(o.option, REP_ACK, "", 0);
            if (o.option == OPT_GO)
                return;
        } else if (o.option == OPT_ABORT) {
            option_reply(o.option, REP_ACK, "", 0);
            exit(0);
        } else {
            option_reply(o.option, REP_UNSUPPORTED, "", 0);
        }
    }
}

static void serve(void)
{
    struct {
        uint32_t magic;
        uint16_t flags, type;
        uint64_t handle, offset;
        uint32_t len;
    } __attribute__((packed)) q;
    struct {
        uint32_t magic, error;
        uint64_t handle;
    } __attribute__((packed)) r = { .magic = htobe32(REPLY_MAGIC) };
    unsigned char *data = malloc(MAX_BYTES);
    uint64_t at;
    bool ok;

    if (!data)
        die("memory");
    for (;;) {
        take(&q, sizeof(q));
        q.type = be16toh(q.type);
        q.len = be32toh(q.len);
        q.offset = be64toh(q.offset);
        if (be32toh(q.magic) != REQUEST_MAGIC || q.len > MAX_BYTES) {
            errno = EPROTO;
            die("the client");
        }
        if (q.type == CMD_DISC)
            return;
        r.handle = q.handle;
        if (q.type == CMD_WRITE)
            take(data, q.len);
        ok = q.type == CMD_FLUSH ||
             (q.offset % BLOCK == 0 && q.len % BLOCK == 0 &&
              q.offset <= size && q.len <= size - q.offset);
        for (at = 0; ok && at < q.len && q.type != CMD_FLUSH; at += BLOCK)
            if (q.type == CMD_WRITE)
                put((q.offset + at) / BLOCK, data + at);
            else
                get((q.offset + at) / BLOCK, data + at);
        ok = ok && q.type <= CMD_FLUSH;
        if (q.type == CMD_FLUSH || be16toh(q.flags) & FLAG_FUA)
            empty(256);
        r.error = htobe32(ok ? 0 : EINVAL);
        give(&r, sizeof(r));
        if (ok && q.type == CMD_READ)
            give(data, q.len);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    struct stat st;
    int c, door;
    bool seeded = false;

    while ((c = getopt(argc, argv, "f:s:r:")) != -1) {
        if (c == 'f') {
            image = open(optarg, O_RDWR | O_CLOEXEC);
            if (image < 0 || fstat(image, &st))
                die(optarg);
            size = st.st_size;
        } else if (c == 's' && strlen(optarg) < sizeof(addr.sun_path)) {
            strcpy(addr.sun_path, optarg);
        } else if (c == 'r') {
            seed = strtoull(optarg, NULL, 0);
            seeded = true;
        } else {
            return 2;
        }
    }
    if (image < 0 || !addr.sun_path[0] || optind != argc || size % BLOCK) {
        fprintf(stderr, "usage: labdisk -f IMAGE -s SOCKET [-r SEED]\n");
        return 2;
    }
    if (!seeded && getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        die("getrandom");
    signal(SIGPIPE, SIG_IGN);
    door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (door < 0 || bind(door, (struct sockaddr *)&addr, sizeof(addr)) ||
        listen(door, 1))
        die(addr.sun_path);
    /* QEMU may have failed to start. */
    alarm(60);
    client = accept4(door, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0)
        die("accept");
    alarm(0);
    close(door);
    greet();
    serve();
    printf("end: %u blocks written\n", empty(256));
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * labguest: the only program in a guest of the lab.
 *
 * It notices whatever a snapshot may do wrong.  Ten times a second it counts
 * a tick in memory and writes the tick to both of its disks, so that after a
 * revert memory and disks can be seen to be of the same instant.  A writer
 * that can be switched on leaves blocks which say what they are, so that a
 * lost, torn or reordered write is found.
 *
 *   xvda   ext4, made by dom0, mounted at /a
 *            counter   ring of ticks       load   blocks of the writer
 *            data      what "fill" wrote
 *   xvdb   raw
 *            0         the last tick, one 4 KiB record
 *            64 KiB    ring of ticks
 *            1 MiB     blocks of the writer, 64 MiB (or to the end)
 *            128 MiB   what "fill" wrote
 *
 * It says "guest: ready tick=N boot=ID" when it is up, and "tick N" every
 * five ticks.  It takes commands from its console, one a line, each with a
 * tag that starts with @, and answers each with one line that starts with
 * this tag.  A tag seen before is not obeyed again but answered again, so
 * that whoever asks may repeat a question that was lost.
 *
 *   @T status          ok tick=N boot=ID a=N b=N ahole=N bhole=N
 *                      a and b are read from the disks, not from memory; the
 *                      ticks stand still meanwhile, so all three are equal if
 *                      all is well.  ahole, bhole: ticks of this boot that
 *                      the ring should hold and does not.
 *   @T sum             ok mb=N a=SUM b=SUM abad=N bbad=N
 *                      of what fill wrote, from the disks; SUM may be
 *                      "missing" or "damaged"; bad counts blocks that are
 *                      not what fill wrote
 *   @T fill SEED MB    ok mb=N a=SUM b=SUM
 *   @T expect SEED MB  ok sum=SUM          what fill would give
 *   @T damage          ok                  junk over b's data, /a/data gone
 *   @T load start      ok session=ID       start over at sequence 1
 *   @T load stop       ok seq=N
 *   @T load verify     ok|bad seq=N blocks=N torn=N lost=N
 *                      every block holds the last write acknowledged to this
 *                      memory; the writer need not stand still
 *   @T load scan       ok|bad seq=N blocks=N torn=N lost=N
 *                      from the disks alone, with the writer stopped: they
 *                      hold all writes up to some instant and none after it,
 *                      across both disks; for snapshots without memory
 *   @T mem fill MB     ok                  a pattern in memory
 *   @T mem check       ok|bad mb=N bad=N
 *   @T gap             ok gap=MS           longest time between two ticks
 *                      since it was last asked
 *   @T unplug          ok emulated=N xvd=N platform=...
 *                      disks that are emulated, disks that are xvd
 *   @T freeze, thaw    ok                  the file system at /a
 *   @T freeze-check    ok frozen|writable
 *   @T sync, uptime, ping
 *   @T reboot, poweroff, crash             answered before it is done
 *
 * "bad" and "err" answers come with lines that start with "guest: TORN",
 * "guest: LOST", "guest: FUTURE" or "guest: EIO".
 *
 * As /sbin/poweroff or /sbin/reboot it is what the kernel calls when the
 * toolstack asks.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define KIB    1024ULL
#define MIB    (1024 * KIB)
#define SECTOR 512
#define BLOCK  (64 * KIB)
#define CHUNK  MIB /* what is moved at a time where nobody watches the order */

/* Each tick is four writes, and emulated: more of them a second, and dom0
 * has no time left for the tests. */
#define TICK_US 400000

#define RING_SLOTS    1024
#define B_RING        (64 * KIB)
#define B_LOAD        (1 * MIB)
#define B_LOAD_BLOCKS 1024
#define A_LOAD_BLOCKS 64
#define B_DATA        (128 * MIB)

#define TICK_MAGIC 0x4b4349544c47584cULL
#define LOAD_MAGIC 0x44414f4c4c47584cULL
#define FILL_MAGIC 0x4c4c49464c47584cULL

struct tick_record {
    uint64_t magic, boot, tick, pattern, sum;
};

struct block {
    uint64_t magic;
    uint64_t session; /* of the writer; of fill: the seed */
    uint64_t region; /* 'a' or 'b' */
    uint64_t number;
    uint64_t seq; /* of the writer; of fill: MB in all */
    uint64_t sum; /* of the whole block with this as 0 */
    uint64_t data[BLOCK / 8 - 6];
};
_Static_assert(sizeof(struct block) == BLOCK, "a block is 64 KiB");

/* A disk or file under test, always read with O_DIRECT. */
struct region {
    char name;
    const char *path;
    off_t start;
    unsigned int blocks;
    int fd;
    uint64_t acked[B_LOAD_BLOCKS];
};

static int console = -1;
static pthread_mutex_t console_lock = PTHREAD_MUTEX_INITIALIZER;

/* Holds the ticks still. */
static pthread_mutex_t tick_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t boot_id, tick;
static int counter_fd = -1, b_fd = -1;
static bool have_a, have_b;
static uint64_t b_size;
static double longest_gap, last_tick_at;

/* Held for each write of the writer, so that none is in flight for others. */
static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t load_starts = PTHREAD_COND_INITIALIZER;
static bool load_on;
static uint64_t load_session, load_seq;
static struct region load_a = {
    .name = 'a', .path = "/a/load", .fd = -1, .blocks = A_LOAD_BLOCKS
};
static struct region load_b = { .name = 'b',
                                .path = "/dev/xvdb",
                                .fd = -1,
                                .start = B_LOAD,
                                .blocks = B_LOAD_BLOCKS };

static uint64_t *mem;
static size_t mem_mb;

/* --- small things ------------------------------------------------------ */

static void say(const char *fmt, ...)
{
    char line[600];
    size_t at = 0, len;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line) - 2, fmt, ap);
    va_end(ap);
    len = strlen(line);
    line[len++] = '\r';
    line[len++] = '\n';
    pthread_mutex_lock(&console_lock);
    while (at < len) {
        ssize_t n = write(console, line + at, len - at);

        if (n > 0)
            at += n;
        else if (n < 0 && errno == EAGAIN)
            usleep(10000);
        else if (n < 0 && errno != EINTR)
            break;
    }
    pthread_mutex_unlock(&console_lock);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static uint64_t sum64(const void *buf, size_t bytes, uint64_t sum)
{
    const uint64_t *w = buf;

    for (size_t i = 0; i < bytes / 8; i++) {
        sum = (sum ^ w[i]) * 0x100000001b3ULL;
        sum = (sum << 23) | (sum >> 41);
    }
    return sum;
}

static uint64_t random64(void)
{
    uint64_t x = 0;

    if (getrandom(&x, sizeof(x), GRND_NONBLOCK) != sizeof(x)) {
        int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

        if (fd < 0 || read(fd, &x, sizeof(x)) != sizeof(x))
            x = mix(time(NULL));
        if (fd >= 0)
            close(fd);
    }
    return x;
}

static void *direct_buffer(size_t bytes)
{
    void *p = NULL;

    if (posix_memalign(&p, 4096, bytes)) {
        say("guest: out of memory");
        abort();
    }
    memset(p, 0, bytes);
    return p;
}

static bool write_at(int fd, const void *buf, size_t len, off_t at,
                     const char *what)
{
    ssize_t n = pwrite(fd, buf, len, at);

    if (n == (ssize_t)len)
        return true;
    say("guest: EIO writing %s at %lld: %s", what, (long long)at,
        n < 0 ? strerror(errno) : "short");
    return false;
}

static bool read_at(int fd, void *buf, size_t len, off_t at, const char *what)
{
    ssize_t n = pread(fd, buf, len, at);

    if (n == (ssize_t)len)
        return true;
    say("guest: EIO reading %s at %lld: %s", what, (long long)at,
        n < 0 ? strerror(errno) : "short");
    return false;
}

static bool lock_for(pthread_mutex_t *lock, int seconds)
{
    /* Not bound to the clock: that may jump when the guest is restored. */
    for (int i = 0; i < seconds * 20; i++) {
        if (pthread_mutex_trylock(lock) == 0)
            return true;
        usleep(50000);
    }
    return false;
}

/* --- ticks ------------------------------------------------------------- */

static void make_record(struct tick_record *r, uint64_t n)
{
    r->magic = TICK_MAGIC;
    r->boot = boot_id;
    r->tick = n;
    r->pattern = mix(n);
    r->sum = sum64(r, sizeof(*r) - 8, boot_id);
}

static bool good_record(const struct tick_record *r)
{
    return r->magic == TICK_MAGIC && r->pattern == mix(r->tick) &&
           r->sum == sum64(r, sizeof(*r) - 8, r->boot);
}

static void write_tick(uint64_t n)
{
    static struct tick_record *sector, *page;
    off_t slot = (n % RING_SLOTS) * SECTOR;

    if (!sector) {
        sector = direct_buffer(SECTOR);
        page = direct_buffer(4096);
    }
    make_record(sector, n);
    if (have_a) {
        write_at(counter_fd, sector, SECTOR, slot, "/a/counter");
        if (fdatasync(counter_fd))
            say("guest: EIO syncing /a/counter: %s", strerror(errno));
    }
    if (have_b) {
        for (size_t i = 0; i < 4096; i += SECTOR)
            memcpy((char *)page + i, sector, sizeof(*sector));
        write_at(b_fd, sector, SECTOR, B_RING + slot, "xvdb");
        write_at(b_fd, page, 4096, 0, "xvdb");
    }
}

static void *ticker(void *unused)
{
    (void)unused;
    for (;;) {
        double t;

        usleep(TICK_US);
        pthread_mutex_lock(&tick_lock);
        t = now();
        if (last_tick_at > 0 && t - last_tick_at > longest_gap)
            longest_gap = t - last_tick_at;
        last_tick_at = t;
        write_tick(++tick);
        if (tick % 5 == 0)
            say("tick %llu", (unsigned long long)tick);
        pthread_mutex_unlock(&tick_lock);
    }
    return NULL;
}

/* The newest tick of this boot in a ring, and how many are not there. */
static bool read_ring(int fd, off_t at, const char *what, uint64_t *newest,
                      unsigned int *holes)
{
    char *ring = direct_buffer(RING_SLOTS * SECTOR);
    uint64_t first;
    bool ok = read_at(fd, ring, RING_SLOTS * SECTOR, at, what);

    *newest = 0;
    *holes = 0;
    for (int i = 0; ok && i < RING_SLOTS; i++) {
        struct tick_record *r = (void *)(ring + i * SECTOR);

        if (good_record(r) && r->boot == boot_id && r->tick > *newest)
            *newest = r->tick;
    }
    if (*newest > tick)
        say("guest: FUTURE %s holds tick %llu, memory is at %llu", what,
            (unsigned long long)*newest, (unsigned long long)tick);
    first = tick > RING_SLOTS ? tick - RING_SLOTS + 1 : 1;
    for (uint64_t n = first; ok && n <= tick; n++) {
        struct tick_record *r = (void *)(ring + (n % RING_SLOTS) * SECTOR);

        if (!good_record(r) || r->boot != boot_id || r->tick != n) {
            if (*holes == 0)
                say("guest: LOST %s lacks tick %llu", what,
                    (unsigned long long)n);
            (*holes)++;
        }
    }
    free(ring);
    return ok;
}

static void answer_status(char *out, size_t size)
{
    uint64_t a = 0, b = 0;
    unsigned int ahole = 0, bhole = 0;
    bool ok = true;
    int fd;

    if (!lock_for(&tick_lock, 8)) {
        snprintf(out, size, "err the disks do not take writes");
        return;
    }
    if (have_a) {
        fd = open("/a/counter", O_RDONLY | O_DIRECT | O_CLOEXEC);
        ok = fd >= 0 && read_ring(fd, 0, "/a/counter", &a, &ahole);
        if (fd >= 0)
            close(fd);
    }
    if (have_b) {
        struct tick_record *r = direct_buffer(4096);

        ok = read_ring(b_fd, B_RING, "xvdb", &b, &bhole) && ok;
        ok = read_at(b_fd, r, 4096, 0, "xvdb") && ok;
        for (size_t i = 0; tick > 0 && i < 4096; i += SECTOR) {
            struct tick_record *s = (void *)((char *)r + i);

            if (!good_record(s) || s->boot != boot_id || s->tick != tick) {
                say("guest: TORN tick record at the start of xvdb");
                bhole++;
                break;
            }
        }
        free(r);
    }
    snprintf(out, size,
             "%s tick=%llu boot=%016llx a=%llu b=%llu ahole=%u bhole=%u",
             ok ? "ok" : "err", (unsigned long long)tick,
             (unsigned long long)boot_id, (unsigned long long)a,
             (unsigned long long)b, ahole, bhole);
    pthread_mutex_unlock(&tick_lock);
}

/* --- blocks ------------------------------------------------------------ */

static void make_block(struct block *b, uint64_t magic, uint64_t session,
                       char region, uint64_t number, uint64_t seq)
{
    uint64_t x = mix(session ^ mix(seq ^ mix(number ^ (uint64_t)region)));

    b->magic = magic;
    b->session = session;
    b->region = region;
    b->number = number;
    b->seq = seq;
    b->sum = 0;
    for (size_t i = 0; i < sizeof(b->data) / 8; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        b->data[i] = x;
    }
    b->sum = sum64(b, BLOCK, magic);
}

static bool good_block(struct block *b, uint64_t magic)
{
    uint64_t sum = b->sum, real;

    b->sum = 0;
    real = sum64(b, BLOCK, magic);
    b->sum = sum;
    return b->magic == magic && sum == real;
}

/* --- the writer -------------------------------------------------------- */

/*
 * One write at a time, in turns: odd sequence numbers go to b, even ones to
 * a, each round and round over its blocks.  So which block holds which
 * sequence number at any instant follows from the last one written.
 */
static struct region *place(uint64_t seq, unsigned int *number)
{
    struct region *r;

    if (!have_a)
        r = &load_b, *number = (seq - 1) % r->blocks;
    else if (!have_b)
        r = &load_a, *number = (seq - 1) % r->blocks;
    else
        r = seq % 2 ? &load_b : &load_a, *number = (seq - 1) / 2 % r->blocks;
    return r;
}

/* The newest sequence number up to LAST that was written to a block; or 0. */
static uint64_t newest_in(struct region *r, unsigned int number, uint64_t last)
{
    uint64_t step = have_a && have_b ? 2 : 1;
    uint64_t odd = step == 2 && r == &load_a ? 2 : 1;
    uint64_t seq = odd + step * number;
    uint64_t round = step * r->blocks;

    if (seq > last)
        return 0;
    return seq + (last - seq) / round * round;
}

static bool open_region(struct region *r)
{
    struct block *b;
    struct stat st;
    int fd;

    if (r->fd >= 0)
        return true;
    r->fd = open(r->path, O_RDWR | O_DIRECT | O_SYNC | O_CREAT | O_CLOEXEC,
                 0600);
    if (r->fd < 0) {
        say("guest: EIO opening %s: %s", r->path, strerror(errno));
        return false;
    }
    if (r == &load_b)
        return true;
    if (fstat(r->fd, &st) == 0 && st.st_size == (off_t)(r->blocks * BLOCK))
        return true;
    /* Written in full once: later writes then change no metadata. */
    fd = open(r->path, O_WRONLY | O_CLOEXEC);
    b = direct_buffer(BLOCK);
    for (unsigned int i = 0; fd >= 0 && i < r->blocks; i++)
        if (!write_at(fd, b, BLOCK, i * BLOCK, r->path))
            break;
    free(b);
    if (fd < 0 || fsync(fd) || close(fd))
        say("guest: EIO preparing %s", r->path);
    return true;
}

static void *loader(void *unused)
{
    struct block *b = direct_buffer(BLOCK);

    (void)unused;
    for (;;) {
        unsigned int number;
        struct region *r;

        pthread_mutex_lock(&load_lock);
        while (!load_on)
            pthread_cond_wait(&load_starts, &load_lock);
        r = place(load_seq + 1, &number);
        make_block(b, LOAD_MAGIC, load_session, r->name, number, load_seq + 1);
        if (write_at(r->fd, b, BLOCK, r->start + number * BLOCK, r->path))
            r->acked[number] = ++load_seq;
        else
            load_on = false;
        pthread_mutex_unlock(&load_lock);
        usleep(1000); /* the lock is not fair */
    }
    return NULL;
}

static void load_start(char *out, size_t size)
{
    pthread_mutex_lock(&load_lock);
    if ((have_a && !open_region(&load_a)) ||
        (have_b && !open_region(&load_b)) || (!have_a && !have_b)) {
        snprintf(out, size, "err no disk");
    } else {
        memset(load_a.acked, 0, sizeof(load_a.acked));
        memset(load_b.acked, 0, sizeof(load_b.acked));
        load_session = random64();
        load_seq = 0;
        load_on = true;
        pthread_cond_signal(&load_starts);
        snprintf(out, size, "ok session=%016llx",
                 (unsigned long long)load_session);
    }
    pthread_mutex_unlock(&load_lock);
}

struct findings {
    unsigned int blocks, torn, lost;
};

/* What a block says of itself; session 0: it is not whole. */
struct found {
    uint64_t session, seq;
};

static struct found read_block(struct region *r, unsigned int number,
                               struct block *b)
{
    struct found f = { 0, 0 };

    if (read_at(r->fd, b, BLOCK, r->start + number * BLOCK, r->path) &&
        good_block(b, LOAD_MAGIC) && b->number == number &&
        b->region == (uint64_t)r->name) {
        f.session = b->session;
        f.seq = b->seq;
    }
    return f;
}

static void judge(struct region *r, unsigned int number, struct found is,
                  uint64_t want, uint64_t session, struct findings *f)
{
    if (want == 0)
        return;
    f->blocks++;
    if (is.session == 0) {
        if (f->torn++ < 5)
            say("guest: TORN %s block %u, expected seq %llu", r->path, number,
                (unsigned long long)want);
    } else if (is.session != session || is.seq != want) {
        if (f->lost++ < 5)
            say("guest: LOST %s block %u holds seq %llu%s, expected %llu",
                r->path, number, (unsigned long long)is.seq,
                is.session == session ? "" : " of another session",
                (unsigned long long)want);
    }
}

static void report(char *out, size_t size, const struct findings *f,
                   uint64_t seq)
{
    snprintf(out, size, "%s seq=%llu blocks=%u torn=%u lost=%u",
             f->torn || f->lost ? "bad" : "ok", (unsigned long long)seq,
             f->blocks, f->torn, f->lost);
}

static void load_verify(char *out, size_t size)
{
    struct region *const regions[] = { &load_a, &load_b };
    struct block *b = direct_buffer(BLOCK);
    struct findings f = { 0 };

    for (int i = 0; i < 2; i++) {
        struct region *r = regions[i];

        for (unsigned int n = 0; r->fd >= 0 && n < r->blocks; n++) {
            pthread_mutex_lock(&load_lock);
            if (r->acked[n])
                judge(r, n, read_block(r, n, b), r->acked[n], load_session,
                      &f);
            pthread_mutex_unlock(&load_lock);
        }
    }
    free(b);
    report(out, size, &f, load_seq);
}

static void load_scan(char *out, size_t size)
{
    static struct found found[2][B_LOAD_BLOCKS];
    struct region *const regions[] = { &load_a, &load_b };
    struct block *b = direct_buffer(BLOCK);
    struct findings f = { 0 };
    uint64_t session, last = 0;
    struct region *first;
    unsigned int number;

    pthread_mutex_lock(&load_lock);
    if (load_on || (have_a && !open_region(&load_a)) ||
        (have_b && !open_region(&load_b)) || (!have_a && !have_b)) {
        snprintf(out, size,
                 load_on ? "err the writer is running" : "err no disk");
        goto out;
    }
    /* The block written first belongs to the session written last. */
    first = place(1, &number);
    session = read_block(first, number, b).session;
    if (session == 0) {
        snprintf(out, size, "err nothing was written, or it is damaged");
        goto out;
    }
    for (int i = 0; i < 2; i++) {
        for (unsigned int n = 0; regions[i]->fd >= 0 && n < regions[i]->blocks;
             n++) {
            found[i][n] = read_block(regions[i], n, b);
            if (found[i][n].session == session && found[i][n].seq > last)
                last = found[i][n].seq;
        }
    }
    for (int i = 0; i < 2; i++)
        for (unsigned int n = 0; regions[i]->fd >= 0 && n < regions[i]->blocks;
             n++)
            judge(regions[i], n, found[i][n], newest_in(regions[i], n, last),
                  session, &f);
    report(out, size, &f, last);
out:
    pthread_mutex_unlock(&load_lock);
    free(b);
}

/* --- fill and sum ------------------------------------------------------ */

static bool fill_one(int fd, off_t start, char region, uint64_t seed,
                     uint64_t mb, uint64_t *sum, const char *what)
{
    char *chunk = direct_buffer(CHUNK);
    uint64_t n = 0;
    bool ok = true;

    *sum = seed;
    for (uint64_t at = 0; ok && at < mb * MIB; at += CHUNK) {
        for (size_t i = 0; i < CHUNK; i += BLOCK) {
            make_block((void *)(chunk + i), FILL_MAGIC, seed, region, n++, mb);
            *sum = sum64(chunk + i, BLOCK, *sum);
        }
        if (fd >= 0)
            ok = write_at(fd, chunk, CHUNK, start + at, what);
    }
    free(chunk);
    return ok;
}

/* Both copies hold the same bytes, so that their sums can be compared. */
static void fill(char *out, size_t size, uint64_t seed, uint64_t mb)
{
    uint64_t a = 0, b = 0;
    bool ok = true;
    int fd;

    if (mb == 0 || (have_b && B_DATA + mb * MIB > b_size)) {
        snprintf(out, size, "err %llu MB do not fit", (unsigned long long)mb);
        return;
    }
    if (have_a) {
        fd = open("/a/data",
                  O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
        ok = fd >= 0 && fill_one(fd, 0, 'f', seed, mb, &a, "/a/data");
        ok = ok && fsync(fd) == 0;
        if (fd >= 0)
            close(fd);
    }
    if (have_b)
        ok = fill_one(b_fd, B_DATA, 'f', seed, mb, &b, "xvdb") && ok;
    sync();
    snprintf(out, size, "%s mb=%llu a=%016llx b=%016llx", ok ? "ok" : "err",
             (unsigned long long)mb, (unsigned long long)a,
             (unsigned long long)b);
}

static void sum_one(int fd, off_t start, const char *what, uint64_t *mb,
                    char *text, size_t size, unsigned int *bad)
{
    struct block *b = direct_buffer(BLOCK), *want = direct_buffer(BLOCK);
    char *chunk = direct_buffer(CHUNK);
    uint64_t seed, sum, n = 0;

    if (fd < 0 || pread(fd, b, BLOCK, start) != BLOCK) {
        snprintf(text, size, "missing");
        goto out;
    }
    if (!good_block(b, FILL_MAGIC) || b->number != 0) {
        snprintf(text, size, "damaged");
        goto out;
    }
    seed = sum = b->session;
    *mb = b->seq;
    for (uint64_t at = 0; at < *mb * MIB; at += CHUNK) {
        bool read = read_at(fd, chunk, CHUNK, start + at, what);

        for (size_t i = 0; i < CHUNK; i += BLOCK) {
            make_block(want, FILL_MAGIC, seed, 'f', n++, *mb);
            if (read)
                sum = sum64(chunk + i, BLOCK, sum);
            if (!read || memcmp(chunk + i, want, BLOCK))
                (*bad)++;
        }
    }
    snprintf(text, size, "%016llx", (unsigned long long)sum);
out:
    free(chunk);
    free(b);
    free(want);
}

static void answer_sum(char *out, size_t size)
{
    char a[24] = "none", b[24] = "none";
    unsigned int abad = 0, bbad = 0;
    uint64_t mb = 0;

    if (have_a) {
        int fd = open("/a/data", O_RDONLY | O_DIRECT | O_CLOEXEC);

        sum_one(fd, 0, "/a/data", &mb, a, sizeof(a), &abad);
        if (fd >= 0)
            close(fd);
    }
    if (have_b)
        sum_one(b_fd, B_DATA, "xvdb", &mb, b, sizeof(b), &bbad);
    snprintf(out, size, "ok mb=%llu a=%s b=%s abad=%u bbad=%u",
             (unsigned long long)mb, a, b, abad, bbad);
}

static void damage(char *out, size_t size)
{
    struct block *b = direct_buffer(BLOCK);
    char *chunk = direct_buffer(CHUNK);
    uint64_t mb = 1;
    bool ok = true;

    if (have_b) {
        if (pread(b_fd, b, BLOCK, B_DATA) == BLOCK &&
            good_block(b, FILL_MAGIC))
            mb = b->seq;
        memset(chunk, 0xdb, CHUNK);
        for (uint64_t n = 0; ok && n < mb; n++)
            ok = write_at(b_fd, chunk, CHUNK, B_DATA + n * CHUNK, "xvdb");
    }
    if (have_a && unlink("/a/data") && errno != ENOENT)
        ok = false;
    sync();
    free(chunk);
    free(b);
    snprintf(out, size, "%s", ok ? "ok" : "err");
}

/* --- memory, devices, file system --------------------------------------- */

static void mem_command(char *out, size_t size, const char *what, uint64_t mb)
{
    size_t bad = 0;

    if (!strcmp(what, "fill")) {
        if (mem)
            munmap(mem, mem_mb * MIB);
        mem_mb = mb;
        mem = mmap(NULL, mb * MIB, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mem == MAP_FAILED) {
            mem = NULL;
            snprintf(out, size, "err %s", strerror(errno));
            return;
        }
        for (size_t i = 0; i < mb * MIB / 8; i++)
            mem[i] = i * 0x9e3779b97f4a7c15ULL ^ boot_id;
        snprintf(out, size, "ok mb=%zu", mem_mb);
    } else if (!strcmp(what, "check") && mem) {
        for (size_t i = 0; i < mem_mb * MIB / 8; i++)
            bad += mem[i] != (i * 0x9e3779b97f4a7c15ULL ^ boot_id);
        snprintf(out, size, "%s mb=%zu bad=%zu", bad ? "bad" : "ok", mem_mb,
                 bad);
    } else {
        snprintf(out, size, "err mem fill MB, then mem check");
    }
}

static void answer_unplug(char *out, size_t size)
{
    unsigned int emulated = 0, xvd = 0;
    char text[64] = "no";
    struct dirent *e;
    DIR *d = opendir("/sys/block");
    int fd;

    while (d && (e = readdir(d))) {
        emulated += !strncmp(e->d_name, "sd", 2) ||
                    !strncmp(e->d_name, "hd", 2);
        xvd += !strncmp(e->d_name, "xvd", 3);
    }
    if (d)
        closedir(d);
    /* The kernel logs it once, when it unplugs them. */
    fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    for (;;) {
        char line[1024];
        ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

        if (n < 0 && fd >= 0 && errno == EPIPE)
            continue;
        if (n <= 0)
            break;
        line[n] = '\0';
        if (strstr(line, "unplug emulated disks"))
            snprintf(text, sizeof(text), "unplugged");
    }
    if (fd >= 0)
        close(fd);
    snprintf(out, size, "ok emulated=%u xvd=%u platform=%s", emulated, xvd,
             text);
}

static void fs_ioctl(char *out, size_t size, unsigned long request)
{
    int fd = open("/a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || ioctl(fd, request, 0))
        snprintf(out, size, "err %s", strerror(errno));
    else
        snprintf(out, size, "ok");
    if (fd >= 0)
        close(fd);
}

static volatile int probe_done;

static void *probe_write(void *unused)
{
    int fd = open("/a/.probe", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    (void)unused;
    if (fd >= 0) {
        if (write(fd, "x", 1) == 1)
            unlink("/a/.probe");
        close(fd);
    }
    probe_done = 1;
    return NULL;
}

static void freeze_check(char *out, size_t size)
{
    pthread_t t;

    probe_done = 0;
    if (pthread_create(&t, NULL, probe_write, NULL)) {
        snprintf(out, size, "err thread");
        return;
    }
    pthread_detach(t);
    for (int i = 0; i < 30 && !probe_done; i++)
        usleep(50000);
    snprintf(out, size, "ok %s", probe_done ? "writable" : "frozen");
}

/* --- commands ---------------------------------------------------------- */

static void finish(const char *how)
{
    int fd;

    if (strcmp(how, "crash")) {
        /* As an init does, nothing is written any more: with a request under
         * way when its frontend closes, QEMU 7.2 writes to a ring that is
         * unmapped (xen_block_send_response()), dies, and the domain never
         * goes. */
        lock_for(&tick_lock, 10);
        lock_for(&load_lock, 10);
        sync();
        reboot(!strcmp(how, "reboot") ? RB_AUTOBOOT : RB_POWER_OFF);
    }
    fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "c", 1) < 0)
        say("guest: cannot crash");
}

static void obey(char *line)
{
    static char seen[16][40], answers[16][400];
    static unsigned int next;
    char *save = NULL, *tag = strtok_r(line, " ", &save), *cmd, *arg, *arg2;
    const char *end = NULL;
    char out[400] = "ok";
    uint64_t n = 0;

    if (!tag || tag[0] != '@' || strlen(tag) >= sizeof(seen[0]))
        return;
    for (int i = 0; i < 16; i++) {
        if (!strcmp(seen[i], tag)) {
            say("%s %s", tag, answers[i]);
            return;
        }
    }
    cmd = strtok_r(NULL, " ", &save);
    arg = strtok_r(NULL, " ", &save);
    arg2 = strtok_r(NULL, " ", &save);
    if (!cmd)
        return;
    if (!arg)
        arg = "";
    if (arg2)
        n = strtoull(arg2, NULL, 0);

    if (!strcmp(cmd, "status")) {
        answer_status(out, sizeof(out));
    } else if (!strcmp(cmd, "sum")) {
        answer_sum(out, sizeof(out));
    } else if (!strcmp(cmd, "fill")) {
        fill(out, sizeof(out), strtoull(arg, NULL, 0), n);
    } else if (!strcmp(cmd, "expect")) {
        uint64_t sum;

        fill_one(-1, 0, 'f', strtoull(arg, NULL, 0), n, &sum, "");
        snprintf(out, sizeof(out), "ok sum=%016llx", (unsigned long long)sum);
    } else if (!strcmp(cmd, "damage")) {
        damage(out, sizeof(out));
    } else if (!strcmp(cmd, "load") && !strcmp(arg, "start")) {
        load_start(out, sizeof(out));
    } else if (!strcmp(cmd, "load") && !strcmp(arg, "stop")) {
        pthread_mutex_lock(&load_lock);
        load_on = false;
        snprintf(out, sizeof(out), "ok seq=%llu",
                 (unsigned long long)load_seq);
        pthread_mutex_unlock(&load_lock);
    } else if (!strcmp(cmd, "load") && !strcmp(arg, "verify")) {
        load_verify(out, sizeof(out));
    } else if (!strcmp(cmd, "load") && !strcmp(arg, "scan")) {
        load_scan(out, sizeof(out));
    } else if (!strcmp(cmd, "mem")) {
        mem_command(out, sizeof(out), arg, n);
    } else if (!strcmp(cmd, "gap")) {
        pthread_mutex_lock(&tick_lock);
        snprintf(out, sizeof(out), "ok gap=%.0f", longest_gap * 1000);
        longest_gap = 0;
        pthread_mutex_unlock(&tick_lock);
    } else if (!strcmp(cmd, "unplug")) {
        answer_unplug(out, sizeof(out));
    } else if (!strcmp(cmd, "freeze")) {
        fs_ioctl(out, sizeof(out), FIFREEZE);
    } else if (!strcmp(cmd, "thaw")) {
        fs_ioctl(out, sizeof(out), FITHAW);
    } else if (!strcmp(cmd, "freeze-check")) {
        freeze_check(out, sizeof(out));
    } else if (!strcmp(cmd, "sync")) {
        sync();
    } else if (!strcmp(cmd, "uptime")) {
        snprintf(out, sizeof(out), "ok uptime=%.1f", now());
    } else if (!strcmp(cmd, "reboot") || !strcmp(cmd, "poweroff") ||
               !strcmp(cmd, "crash")) {
        end = cmd;
    } else if (strcmp(cmd, "ping")) {
        snprintf(out, sizeof(out), "err unknown command");
    }

    snprintf(seen[next], sizeof(seen[next]), "%s", tag);
    snprintf(answers[next], sizeof(answers[next]), "%s", out);
    next = (next + 1) % 16;
    say("%s %s", tag, out);
    if (end) {
        usleep(300000); /* let the answer out */
        finish(end);
    }
}

static void take_commands(void)
{
    char line[256];
    size_t len = 0;

    for (;;) {
        char c;
        ssize_t n = read(console, &c, 1);

        if (n != 1) {
            usleep(50000);
            continue;
        }
        if (c != '\n' && c != '\r') {
            if (len < sizeof(line) - 1)
                line[len++] = c;
            continue;
        }
        line[len] = '\0';
        len = 0;
        obey(line);
    }
}

/* --- start ------------------------------------------------------------- */

static void load_modules(void)
{
    FILE *f = fopen("/modules/order", "re");
    char name[128], path[160];

    while (f && fscanf(f, "%127s", name) == 1) {
        int fd;

        snprintf(path, sizeof(path), "/modules/%s", name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 ||
            (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
            say("guest: module %s: %s", name, strerror(errno));
        if (fd >= 0)
            close(fd);
        unlink(path); /* what lies in the initramfs is memory */
    }
    if (f)
        fclose(f);
}

static unsigned free_mb(void)
{
    struct sysinfo i;

    return sysinfo(&i) ? 0
                       : (unsigned)((uint64_t)i.freeram * i.mem_unit / MIB);
}

static void open_console(void)
{
    struct termios t;

    for (int i = 0; i < 100 && console < 0; i++) {
        console = open("/dev/hvc0", O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (console < 0)
            usleep(50000);
    }
    if (console < 0)
        console = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (console >= 0 && tcgetattr(console, &t) == 0) {
        cfmakeraw(&t);
        tcsetattr(console, TCSANOW, &t);
    }
}

/* The disks appear some time after the driver; a guest may have only one. */
static void open_disks(void)
{
    for (int i = 0; i < 200; i++) {
        if (access("/dev/xvda", F_OK) == 0 &&
            (access("/dev/xvdb", F_OK) == 0 || i >= 100))
            break;
        usleep(50000);
    }
    if (mount("/dev/xvda", "/a", "ext4", 0, "") == 0) {
        counter_fd = open("/a/counter", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        have_a = counter_fd >= 0;
        if (have_a && ftruncate(counter_fd, RING_SLOTS * SECTOR))
            say("guest: /a/counter: %s", strerror(errno));
    } else {
        say("guest: no file system on xvda: %s", strerror(errno));
    }
    b_fd = open("/dev/xvdb", O_RDWR | O_DIRECT | O_SYNC | O_CLOEXEC);
    have_b = b_fd >= 0;
    if (have_b && ioctl(b_fd, BLKGETSIZE64, &b_size))
        b_size = 0;
    if (have_b && b_size < B_LOAD + B_LOAD_BLOCKS * BLOCK)
        load_b.blocks = b_size > B_LOAD + BLOCK ? (b_size - B_LOAD) / BLOCK
                                                : 1;
}

/* All slots once, so that a tick later changes data and no metadata. */
static void prepare_counter(void)
{
    char *zero = direct_buffer(RING_SLOTS * SECTOR);
    struct stat st;

    if (have_a && fstat(counter_fd, &st) == 0 && st.st_blocks < RING_SLOTS) {
        write_at(counter_fd, zero, RING_SLOTS * SECTOR, 0, "/a/counter");
        fsync(counter_fd);
    }
    free(zero);
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');
    pthread_t t;
    int fd;

    (void)argc;
    name = name ? name + 1 : argv[0];
    if (!strcmp(name, "poweroff") || !strcmp(name, "reboot")) {
        sync();
        return reboot(!strcmp(name, "reboot") ? RB_AUTOBOOT : RB_POWER_OFF);
    }

    mount("devtmpfs", "/dev", "devtmpfs", 0, "");
    mount("proc", "/proc", "proc", 0, "");
    mount("sysfs", "/sys", "sysfs", 0, "");
    fd = open("/proc/sys/kernel/printk", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "3", 1) != 1)
            name = NULL;
        close(fd);
    }
    open_console();
    load_modules();
    boot_id = random64();
    open_disks();
    prepare_counter();
    say("guest: disks a=%s b=%s (%llu MB), %u MB of memory free",
        have_a ? "yes" : "no", have_b ? "yes" : "no",
        (unsigned long long)(b_size / MIB), free_mb());
    say("guest: ready tick=%llu boot=%016llx", (unsigned long long)tick,
        (unsigned long long)boot_id);
    if (pthread_create(&t, NULL, ticker, NULL) ||
        pthread_create(&t, NULL, loader, NULL))
        say("guest: cannot start its threads");
    take_commands();
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Images in memory, and the QEMUs that have them open.  An image's content is
 * one number; an overlay without content of its own reads what its base reads.
 * The store is shared memory, so that it outlives a process of the crash tier
 * that ends in the middle.
 */
#ifndef TESTS_FAKES_FAKE_STORE_H
#define TESTS_FAKES_FAKE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FAKE_IMAGES 96
#define FAKE_SNAPS  96
#define FAKE_OPEN   24
#define FAKE_HOLDS  16
#define FAKE_PATH   256

struct fake_image {
    bool exists;
    bool whole; /* false: its maker died half way */
    bool damaged; /* set by tests */
    bool frozen; /* QEMU dropped its right to write */
    bool immutable;
    bool ours; /* made by a driver */
    bool copy; /* of what an internal snapshot holds */
    bool taken; /* has been somebody's active image */
    bool looped; /* a loop device has it, set by tests */
    bool own; /* content is its own */
    pid_t changing; /* a tool is writing to it, or died while it did; or 0 */
    uint64_t content;
    uint64_t size;
    uint64_t bytes; /* what it takes on disk; set by tests */
    uint64_t stamp; /* of its last change, as a file's mtime */
    int64_t written; /* the time of that, as long as days are told apart */
    int64_t merged; /* the time of its last merge, if it is an overlay */
    int backing; /* index, or -1 */
    char
        mark[20]; /* a volume: the operation that made it, as a tag of LVM's */
    uint64_t room; /* a frozen volume: so many writes to what it was taken of
                    * before it is full, and lost; 0: any number */
    int origin; /* what it was taken of, or -1 */
    int alias; /* the path is a link to it, or -1 */
    char path[FAKE_PATH];
    char format[8];
};

struct fake_snap {
    bool used;
    int image;
    uint64_t made; /* version when it was made */
    uint64_t content;
    char tag[FAKE_PATH];
};

struct fake_open { /* a disk of a running QEMU */
    bool used;
    uint32_t domid;
    int image;
    char vdev[16];
    bool pends; /* QEMU has been told to change over to the image below */
};

/* A process keeps all others from opening an image.  It ends with it. */
struct fake_hold {
    pid_t pid; /* 0: none */
    int image;
    bool looked; /* nobody had it */
};

struct fake_store {
    struct fake_image image[FAKE_IMAGES];
    struct fake_snap snap[FAKE_SNAPS];
    struct fake_open open[FAKE_OPEN];
    uint64_t version; /* last content handed out */
    uint64_t stamps; /* last one handed out */
    int64_t now; /* the time, which moves when a test says so */
    uint64_t free_bytes; /* what prepare may still fill */
    uint64_t pool_bytes; /* what the volumes' pool has left */
    uint64_t room; /* of the frozen volumes to come */
    bool mortal; /* QEMU may end with us in the middle of a take: then
                           * "take half VDEV" is asked between two disks */
    /*
     * QEMU comes to the next take late: so often it is connected to and says
     * nothing before it has done it.  It answers nobody before: one command
     * of all monitors is worked on at a time (QEMU's monitor/qmp.c,
     * monitor_qmp_dispatcher_co()), and what a connection that ended had not
     * been begun is dropped (monitor_qmp_cleanup_queue_and_resume()).
     */
    unsigned late;
    bool late_sent;
    struct fake_late { /* what it does then; external disks only */
        bool used;
        int open, to; /* of open[] and image[] */
    } to_do[FAKE_OPEN];
    struct fake_hold hold[FAKE_HOLDS];
    bool left; /* a revert died, or gave up, between two moments, and nobody
                * has begun to put that right */
    char violation[512]; /* the first thing that must not happen */
};

/* The store that the drivers work on; tests set it. */
extern struct fake_store *fake_store_current;

struct fake_store *fake_store_new(void); /* shared, zeroed */
void fake_store_free(struct fake_store *s);

/* An image of the user's with some new content; returns that content. */
uint64_t fake_store_add(struct fake_store *s, const char *path,
                        const char *format, uint64_t size);
bool fake_store_exists(const struct fake_store *s, const char *path);
struct fake_image *fake_store_find(struct fake_store *s, const char *path);
/* What a guest would read from this image now; 0 if it cannot be opened. */
uint64_t fake_store_content(const struct fake_store *s, const char *path);
/* The content of an internal or volume snapshot; 0 if it is not there. */
uint64_t fake_store_snap(const struct fake_store *s, const char *path,
                         const char *tag);
/* Another name for an image that is there, as a symbolic link is.  A volume has
 * /dev/mapper/POOL-NAME besides, with each dash in NAME doubled. */
void fake_store_link(struct fake_store *s, const char *path, const char *to);
void fake_store_remove(struct fake_store *s, const char *path);

/* A QEMU opens a disk for writing; closes all disks of a domain.  Opening a
 * frozen image is a violation, as is a format that it does not have. */
void fake_store_open(struct fake_store *s, uint32_t domid, const char *vdev,
                     const char *path, const char *format);
void fake_store_close(struct fake_store *s, uint32_t domid);
/* Does somebody who lives keep everybody else from it? */
bool fake_store_held(const struct fake_store *s, const char *path);
/* Somebody connects to a QEMU: does it answer? */
bool fake_store_answers(struct fake_store *s);
/* Every change over that QEMU was told of and has not come to happens now. */
void fake_store_comes_to_it(struct fake_store *s);
/* Path of the image that this disk writes to, NULL if it is not open. */
const char *fake_store_active(const struct fake_store *s, uint32_t domid,
                              const char *vdev);
/* The guest writes (the new content is returned), or reads. */
uint64_t fake_store_write(struct fake_store *s, uint32_t domid,
                          const char *vdev);
uint64_t fake_store_read(const struct fake_store *s, uint32_t domid,
                         const char *vdev);

/*
 * NULL if all is well: no violation so far, no file of ours that none of the
 * paths in keep (NULL-terminated) needs, directly or as a base, no snapshot
 * of ours but those of keep_tags ("PATH@TAG").  Otherwise one sentence.
 */
const char *fake_store_check(struct fake_store *s, const char *const *keep,
                             const char *const *keep_tags);

#endif /* TESTS_FAKES_FAKE_STORE_H */

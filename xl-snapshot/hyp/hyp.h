/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the files of hyp/ share: the connection, and small helpers over
 * libxl, libxenstore and /proc.  Internal to the module; nothing outside
 * hyp/ includes this, since it pulls in Xen's headers.
 *
 * LIBXL_API_VERSION: 4.17's libxl.h lists the values that it accepts; 4.19's
 * API is also accepted by 4.20, so one source builds against all of them.
 */
#ifndef SNAP_HYP_HYP_H
#define SNAP_HYP_HYP_H

#define LIBXL_API_VERSION 0x041300
#include <libxl.h>
#include <libxl_event.h>
#include <libxl_utils.h>
#include <pthread.h>
#include <xenstore.h>
#include <xentoollog.h>

#include "core/hyp_ops.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/rc.h"

/* config/Paths.mk.in of Xen: --localstatedir=/var, as all distributions. */
#define HYP_RUN_DIR  "/run/xen"
#define HYP_LIB_DIR  "/var/lib/xen"
#define HYP_LOG_DIR  "/var/log/xen"
#define HYP_LOCK_XL  "/var/lock/xl" /* tools/xl/xl.h: XL_LOCK_FILE */
#define HYP_DUMP_DIR "/var/lib/xen/dump"

#define HYP_LINE_MAX 240 /* bytes kept of one libxl message */

/* A logger of libxl's kind that keeps what went wrong.  xtl must be first:
 * libxl hands us back a pointer to it. */
struct hyp_logger {
    xentoollog_logger xtl;
    const struct snap_log *log;
    pthread_mutex_t lock;
    char first[HYP_LINE_MAX]; /* error lines since hyp_enter() */
    char last[HYP_LINE_MAX];
};

struct snap_hyp {
    libxl_ctx *ctx;
    struct xs_handle *xsh;
    const struct snap_log *log;
    struct hyp_logger logger;
    int xen_major, xen_minor;
    char *qemu_version; /* asked once */
    struct hyp_stopwatch *watch; /* of the last save, or NULL */
    int held_monitor; /* pidfd of the daemon that save()
                                         * stopped; -1: none */
};

/* --- ctx.c ------------------------------------------------------------- */

int hyp_open(const struct snap_log *log, struct snap_hyp **h_r,
             struct snap_err *err);
void hyp_close(struct snap_hyp *h);
int hyp_version(struct snap_hyp *h, char **text_r, struct snap_err *err);
/* At the start of each op: asks snap_fault("hyp", op), forgets old lines. */
int hyp_enter(struct snap_hyp *h, const char *op, struct snap_err *err);
/* Fail with "MESSAGE: what libxl said"; xl_rc is libxl's code, or 0. */
int hyp_fail(struct snap_hyp *h, struct snap_err *err, int xl_rc,
             const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same choice of rc without a message. */
int hyp_rc(int xl_rc);
/* A context for another thread, with the same manners; NULL on failure. */
libxl_ctx *hyp_ctx_new(struct hyp_logger *logger);
void hyp_logger_init(struct hyp_logger *l, const struct snap_log *log);

/* --- xs.c -------------------------------------------------------------- */

/* The value of a node, or NULL; caller frees. */
char *hyp_xs_read(struct snap_hyp *h, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The value as a decimal number, or dflt. */
long hyp_xs_long(struct snap_hyp *h, long dflt, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* libxl's node "/libxl/D/device/KIND/DEVID" of the disk that the guest knows
 * as vdev, or NULL; caller frees. */
char *hyp_xs_disk(struct snap_hyp *h, uint32_t domid, const char *vdev);

/* --- lockfile.c -------------------------------------------------------- */

/* Lock "userdata-l.D.UUID.WHAT" in HYP_LIB_DIR the way libxl does. */
int hyp_lock_userdata(const struct snap_domain *dom, const char *what,
                      int timeout_ms, int *fd_r, struct snap_err *err);
void hyp_unlock(int *fd);

/* --- domain.c ---------------------------------------------------------- */

int hyp_find(struct snap_hyp *h, const char *who, struct snap_domain *dom_r,
             struct snap_err *err);
int hyp_find_uuid(struct snap_hyp *h, const char *uuid,
                  struct snap_domain *dom_r, struct snap_err *err);
int hyp_config(struct snap_hyp *h, const struct snap_domain *dom,
               char **json_r, struct snap_err *err);
int hyp_free_mem(struct snap_hyp *h, uint64_t *kb_r, struct snap_err *err);
int hyp_pause(struct snap_hyp *h, const struct snap_domain *dom,
              struct snap_err *err);
int hyp_unpause(struct snap_hyp *h, const struct snap_domain *dom,
                struct snap_err *err);
/* What state the domain is in now.  SNAP_NOTFOUND if the number is free or
 * belongs to a domain of another uuid.  reason_r (may be NULL) is valid in
 * HYP_SHUTDOWN. */
enum hyp_state {
    HYP_RUNNING,
    HYP_PAUSED,
    HYP_SUSPENDED,
    HYP_SHUTDOWN,
    HYP_DYING
};
int hyp_state(struct snap_hyp *h, const struct snap_domain *dom,
              enum hyp_state *state_r, struct snap_err *err);
/* Number of the domain with this uuid, or SNAP_NOTFOUND (no message). */
int hyp_domid_of_uuid(struct snap_hyp *h, const char *uuid, uint32_t *domid_r);
/* dom_r of a number that was just created or found. */
int hyp_describe(struct snap_hyp *h, uint32_t domid, struct snap_domain *dom_r,
                 struct snap_err *err);

/* --- hvm.c ------------------------------------------------------------- */

/* Must this HVM guest answer a request to suspend, or is it just stopped? */
int hyp_hvm_must_answer(struct snap_hyp *h, uint32_t domid, bool *answer_r,
                        struct snap_err *err);

/* --- proc.c ------------------------------------------------------------ */

/* True if this process is the QEMU of this domain. */
bool hyp_is_qemu(pid_t pid, uint32_t domid);
/* The daemon that watches this domain, or 0. */
pid_t hyp_monitor_find(uint32_t domid, const char *name);
/* True if pid is xl (or our monitor) with its output in one of xl's logs. */
bool hyp_is_monitor(pid_t pid);
/* "/var/log/xen/xl-NAME.log", NAME made fit to be a file name. */
char *hyp_monitor_log(const char *name);
/* pidfd_open(2) and pidfd_send_signal(2); -1 and errno. */
int hyp_pidfd_open(pid_t pid);
int hyp_pidfd_signal(int pidfd, int sig);
/* Wait until the process is gone; SNAP_TIMEOUT without message. */
int hyp_pidfd_wait(int pidfd, int timeout_ms);

/* --- disks.c ----------------------------------------------------------- */

int hyp_disks(struct snap_hyp *h, const struct snap_domain *dom,
              struct snap_vbd **vbds_r, size_t *n_r, struct snap_err *err);
int hyp_image_user(struct snap_hyp *h, const char *path, uint32_t except_domid,
                   char **who_r, struct snap_err *err);
/* The word in front of a qdisk's params for a format of libxl's ("raw" is
 * "aio"), and back. */
const char *hyp_params_word(const char *format);
const char *hyp_format_of_params(const char *params);

/* --- config_file.c ----------------------------------------------------- */

int hyp_config_file(struct snap_hyp *h, const char *path, char **json_r,
                    bool *has_uuid_r, struct snap_err *err);
/* Does this text of an xl.cfg have a value for uuid? */
int hyp_cfg_has_uuid(const char *file, const char *text, size_t len,
                     bool *has_r, struct snap_err *err);
/* xl itself, past any front of ours, in buf or as a word to look up. */
const char *hyp_xl_program(const struct snap_hyp *h, char *buf, size_t size);

/* --- save.c, rescue.c -------------------------------------------------- */

int hyp_save(struct snap_hyp *h, const struct snap_domain *dom,
             const char *config_json, int fd, bool live,
             const struct snap_at_stop *at_stop,
             struct snap_save_result *res_r, struct snap_err *err);
int hyp_resume(struct snap_hyp *h, const struct snap_domain *dom, bool paused,
               struct snap_err *err);
int hyp_rescue(struct snap_hyp *h, const char *uuid, pid_t monitor_pid,
               bool was_paused, struct snap_err *err);
/* Let the monitor that save() stopped go on; fine if there is none. */
void hyp_monitor_release(struct snap_hyp *h);

/* --- stopwatch.c ------------------------------------------------------- */

/* Notices when a domain suspends, from a thread of its own. */
struct hyp_stopwatch;
/* at_stop (or NULL) is called in that thread. */
struct hyp_stopwatch *hyp_stopwatch_start(uint32_t domid,
                                          const struct snap_at_stop *at_stop);
/* Ends it, after at_stop if that was begun; the moment in snap_now_ms()
 * terms, or 0 if nothing was seen and at_stop not called. */
double hyp_stopwatch_stop(struct hyp_stopwatch *w);
/* After stop.  Closes connections: not a thing to do in the window.  *w may
 * be NULL and becomes it. */
void hyp_stopwatch_free(struct hyp_stopwatch **w);

/* --- qmp_sock.c -------------------------------------------------------- */

int hyp_qmp_open(struct snap_hyp *h, const struct snap_domain *dom,
                 struct snap_qmp **q_r, struct snap_err *err);
/* Commands without arguments over libxl's own socket, under its lock. */
int hyp_qmp_brief(struct snap_hyp *h, const struct snap_domain *dom,
                  const char *const *commands, struct snap_err *err);

/* --- set_active.c, destroy.c ------------------------------------------- */

int hyp_set_active(struct snap_hyp *h, const struct snap_domain *dom,
                   const struct snap_active *a, size_t n,
                   struct snap_err *err);
int hyp_destroy(struct snap_hyp *h, const struct snap_domain *dom,
                struct snap_err *err);

/* --- restore.c --------------------------------------------------------- */

int hyp_image_check(struct snap_hyp *h, int fd, char **config_r,
                    struct snap_err *err);
int hyp_restore(struct snap_hyp *h, int fd, const char *config_json,
                struct snap_domain *dom_r, struct snap_err *err);

/* --- create.c, boot.c, monitor.c --------------------------------------- */

int hyp_create(struct snap_hyp *h, const char *config_json,
               struct snap_domain *dom_r, struct snap_err *err);
/* Refuse a configuration whose name or uuid a domain has already. */
int hyp_clash(struct snap_hyp *h, const char *config_json, char **name_r,
              char uuid_r[37], struct snap_err *err);
/* Create a paused domain from cfg, with xl's lock and ballooning. */
int hyp_boot(struct snap_hyp *h, libxl_domain_config *cfg, uint32_t *domid_r,
             struct snap_err *err);
/* True if memory for guests is taken from dom0 (xl.conf: autoballoon). */
bool hyp_autoballoon(struct snap_hyp *h);
/* Start "OURSELVES --monitor DOMID LOG" and wait until it watches. */
int hyp_monitor_start(struct snap_hyp *h, uint32_t domid, const char *name,
                      struct snap_err *err);
int hyp_monitor_main(uint32_t domid, const char *log_path);

#endif /* SNAP_HYP_HYP_H */

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

#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/rc.h"
#include "model/hyp_ops.h"

/* config/Paths.mk.in of Xen: --localstatedir=/var, as all distributions. */
#define HYP_RUN_DIR  "/run/xen"
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
    bool build_noted[2]; /* can_build() has said its doubts: of a boot, of a
                          * memory image */
    struct hyp_stopwatch *watch; /* of the last save, or NULL */
    struct hyp_window *window; /* open, or NULL */
    int held_monitor; /* pidfd of the daemon that save() stopped; -1: none */
};

/* --- limits.c ---------------------------------------------------------- */

/* How long something is waited for, in ms. */
struct hyp_limits {
    int lock_ms; /* for a lock of libxl's that another holds */
    int gone_ms; /* for the end of a destroyed domain and its QEMU */
    int save_stall_ms; /* the guest stands, and no memory is written: QEMU may
                        * have to flush much before it answers */
    int restore_stall_ms; /* xl restore moves no byte and does not exit */
    int restore_look_ms; /* between two looks at it, and at its lock */
    int restore_end_ms; /* for its own end, when its pipe has ended */
    int again_ms; /* between two tries of a reboot */
    int again_limit_ms; /* of all those tries */
    int balloon_ms; /* for dom0, which gives up no more memory */
};
/* The one in force, and where Xen's tools keep their files; set by tests. */
extern struct hyp_limits hyp_limits;
extern const char *hyp_lib_dir, *hyp_log_dir;

/* --- ctx.c ------------------------------------------------------------- */

int hyp_open(const struct snap_log *log, struct snap_hyp **h_r,
             struct snap_err *err);
void hyp_close(struct snap_hyp *h);
/* What can be seen of us being Xen's control domain.  ASK: Xen is here, and
 * nothing says whose domain this is; Xen itself must be asked.  Set by tests:
 * the files that are looked at. */
enum hyp_control { HYP_CONTROL_NO, HYP_CONTROL_YES, HYP_CONTROL_ASK };
enum hyp_control hyp_control(void);
extern const char *hyp_capabilities, *hyp_privcmd;
int hyp_version(struct snap_hyp *h, char **text_r, struct snap_err *err);
/* At the start of each op: asks snap_fault("hyp", op), forgets old lines. */
int hyp_enter(struct snap_hyp *h, const char *op, struct snap_err *err);
/* Fail with "MESSAGE: what libxl said"; xl_rc is libxl's code, or 0. */
int hyp_fail(struct snap_hyp *h, struct snap_err *err, int xl_rc,
             const char *fmt, ...) __attribute__((format(printf, 4, 5)));
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
/* All of those nodes, one a line, over any connection; NULL if xenstore cannot
 * be read.  Caller frees. */
char *hyp_xs_disk_list(struct xs_handle *xsh, uint32_t domid);

/* --- lockfile.c -------------------------------------------------------- */

/* Lock "userdata-l.D.UUID.WHAT" in hyp_lib_dir the way libxl does. */
#define HYP_LOCK_DEVICES "libxl-device-changes-lock"
#define HYP_LOCK_DATA    "domain-userdata-lock"
#define HYP_LOCK_QMP     "qmp-socket-lock"
int hyp_lock_userdata(const struct snap_domain *dom, const char *what,
                      int timeout_ms, int *fd_r, struct snap_err *err);
/* Wait, for lock_ms, until nobody has the two that libxl's functions wait for
 * without a limit; SNAP_BUSY. */
int hyp_lock_wait_free(const struct snap_domain *dom, struct snap_err *err);
/* Nobody has it at this moment. */
bool hyp_lock_is_free(const struct snap_domain *dom, const char *what);
void hyp_unlock(int *fd);

/* --- domain.c ---------------------------------------------------------- */

int hyp_find(struct snap_hyp *h, const char *who, struct snap_domain *dom_r,
             struct snap_err *err);
int hyp_find_uuid(struct snap_hyp *h, const char *uuid,
                  struct snap_domain *dom_r, struct snap_err *err);
/* The monitor that is to build a domain that was not there a moment ago, or 0. */
pid_t hyp_monitor_alone(struct snap_hyp *h, const char *uuid,
                        const char *name);
int hyp_config(struct snap_hyp *h, const struct snap_domain *dom,
               char **json_r, struct snap_err *err);
int hyp_free_mem(struct snap_hyp *h, uint64_t *kb_r, struct snap_err *err);
int hyp_pause(struct snap_hyp *h, const struct snap_domain *dom,
              struct snap_err *err);
int hyp_unpause(struct snap_hyp *h, const struct snap_domain *dom,
                struct snap_err *err);
int hyp_ran(struct snap_hyp *h, const struct snap_domain *dom, uint64_t *ns_r,
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
/* The same by number, over any context; libxl's code. */
int hyp_state_of_domid(libxl_ctx *ctx, uint32_t domid, enum hyp_state *state_r,
                       char uuid_r[37]);
/* Number of the domain with this uuid; without a message: SNAP_NOTFOUND only if
 * it is certain that there is none, SNAP_BUSY if two live, SNAP_FAIL. */
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
/* One that runs, has the log of this name, and whose domain is not there; 0:
 * none. */
pid_t hyp_monitor_named(struct snap_hyp *h, const char *name);
/* Is it root's, or ours?  Anybody may call a program xl. */
bool hyp_is_trusted(pid_t pid);
/* Target of /proc/PID/WHAT without " (deleted)", which an upgrade of the
 * package or a rotation of the log leaves there; false if there is none. */
bool hyp_proc_link(pid_t pid, const char *what, char *buf, size_t size);
/* True if pid is xl (or our monitor) with its output in one of xl's logs. */
bool hyp_is_monitor(pid_t pid);
/* foreground.c: `xl create -F`, which has no such log. */
bool hyp_foreground_is(pid_t pid);
pid_t hyp_foreground_find(const char *name);
/* pidfd_open(2) and pidfd_send_signal(2); -1 and errno. */
int hyp_pidfd_open(pid_t pid);
int hyp_pidfd_signal(int pidfd, int sig);
/* Wait until the process is gone; SNAP_TIMEOUT without message. */
int hyp_pidfd_wait(int pidfd, int timeout_ms);
/* Wait until a process that was sent SIGSTOP has stopped; false: it has not. */
bool hyp_wait_stopped(pid_t pid, int timeout_ms);

/* --- savers.c ---------------------------------------------------------- */

/* A save helper of libxl that is at work on a domain, and who had it started:
 * user 0 if that one is dead. */
struct hyp_saver {
    pid_t helper, user;
    char program[32]; /* the user's */
};
/* Is there one that is neither ours nor our parent's?  Reads /proc only. */
bool hyp_saver_find(uint32_t domid, struct hyp_saver *s_r);
/* The same, as SNAP_BUSY with a message. */
int hyp_saver_refuse(const struct snap_domain *dom, struct snap_err *err);
int hyp_saver(struct snap_hyp *h, const struct snap_domain *dom,
              struct snap_err *err);
/* Wait until nobody saves it any more, and who did has seen to the domain;
 * SNAP_TIMEOUT without message, with the last one in s_r. */
int hyp_saver_wait(uint32_t domid, int timeout_ms, struct hyp_saver *s_r);

/* --- disks.c ----------------------------------------------------------- */

int hyp_disks(struct snap_hyp *h, const struct snap_domain *dom,
              struct snap_vbd **vbds_r, size_t *n_r, struct snap_err *err);
int hyp_image_user(struct snap_hyp *h, const char *path, uint32_t except_domid,
                   char **who_r, struct snap_err *err);
/* The word in front of a qdisk's params for a format of libxl's ("raw" is
 * "aio"). */
const char *hyp_params_word(const char *format);

/* --- config_file.c ----------------------------------------------------- */

int hyp_config_file(struct snap_hyp *h, const char *path, char **json_r,
                    bool *has_uuid_r, struct snap_err *err);
/* The path of xl itself, past any front of ours, or NULL; caller frees. */
char *hyp_xl_program(const struct snap_hyp *h);
/* Says that there is none. */
int hyp_no_xl(const struct snap_hyp *h, struct snap_err *err);

/* --- save.c, rescue.c -------------------------------------------------- */

int hyp_save(struct snap_hyp *h, const struct snap_domain *dom,
             const char *config_json, int fd, bool live,
             const struct snap_at_stop *at_stop,
             struct snap_save_result *res_r, struct snap_err *err);
int hyp_resume(struct snap_hyp *h, const struct snap_domain *dom, bool paused,
               struct snap_err *err);
int hyp_rescue(struct snap_hyp *h, const struct snap_held *held,
               struct snap_err *err);
/* Let the monitor that save() stopped go on; fine if there is none. */
void hyp_monitor_release(struct snap_hyp *h);

/* --- settle.c ---------------------------------------------------------- */

/* A mark in xenstore that a request of ours to suspend may be under way, or
 * that a suspend is ours.  Set before it is asked, cleared when it is known
 * to be over.  It goes with the domain. */
int hyp_asked_set(struct snap_hyp *h, const struct snap_domain *dom,
                  struct snap_err *err);
bool hyp_asked(struct snap_hyp *h, uint32_t domid);
void hyp_asked_clear(struct snap_hyp *h, uint32_t domid);
/* After a request that is not to be followed any more: withdraw it, and watch
 * until the guest has suspended or is known not to.  *state says which;
 * SNAP_RECOVER if it cannot be known yet. */
int hyp_settle(struct snap_hyp *h, const struct snap_domain *dom,
               enum hyp_state *state, struct snap_err *err);
/* Xen's log of what a live save's guest writes, off; harmless if it is. */
void hyp_dirty_log_off(struct snap_hyp *h, const struct snap_domain *dom);

/* --- stopwatch.c ------------------------------------------------------- */

/* Watches a save from a thread of its own: notices when the domain suspends,
 * and ends the save when it must end. */
struct hyp_stopwatch;
enum hyp_ended { /* why it ended the save */
                 HYP_ENDED_NOT,
                 HYP_ENDED_ASKED, /* SIGINT, SIGTERM or SIGHUP is pending */
                 HYP_ENDED_OTHER, /* somebody else saves the domain */
                 HYP_ENDED_GONE, /* it shut down, or is being destroyed */
                 HYP_ENDED_STALL, /* it stands, and nothing was written for long */
};
struct hyp_watched {
    double stopped_ms; /* snap_now_ms() when it was seen suspended, or 0 */
    bool called; /* at_stop was */
    enum hyp_ended ended;
    struct hyp_saver saver; /* HYP_ENDED_OTHER; or one that was seen when the
                             * guest stopped: helper is not 0 */
};
/* Has a context of its own for the save; at_stop (or NULL) is called in its
 * thread.  To be called with those signals blocked.  fd: where the memory is
 * written to. */
int hyp_stopwatch_start(struct snap_hyp *h, const struct snap_domain *dom,
                        int fd, bool live, const struct snap_at_stop *at_stop,
                        struct hyp_stopwatch **w_r, struct snap_err *err);
/* The context to call libxl_domain_suspend() with. */
libxl_ctx *hyp_stopwatch_ctx(struct hyp_stopwatch *w);
/* Ends it, after at_stop if that was begun. */
void hyp_stopwatch_stop(struct hyp_stopwatch *w, struct hyp_watched *seen_r);
/* After stop.  Was the guest asked to suspend, or may it have been? */
bool hyp_stopwatch_asked(struct hyp_stopwatch *w);
/* After stop.  Closes connections: not a thing to do in the window.  *w may
 * be NULL and becomes it. */
void hyp_stopwatch_free(struct hyp_stopwatch **w);
/* The save failed: its context is not to be used or freed any more. */
void hyp_stopwatch_spoil(struct hyp_stopwatch *w);

/* --- served.c ---------------------------------------------------------- */

/* A domain that cannot be without a QEMU of this host: an HVM guest, one with
 * a disk that such a QEMU serves, or what a destruction has left of one. */
int hyp_needs_qemu(struct snap_hyp *h, const struct snap_domain *dom,
                   bool *needs_r, struct snap_err *err);
/* It is there, and its destruction has begun: it is dying, or has lost its
 * QEMU. */
bool hyp_is_half_gone(struct snap_hyp *h, const struct snap_domain *dom);

/* --- qmp_sock.c -------------------------------------------------------- */

int hyp_qmp_open(struct snap_hyp *h, const struct snap_domain *dom,
                 struct snap_qmp **q_r, struct snap_err *err);
/* Commands without arguments over libxl's own socket, under its lock. */
int hyp_qmp_brief(struct snap_hyp *h, const struct snap_domain *dom,
                  const char *const *commands, struct snap_err *err);

/* --- window.c ---------------------------------------------------------- */

int hyp_window_open(struct snap_hyp *h, const struct snap_domain *dom,
                    const struct snap_active *a, size_t n,
                    struct snap_err *err);
int hyp_window_borrow(struct snap_hyp *h, const struct snap_domain *dom,
                      const struct snap_active *a, size_t n,
                      struct snap_err *err);
void hyp_window_close(struct snap_hyp *h);
int hyp_stands(struct snap_hyp *h, const struct snap_domain *dom,
               bool suspended, struct snap_err *err);
/* Is it open, for this domain? */
bool hyp_window_is_open(const struct snap_hyp *h,
                        const struct snap_domain *dom);
/* libxl's node of a disk and its backend's, as they were when it was opened;
 * false: it has no such disk. */
bool hyp_window_disk(const struct snap_hyp *h, const char *vdev,
                     const char **node_r, const char **backend_r);
/* None of the locks of libxl is held by others at this moment that a save
 * needs, or that set_active() does. */
bool hyp_window_locks_free(const struct snap_hyp *h,
                           const struct snap_domain *dom);

/* --- set_active.c, destroy.c ------------------------------------------- */

int hyp_set_active(struct snap_hyp *h, const struct snap_domain *dom,
                   const struct snap_active *a, size_t n,
                   struct snap_err *err);
int hyp_destroy(struct snap_hyp *h, const struct snap_domain *dom,
                struct snap_err *err);
/* After a build that failed: return when nothing of it is there, also not the
 * QEMU of a domain that whoever built it has removed already.  domid: of ours,
 * or INVALID_DOMID if it is gone.  One that somebody has let run is left alone.
 * What cannot be had is appended to err. */
void hyp_clear_away(struct snap_hyp *h, const char *uuid, const char *name,
                    uint32_t domid, struct snap_err *err);

/* --- saved.c ----------------------------------------------------------- */

char *hyp_saved(struct snap_hyp *h, const char *uuid);
/* The folder that the first of these files (NULL-terminated) names, or the
 * usual one.  Caller frees. */
char *hyp_saved_folder_of(const char *const *files);
/* The image of this domain in a folder, or NULL.  Caller frees. */
char *hyp_saved_in(const char *dir, const char *uuid);

/* --- qemu.c ------------------------------------------------------------ */

/* Processes that may have a domain's images open.  Zero-initialise. */
struct hyp_qemus {
    struct hyp_qemu {
        pid_t pid;
        int pidfd;
    } * a;
    size_t n;
};
/* The process that xenstore names, if it is one. */
void hyp_qemus_add(struct hyp_qemus *q, pid_t pid, uint32_t domid);
/* All that were started for a domain of this name and number; UINT32_MAX: for
 * one whose number is free now. */
void hyp_qemus_find(struct snap_hyp *h, struct hyp_qemus *q, const char *name,
                    uint32_t domid);
/* Until all are gone, or the deadline (snap_now_ms()): then one that is not,
 * else 0. */
pid_t hyp_qemus_wait(const struct hyp_qemus *q, double deadline);
void hyp_qemus_dispose(struct hyp_qemus *q);

/* --- restore.c --------------------------------------------------------- */

int hyp_image_check(struct snap_hyp *h, int fd, char **config_r,
                    struct snap_err *err);
/* What of xl's output (a file) explains its failure, in one line; caller frees.
 */
char *hyp_xl_words(int fd);
int hyp_restore(struct snap_hyp *h, int fd, const char *config_json,
                const char *mark, struct snap_domain *dom_r,
                struct snap_err *err);

/* --- mark.c ------------------------------------------------------------ */

/* The configuration with this mark in it. */
int hyp_mark_put(const char *json, const char *mark, char **json_r,
                 struct snap_err *err);
/* Without any mark; true if there was one. */
bool hyp_mark_strip(struct snap_json *config);
void hyp_mark_drop(libxl_key_value_list *data);
/* The mark of the domain, or NULL; caller frees. */
char *hyp_mark_read(struct snap_hyp *h, uint32_t domid);
/* The domain that has this uuid and this mark, or SNAP_NOTFOUND; no message.
 */
int hyp_mark_find(struct snap_hyp *h, const char *uuid, const char *mark,
                  uint32_t *domid_r);
/* Take it out of libxl's stored configuration: a domain that the guest's reboot
 * makes of that must not have it. */
void hyp_mark_forget(struct snap_hyp *h, const struct snap_domain *dom);
int hyp_mark_strip_stored(const char *path, struct snap_err *err);

/* --- scope.c ----------------------------------------------------------- */

/* Between the two, what is started outlives our systemd unit or session.  A
 * failure is only said. */
struct hyp_scope {
    char *before;
};
void hyp_scope_enter(struct snap_hyp *h, struct hyp_scope *s);
void hyp_scope_leave(struct hyp_scope *s);

/* --- xl_lock.c --------------------------------------------------------- */

/* Who holds xl's lock of creation: 0 if nobody, -1 if that has no number. */
pid_t hyp_xl_lock_holder(void);
/* Take it; waits for as long as it takes, and says for whom. */
int hyp_xl_lock(struct snap_hyp *h, const char *name, int *fd_r,
                struct snap_err *err);
void hyp_xl_lock_tell(struct snap_hyp *h, const char *name, pid_t holder);
/* "process 12 (xl restore a.save)"; caller frees. */
char *hyp_process_title(pid_t pid);
extern const char *hyp_xl_lock_file; /* set by tests */

/* --- create.c, boot.c, can_build.c, monitor.c --------------------------------------- */

int hyp_create(struct snap_hyp *h, const char *config_json, const char *mark,
               struct snap_domain *dom_r, struct snap_err *err);
int hyp_can_build(struct snap_hyp *h, const char *config_json,
                  bool from_memory, const char *versions_then,
                  uint64_t freed_kb, struct snap_err *err);
/* Why it could not be built, in all; n of them.  What is only doubtful goes to
 * log. */
struct hyp_lacks {
    struct snap_buf why;
    size_t n;
    const struct snap_log *log;
    /* Is this domain, by name or number, there and not at its end?  In doubt it
     * is.  NULL: nobody is asked for. */
    bool (*serves)(struct snap_hyp *h, const char *who);
};
/* The part of it that needs no Xen: files, programs, devices, and for a
 * memory image the versions (of hyp_version(), then and now). */
int hyp_build_lacks(struct snap_hyp *h, const char *config_json,
                    bool from_memory, const char *then, const char *now,
                    struct hyp_lacks *l, struct snap_err *err);
/* Set by tests. */
extern const char *hyp_pci_sysfs, *hyp_net_sysfs, *hyp_script_dir;
extern const char *const *hyp_ovmf_places, *const *hyp_seabios_places;
/* Refuse a configuration whose name or uuid a domain has already. */
int hyp_clash(struct snap_hyp *h, const char *config_json, char **name_r,
              char uuid_r[37], struct snap_err *err);
/* Create a paused domain from cfg, with xl's lock and ballooning. */
int hyp_boot(struct snap_hyp *h, libxl_domain_config *cfg, uint32_t *domid_r,
             struct snap_err *err);
/* True if memory for guests is taken from dom0 (xl.conf: autoballoon). */
bool hyp_autoballoon(struct snap_hyp *h);
int hyp_monitor_main(uint32_t domid, const char *log_path);

#endif /* SNAP_HYP_HYP_H */

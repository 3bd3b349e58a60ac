/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SNAP_HYP_STOPWATCH_H
#define SNAP_HYP_STOPWATCH_H

#include "hyp/hyp.h"
#include "hyp/savers.h"

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

#endif /* SNAP_HYP_STOPWATCH_H */

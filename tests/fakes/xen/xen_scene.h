/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Where a test of hyp/ plays: folders of its own in place of Xen's, limits of
 * milliseconds, a connection to the fakes beside this, one guest that runs, and
 * processes that somebody else might have.
 */
#ifndef TEST_XEN_SCENE_H
#define TEST_XEN_SCENE_H

#include <sys/types.h>

#include "fakes/xen/fake_libxl.h"
#include "hyp/hyp.h"
#include "hyp/limits.h"

#define SCENE_UUID  "c0ffee00-0000-4000-8000-000000000001"
#define SCENE_OTHER "c0ffee00-0000-4000-8000-000000000002"

struct xen_scene {
    char *dir;
    struct snap_hyp h;
    struct snap_domain dom; /* "g", of SCENE_UUID */
    struct snap_err err;
    struct snap_buf said; /* through h.log */
    struct hyp_limits limits; /* as they were */
};

/* For cmocka; begin() fails the test if it cannot. */
int xen_scene_begin(void **state);
int xen_scene_end(void **state);

/* libxl's JSON of the guest, with these lines in its outermost object, each
 * with a "," in front. */
char *xen_scene_config(const char *more);
/* Does err, or text, have these words? */
void xen_scene_says(const char *text, const char *words);
/* DIR/NAME; caller frees. */
char *xen_scene_path(const struct xen_scene *s, const char *name);

/* A process that has libxl's lock, as soon as this returns, for that long; then
 * it removes the file, as libxl does with a domain, and ends. */
pid_t xen_scene_hold(const struct xen_scene *s, const char *what, int ms);
/* This program again, with those arguments, and its output in a file of this
 * name in dir (or NULL).  Returns after its exec.  xen_scene_main() is what it
 * does if the first one is "--idle": nothing. */
pid_t xen_scene_play(const struct xen_scene *s, const char *const *argv,
                     const char *output);
bool xen_scene_main(int argc, char **argv, int *status_r);
/* By SIGKILL. */
void xen_scene_end_of(pid_t pid);

#endif

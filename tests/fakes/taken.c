/* SPDX-License-Identifier: LGPL-2.1-only */
#include "fakes/taken.h"

#include <string.h>

#include "fakes/sweep.h"
#include "lib/mem.h"
#include "op/create.h"
#include "op/revert.h"

void taken_init(struct taken *t, const struct taken_how *how)
{
    struct snap_create_req req = { 0 };
    struct fake_domain *d;

    fake_host_init_with(&t->h, how->disks);
    d = fake_domain_find(t->h.world, "vm1");
    d->tick = 100;
    before_take(&t->at, &t->h);
    req.domain = (char *)"vm1";
    req.name = (char *)"s1";
    req.type = how->type;
    req.live = -1;
    req.memory = how->memory ? SNAP_MEM_DEFAULT : SNAP_MEM_NO;
    sweep_must(&t->h, fake_host_create, &req, "create");
    if (how->over) {
        req.name = (char *)"s2";
        req.type = SNAP_DISK_EXTERNAL;
        req.memory = SNAP_MEM_NO;
        sweep_must(&t->h, fake_host_create, &req, "second create");
    }
    d->tick = 200;
    before_take(&t->last, &t->h);
    t->path_a = fake_domain_path(d, "xvda");
    t->path_b = fake_domain_path(d, "xvdb");
    d->paused = how->paused;
    if (how->off)
        fake_host_stop(&t->h);
}

void taken_dispose(struct taken *t)
{
    snap_free(&t->path_a);
    snap_free(&t->path_b);
    fake_host_dispose(&t->h);
}

void taken_revert_req(struct snap_revert_req *req)
{
    memset(req, 0, sizeof(*req));
    req->domain = (char *)"vm1";
    req->name = (char *)"s1";
    req->no_wait = true;
}

int taken_attached(struct fake_host *h, struct snap_err *err)
{
    struct snap_create_req req = { .domain = (char *)"vm1",
                                   .name = (char *)"s1",
                                   .live = -1,
                                   .memory = SNAP_MEM_NO,
                                   .type = SNAP_DISK_EXTERNAL };

    fake_host_init(h);
    return fake_host_attach(h, err) || fake_host_create(h, &req, err);
}

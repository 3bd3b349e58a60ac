/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * On real images: what somebody wrote to since it was left is kept, and what
 * nobody wrote to goes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/overlay_files.h"
#include "lib/file.h"
#include "lib/mem.h"
#include "tools/scene.h"

/* The frozen image, on a file system without immutable files; a domain was
 * started on it from an old xl.cfg, and is off again. */
static void remove_frozen(struct scene *f, bool written)
{
    struct snap_part p;
    char *path = scene_taken(f, &p, 2);

    scene_stop(f);
    assert_int_equal(unlink(p.active_path), 0);
    if (written)
        real_image_write(path, "qcow2", 5, 5);
    DO(remove, &p);
    assert_int_equal(snap_file_exists(path), written);
    if (written) {
        assert_non_null(strstr(f->warned, path));
        assert_non_null(strstr(f->warned, "somebody has written to it"));
    }
    snap_part_dispose(&p);
    free(path);
}

static void a_frozen_image_that_was_written_to(void **state)
{
    remove_frozen(*state, true);
}

static void a_frozen_image_that_nobody_wrote_to(void **state)
{
    remove_frozen(*state, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_frozen_image_that_was_written_to),
        SCENE_TEST(a_frozen_image_that_nobody_wrote_to),
    };

    return SCENE_MAIN("what somebody wrote to since", tests);
}

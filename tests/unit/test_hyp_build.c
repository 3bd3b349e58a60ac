/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What is looked at before a domain is destroyed, and around its building, as
 * far as that needs no Xen: files, programs, PCI devices, versions, the mark,
 * xl's lock, the group that what is started goes into.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "hyp/can_build.h"
#include "hyp/ctx.h"
#include "hyp/daemon.h"
#include "hyp/foreground.h"
#include "hyp/hyp.h"
#include "hyp/mark.h"
#include "hyp/qemu.h"
#include "hyp/restore.h"
#include "hyp/saved.h"
#include "hyp/saveheader.h"
#include "hyp/scope.h"
#include "hyp/xl_lock.h"
#include "lib/cgroup.h"
#include "lib/file.h"
#include "lib/run.h"
#include "lib/scope.h"

static char *dir;
static struct snap_err err;
static struct snap_buf said;

static void to_buf(void *opaque, enum snap_level level, const char *msg)
{
    (void)opaque;
    if (level > SNAP_LOG_DEBUG)
        snap_buf_addf(&said, "%s\n", msg);
}

static const struct snap_log log_to_buf = { .fn = to_buf };
static struct snap_hyp hyp = { .xen_major = 99,
                               .xen_minor = 1,
                               .log = &log_to_buf };

static int setup(void **state)
{
    char path[] = "/tmp/test_hyp_build.XXXXXX";

    (void)state;
    dir = mkdtemp(path) ? snap_strdup(path) : NULL;
    snap_err_clear(&err);
    snap_buf_dispose(&said);
    return dir ? 0 : -1;
}

static int teardown(void **state)
{
    const char *const argv[] = { "rm", "-rf", "--", dir, NULL };
    struct snap_run run = SNAP_RUN_INIT;

    (void)state;
    snap_run_path_first = NULL;
    run.argv = argv;
    snap_run(&run, NULL);
    snap_run_dispose(&run);
    snap_buf_dispose(&said);
    free(dir);
    return 0;
}

static char *put(const char *name, const char *text, mode_t mode)
{
    char *path = snap_printf("%s/%s", dir, name);

    assert_int_equal(
        snap_file_write(path, text, strlen(text), mode, false, &err), 0);
    return path;
}

static void folder(const char *name)
{
    char *path = snap_printf("%s/%s", dir, name);

    assert_int_equal(snap_dir_make(path, 0755, &err), 0);
    free(path);
}

static void contains(const char *text, const char *words)
{
    if (!text || !strstr(text, words))
        print_error("\"%s\" does not say \"%s\"\n", text ? text : "", words);
    assert_true(text && strstr(text, words));
}

/* --- files, programs, devices ------------------------------------------- */

/* Who else is there. */
static bool serves(struct snap_hyp *h, const char *who)
{
    (void)h;
    return !strcmp(who, "net") || !strcmp(who, "3");
}

/* A domain with this in it ('@' is the folder).  How many reasons there are,
 * one of which has these words. */
static size_t lacks(const char *type, const char *b_info, const char *more,
                    bool from_memory, const char *then, const char *words)
{
    struct hyp_lacks l = { .log = &log_to_buf, .serves = serves };
    struct snap_buf b = { 0 };
    const char *parts[] = { b_info, more }, *p;
    size_t i, n;

    snap_buf_addf(&b,
                  "{\"c_info\":{\"type\":\"%s\",\"name\":\"g\",\"uuid\":"
                  "\"c0ffee00-0000-4000-8000-000000000001\"},\"b_info\":{",
                  type);
    for (i = 0; i < 2; i++) {
        for (p = parts[i]; *p; p++)
            if (*p == '@')
                snap_buf_adds(&b, dir);
            else
                snap_buf_add(&b, p, 1);
        snap_buf_adds(&b, "}");
    }
    assert_int_equal(hyp_build_lacks(&hyp, b.data, from_memory, then,
                                     "Xen 4.17.7, QEMU 7.2.22", &l, &err),
                     0);
    if (words)
        contains(l.why.data, words);
    n = l.n;
    snap_buf_dispose(&l.why);
    snap_buf_dispose(&b);
    return n;
}

static void test_kernel_gone(void **state)
{
    static const char with[] = "\"kernel\":\"@/vmlinuz\","
                               "\"ramdisk\":\"@/initrd\"";
    char *kernel, *ramdisk;

    (void)state;
    free(put("xl", "#!/bin/sh\n", 0755));
    snap_run_path_first = dir;
    assert_int_equal(lacks("pvh", with, "", false, NULL, "/vmlinuz: No such"),
                     2);
    /* Memory needs no kernel. */
    assert_int_equal(lacks("pvh", with, "", true, NULL, NULL), 0);
    kernel = put("vmlinuz", "k", 0644);
    ramdisk = put("initrd", "r", 0644);
    assert_int_equal(lacks("pvh", with, "", false, NULL, NULL), 0);
    assert_int_equal(lacks("hvm", with, "", false, NULL, NULL), 0);
    unlink(ramdisk);
    assert_int_equal(lacks("hvm", with, "", false, NULL, "ramdisk"), 1);
    free(kernel);
    free(ramdisk);
    /* The old places of a PV guest's. */
    assert_int_equal(lacks("pv", "\"type.pv\":{\"kernel\":\"@/old\"}", "",
                           false, NULL, "/old: No such"),
                     1);
    assert_int_equal(
        lacks("pv", "\"kernel\":\"@\"", "", false, NULL, "folder"), 1);
}

static void test_firmware_gone(void **state)
{
    (void)state;
    assert_int_equal(
        lacks("hvm",
              "\"device_model\":\"@/qemu\",\"type.hvm\":{\"firmware\":"
              "\"@/fw\",\"system_firmware\":\"@/ovmf\",\"acpi_firmware\":"
              "\"@/acpi\",\"smbios_firmware\":\"@/smbios\"}",
              "", false, NULL, "/ovmf: No such"),
        5);
    free(put("qemu", "not a program", 0644));
    assert_int_equal(lacks("hvm", "\"device_model\":\"@/qemu\"", "", false,
                           NULL, "not a program"),
                     1);
    assert_int_equal(lacks("pvh", "\"device_tree\":\"@/dtb\"", "", false, NULL,
                           "device tree"),
                     1);
}

static void test_bootloader(void **state)
{
    (void)state;
    assert_int_equal(lacks("pv", "\"bootloader\":\"@/pygrub\"", "", false,
                           NULL, "bootloader"),
                     1);
    /* What cannot be told is said only. */
    assert_int_equal(
        lacks("pv", "\"bootloader\":\"no-such-grub\"", "", false, NULL, NULL),
        0);
    contains(said.data, "no-such-grub");
    /* It brings the kernel. */
    free(put("pygrub", "#!/bin/sh\n", 0755));
    assert_int_equal(lacks("pv",
                           "\"bootloader\":\"@/pygrub\",\"kernel\":\"@/none\"",
                           "", false, NULL, NULL),
                     0);
}

static void test_no_xl(void **state)
{
    char *old = snap_strdup(getenv("PATH"));

    (void)state;
    if (!access("/usr/sbin/xl", X_OK) || !access("/sbin/xl", X_OK) ||
        !access("/usr/bin/xl", X_OK)) {
        print_message("# SKIP a host without xl: this one has it\n");
        skip();
    }
    setenv("PATH", "/nowhere", 1);
    assert_int_equal(lacks("pvh", "", "", true, NULL, "xl is neither"), 1);
    assert_int_equal(lacks("pvh", "", "", false, NULL, NULL), 0);
    free(put("xl", "#!/bin/sh\n", 0755));
    setenv("PATH", dir, 1);
    assert_int_equal(lacks("pvh", "", "", true, NULL, NULL), 0);
    setenv("PATH", old, 1);
    free(old);
}

static void test_pci(void **state)
{
    static const char one[] =
        ",\"pcidevs\":[{\"bus\":3,\"dev\":31,\"func\":7}]";
    char *sysfs = snap_printf("%s/pci", dir);

    (void)state;
    hyp_pci_sysfs = sysfs;
    free(put("xl", "#!/bin/sh\n", 0755));
    snap_run_path_first = dir;
    assert_int_equal(lacks("pv", "", one, false, NULL, "0000:03:1f.7 is not"),
                     1);
    folder("pci/devices/0000:03:1f.7");
    assert_int_equal(
        lacks("pv", "", one, true, NULL, "pci-assignable-add 0000:03:1f.7"),
        1);
    assert_int_equal(
        lacks(
            "pv", "",
            ",\"pcidevs\":[{\"bus\":3,\"dev\":31,\"func\":7,\"seize\":true}]",
            true, NULL, NULL),
        0);
    folder("pci/drivers/pciback/0000:03:1f.7");
    assert_int_equal(lacks("pv", "", one, true, NULL, NULL), 0);
    hyp_pci_sysfs = "/sys/bus/pci";
    free(sysfs);
}

/* A bridge is taken away, a script removed, and neither is looked at by libxl
 * before the domain is gone. */
static void test_net(void **state)
{
    static const struct {
        const char *nic;
        size_t n;
        const char *words;
    } rows[] = {
        { "\"bridge\":\"br0\"", 0, NULL },
        { "\"bridge\":\"gone0\"", 1, "bridge gone0 " },
        /* vif-bridge takes eth0 for it; libxl's own default. */
        { "\"bridge\":\"xenbr0\"", 0, NULL },
        { "", 0, NULL },
        { "\"bridge\":\"xenbr1\"", 1, "bridge xenbr1 " },
        { "\"bridge\":\"br0\",\"script\":\"vif-bridge\"", 0, NULL },
        { "\"bridge\":\"gone0\",\"script\":\"@/scripts/vif-bridge\"", 1,
          "bridge gone0 " },
        { "\"bridge\":\"gone0\",\"backend_domid\":3", 0, NULL },
        { "\"bridge\":\"gone0\",\"backend_domname\":\"net\"", 0, NULL },
        /* Who else asks for a bridge means something of its own by it. */
        { "\"bridge\":\"ovs0.7\",\"script\":\"vif-ovs\"", 0, NULL },
        { "\"script\":\"vif-gone\"", 1, "/scripts/vif-gone: No such" },
        { "\"script\":\"@/vif-gone\"", 1, "/vif-gone: No such" },
        { "\"script\":\"vif-plain\"", 1, "not a program" },
    };
    char *net = snap_printf("%s/net", dir),
         *scripts = snap_printf("%s/scripts", dir), *more;
    size_t i;

    (void)state;
    hyp_net_sysfs = net;
    hyp_script_dir = scripts;
    folder("scripts");
    folder("net/br0");
    folder("net/eth0/bridge");
    free(put("xl", "#!/bin/sh\n", 0755));
    free(put("scripts/vif-bridge", "#!/bin/sh\n", 0755));
    free(put("scripts/vif-ovs", "#!/bin/sh\n", 0755));
    free(put("scripts/vif-plain", "#!/bin/sh\n", 0644));
    snap_run_path_first = dir;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        more = snap_printf(",\"nics\":[{%s}]", rows[i].nic);
        if (lacks("pv", "", more, i % 2, NULL, rows[i].words) != rows[i].n)
            fail_msg("%s", more);
        free(more);
    }
    assert_int_equal(lacks("pv", "",
                           ",\"disks\":[{\"script\":\"block-gone\"}]", true,
                           NULL, "/scripts/block-gone: No such"),
                     1);
    /* libxl has its scripts somewhere else. */
    hyp_script_dir = "/nonexistent";
    assert_int_equal(
        lacks("pv", "", ",\"nics\":[{\"script\":\"x\"}]", true, NULL, NULL),
        0);
    hyp_script_dir = "/etc/xen/scripts";
    hyp_net_sysfs = "/sys/class/net";
    free(net);
    free(scripts);
}

/* Its bridge and images are in a domain of their own. */
static void test_driver_domains(void **state)
{
    static const struct {
        const char *kind, *device;
        size_t n;
    } rows[] = {
        { "nics", "\"backend_domname\":\"net\"", 0 },
        { "nics", "\"backend_domname\":\"gone\"", 1 },
        { "nics", "\"backend_domid\":3", 0 },
        { "nics", "\"backend_domid\":4", 1 },
        /* The name counts: the number is that of another boot of it. */
        { "disks", "\"backend_domname\":\"net\",\"backend_domid\":4", 0 },
        { "disks", "\"backend_domname\":\"gone\",\"backend_domid\":3", 1 },
        { "disks", "\"backend_domname\":\"Domain-0\"", 0 },
        { "vtpms", "\"backend_domname\":\"gone\"", 1 },
        { "p9s", "\"backend_domid\":4", 1 },
    };
    char *more;
    size_t i;

    (void)state;
    free(put("xl", "#!/bin/sh\n", 0755));
    snap_run_path_first = dir;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        more = snap_printf(",\"%s\":[{%s}]", rows[i].kind, rows[i].device);
        if (lacks("pv", "", more, true, NULL,
                  rows[i].n ? "serves one of its devices" : NULL) != rows[i].n)
            fail_msg("%s", more);
        free(more);
    }
}

static void test_shared_folders(void **state)
{
    static const char one[] = ",\"p9s\":[{\"path\":\"@/share\"}]";

    (void)state;
    free(put("xl", "#!/bin/sh\n", 0755));
    snap_run_path_first = dir;
    assert_int_equal(lacks("pv", "", one, true, NULL, "/share: No such"), 1);
    assert_int_equal(lacks("pv", "",
                           ",\"p9s\":[{\"path\":\"@/share\","
                           "\"backend_domid\":3}]",
                           true, NULL, NULL),
                     0);
    folder("share");
    assert_int_equal(lacks("pv", "", one, true, NULL, NULL), 0);
}

/* Where libxl looks for it is compiled in, so that is only said. */
static void test_bios(void **state)
{
    static const char *const bios[] = { "ovmf", "seabios" };
    const char *const *was[2] = { hyp_ovmf_places, hyp_seabios_places };
    const char *none[] = { "/nonexistent/X.fd", NULL };
    char *b_info, *words;
    size_t i;

    (void)state;
    hyp_ovmf_places = hyp_seabios_places = none;
    for (i = 0; i < 2; i++) {
        snap_buf_dispose(&said);
        b_info = snap_printf("\"type.hvm\":{\"bios\":\"%s\"}", bios[i]);
        assert_int_equal(lacks("hvm", b_info, "", false, NULL, NULL), 0);
        words = snap_printf("%s is in none of the usual places", bios[i]);
        contains(said.data, words);
        free(words);
        free(b_info);
    }
    snap_buf_dispose(&said);
    free(put("own.fd", "x", 0644));
    assert_int_equal(lacks("hvm",
                           "\"type.hvm\":{\"bios\":\"ovmf\","
                           "\"system_firmware\":\"@/own.fd\"}",
                           "", false, NULL, NULL),
                     0);
    assert_true(!said.data || !strstr(said.data, "ovmf"));
    hyp_ovmf_places = was[0];
    hyp_seabios_places = was[1];
}

static void test_versions(void **state)
{
    static const char pc[] = "\"type.hvm\":{\"xen_platform_pci\":\"False\"}";

    (void)state;
    free(put("xl", "#!/bin/sh\n", 0755));
    snap_run_path_first = dir;
    /* The same but for repairs: nothing to say. */
    assert_int_equal(
        lacks("hvm", pc, "", true, "Xen 4.17.1, QEMU 7.2.1, ours", NULL), 0);
    assert_null(strstr(said.len ? said.data : "", "was saved"));
    assert_int_equal(
        lacks("hvm", pc, "", true, "Xen 4.17.7, QEMU 10.0.2", "cannot load"),
        1);
    /* A boot loads no state. */
    assert_int_equal(
        lacks("hvm", pc, "", false, "Xen 4.17.7, QEMU 10.0.2", NULL), 0);
    assert_null(strstr(said.len ? said.data : "", "was saved"));
    assert_int_equal(
        lacks("hvm", "", "", true, "Xen 4.17.7, QEMU 10.0.2", NULL), 0);
    contains(said.data, "was saved under Xen 4.17.7, QEMU 10.0.2");
    snap_buf_dispose(&said);
    assert_int_equal(
        lacks("pvh", "", "", true, "Xen 4.20.1, QEMU 7.2.22", NULL), 0);
    contains(said.data, "was saved under Xen 4.20.1");
    snap_buf_dispose(&said);
    assert_int_equal(lacks("hvm", pc, "", true, "rubbish", NULL), 0);
    assert_int_equal(lacks("hvm", pc, "", true, NULL, NULL), 0);
    assert_null(strstr(said.len ? said.data : "", "was saved"));
}

/* --- the mark ----------------------------------------------------------- */

static void test_mark(void **state)
{
    static const char json[] =
        "{\"c_info\":{\"name\":\"g\",\"xsdata\":{\"theirs\":\"1\"}},"
        "\"b_info\":{\"max_memkb\":18446744073709551615}}";
    char *marked = NULL, *again = NULL, *text, *path;
    struct snap_json *root;
    size_t len;

    (void)state;
    assert_int_equal(hyp_mark_put(json, "a1b2", &marked, &err), 0);
    contains(marked, "\"xl-snapshot\": \"a1b2\"");
    contains(marked, "\"theirs\": \"1\"");
    contains(marked, "18446744073709551615");
    assert_int_equal(hyp_mark_put(marked, "c3", &again, &err), 0);
    contains(again, "\"xl-snapshot\": \"c3\"");
    assert_null(strstr(again, "a1b2"));

    assert_int_equal(snap_json_parse(again, strlen(again), &root, &err), 0);
    assert_true(hyp_mark_strip(root));
    assert_false(hyp_mark_strip(root));
    assert_string_equal(
        snap_json_get_str(snap_json_path(root, "c_info.xsdata"), "theirs"),
        "1");
    snap_json_free(root);

    /* As libxl stores it, with a NUL. */
    path = snap_printf("%s/libxl-json", dir);
    assert_int_equal(
        snap_file_write(path, marked, strlen(marked) + 1, 0600, false, &err),
        0);
    assert_int_equal(hyp_mark_strip_stored(path, &err), 0);
    assert_int_equal(snap_file_read(path, 4096, &text, &len, &err), 0);
    assert_int_equal(len, strlen(text) + 1);
    assert_null(strstr(text, "xl-snapshot"));
    contains(text, "theirs");
    free(text);
    free(path);
    free(marked);
    free(again);
}

static void test_mark_alone(void **state)
{
    char *marked = NULL;
    struct snap_json *root;

    (void)state;
    assert_int_equal(hyp_mark_put("{\"c_info\":{}}", "m", &marked, &err), 0);
    assert_int_equal(snap_json_parse(marked, strlen(marked), &root, &err), 0);
    assert_true(hyp_mark_strip(root));
    assert_null(snap_json_path(root, "c_info.xsdata"));
    snap_json_free(root);
    free(marked);
    assert_int_equal(hyp_mark_put("{}", "m", &marked, &err), SNAP_CORRUPT);
    snap_err_clear(&err);
    assert_int_equal(hyp_mark_put("{\"c_info\":{}}", "a/b", &marked, &err),
                     SNAP_INVAL);
    snap_err_clear(&err);
    assert_int_equal(
        hyp_mark_put("{\"c_info\":{}}", "12345678901234567", &marked, &err),
        SNAP_INVAL);
}

static void test_mark_of_libxl(void **state)
{
    libxl_key_value_list data = calloc(7, sizeof(*data));
    static const char *const words[] = {
        "a", "1", "xl-snapshot", "m", "b", "2"
    };
    size_t i;

    (void)state;
    for (i = 0; i < 6; i++)
        data[i] = strdup(words[i]);
    hyp_mark_drop(&data);
    assert_string_equal(data[0], "a");
    assert_string_equal(data[2], "b");
    assert_string_equal(data[3], "2");
    assert_null(data[4]);
    for (i = 0; i < 4; i++)
        free(data[i]);
    free(data);
    data = NULL;
    hyp_mark_drop(&data);
}

/* --- what xl said ------------------------------------------------------- */

static void words_are(const char *text, const char *want)
{
    FILE *f = tmpfile();
    char *got;

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fflush(f);
    got = hyp_xl_words(fileno(f));
    assert_string_equal(got, want);
    free(got);
    fclose(f);
}

/* The first error names the cause; what follows is the aftermath. */
static void test_words(void **state)
{
    struct snap_buf b = { 0 };
    int i;

    (void)state;
    words_are("", "it said nothing");
    words_are("Loading\nlibxl: error: cause\nParsing\nlibxl: error: b\n"
              "libxl: error: c\nlibxl: error: d\nlibxl: error: e\n",
              "libxl: error: cause; libxl: error: d; libxl: error: e");
    words_are("a\nb\n", "a; b");
    words_are("a\nb\nc\nd\n", "a; c; d");
    /* Much in between. */
    snap_buf_adds(&b, "x: error: cause\n");
    for (i = 0; i < 10000; i++)
        snap_buf_addf(&b, "progress %d\n", i);
    snap_buf_adds(&b, "x: error: last\n");
    words_are(b.data, "x: error: cause; x: error: last");
    snap_buf_dispose(&b);
}

/* --- xl's lock ---------------------------------------------------------- */

/* A process that holds the lock for this long, or until its pipe ends. */
static pid_t hold(int ms)
{
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int p[2];
    pid_t pid;
    char c;

    assert_int_equal(pipe(p), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        int fd = open(hyp_xl_lock_file, O_WRONLY | O_CREAT, 0200);

        if (fd < 0 || fcntl(fd, F_SETLK, &fl) || write(p[1], "r", 1) != 1)
            _exit(1);
        usleep(ms * 1000);
        _exit(0);
    }
    assert_int_equal(read(p[0], &c, 1), 1);
    close(p[0]);
    close(p[1]);
    return pid;
}

static void test_lock(void **state)
{
    char *path = snap_printf("%s/xl", dir), *want;
    double started;
    pid_t pid;
    int fd = -1;

    (void)state;
    hyp_xl_lock_file = path;
    assert_int_equal(hyp_xl_lock_holder(), 0);
    pid = hold(1600);
    assert_int_equal(hyp_xl_lock_holder(), pid);
    started = snap_now_ms();
    assert_int_equal(hyp_xl_lock(&hyp, "vm1", &fd, &err), 0);
    assert_true(snap_now_ms() - started > 1000);
    want = snap_printf("vm1: waiting for process %ld (", (long)pid);
    contains(said.data, want);
    free(want);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(fd);
    assert_int_equal(hyp_xl_lock_holder(), 0);
    hyp_xl_lock_file = HYP_LOCK_XL;
    free(path);
}

/* --- the group ---------------------------------------------------------- */

static char *plain_group(void)
{
    char *path, *mounts;

    folder("v2/" SNAP_CGROUP_NAME);
    free(put("v2/" SNAP_CGROUP_NAME "/cgroup.procs", "", 0644));
    path = snap_printf("cgroup2 %s/v2 cgroup2 rw 0 0\n", dir);
    mounts = put("mounts", path, 0644);
    free(path);
    return mounts;
}

static void moved_plainly(bool want)
{
    char *path = snap_printf("%s/v2/" SNAP_CGROUP_NAME "/cgroup.procs", dir);
    char *text = NULL, *number = snap_printf("%ld\n", (long)getpid());
    size_t len;

    assert_int_equal(snap_file_read(path, 64, &text, &len, &err), 0);
    assert_string_equal(text, want ? number : "");
    free(number);
    free(path);
    free(text);
}

static void test_scope_without_systemd(void **state)
{
    struct hyp_scope s;
    char *mounts = plain_group();

    (void)state;
    snap_cgroup_mounts = mounts;
    snap_scope_systemd = "/nowhere/systemd";
    hyp_scope_enter(&hyp, &s);
    moved_plainly(true);
    hyp_scope_leave(&s);
    assert_int_equal(said.len, 0);
    free(mounts);
}

/* systemd gives one: nothing else is done, and we go back where we were. */
static void test_scope_granted(void **state)
{
    struct hyp_scope s;
    char *mounts = plain_group(), *proc = snap_printf("%s/proc", dir);
    char *mine = snap_printf("proc/%ld", (long)getpid()), *script, *path,
         *text;
    char *file = snap_printf("%s/cgroup", mine);
    size_t len;

    (void)state;
    folder("proc");
    folder(mine);
    folder("v2/unit");
    free(put("v2/unit/cgroup.procs", "", 0644));
    free(put(file, "0::/unit\n", 0644));
    script = snap_printf("#!/bin/sh\necho \"0::/system.slice/$7\" >%s/%s\n",
                         dir, file);
    free(put("busctl", script, 0755));
    snap_run_path_first = dir;
    snap_cgroup_mounts = mounts;
    snap_cgroup_proc = proc;
    snap_scope_systemd = dir;
    hyp_scope_enter(&hyp, &s);
    moved_plainly(false);
    hyp_scope_leave(&s);
    snap_cgroup_proc = "/proc";
    path = snap_printf("%s/v2/unit/cgroup.procs", dir);
    assert_int_equal(snap_file_read(path, 64, &text, &len, &err), 0);
    assert_int_equal(strtol(text, NULL, 10), getpid());
    assert_int_equal(said.len, 0);
    free(text);
    free(path);
    free(script);
    free(file);
    free(mine);
    free(proc);
    free(mounts);
}

/* systemd that refuses: the plain group. */
static void test_scope_refused(void **state)
{
    struct hyp_scope s;
    char *mounts = plain_group(), *args = NULL, *path, *want;
    char *script = snap_printf("#!/bin/sh\necho \"$*\" >%s/args\nexit 1\n",
                               dir);
    size_t len;

    (void)state;
    free(put("busctl", script, 0755));
    snap_run_path_first = dir;
    snap_cgroup_mounts = mounts;
    snap_scope_systemd = dir;
    hyp_scope_enter(&hyp, &s);
    moved_plainly(true);
    hyp_scope_leave(&s);
    path = snap_printf("%s/args", dir);
    assert_int_equal(snap_file_read(path, 4096, &args, &len, &err), 0);
    contains(args, "StartTransientUnit ssa(sv)a(sa(sv)) xl-snapshot-");
    want = snap_printf("PIDs au 1 %ld 0\n", (long)getpid());
    contains(args, want);
    contains(args, ".scope fail 3 ");
    assert_int_equal(said.len, 0);
    free(want);
    free(path);
    free(args);
    free(script);
    free(mounts);
}

/* Nobody can move us: said, and that is all. */
static void test_scope_impossible(void **state)
{
    struct hyp_scope s;
    char *mounts = put("mounts", "cgroup2 /nowhere cgroup2 rw 0 0\n", 0644);

    (void)state;
    snap_cgroup_mounts = mounts;
    snap_scope_systemd = "/nowhere/systemd";
    hyp_scope_enter(&hyp, &s);
    contains(said.data, "ends with the unit");
    hyp_scope_leave(&s);
    free(mounts);
}

/* --- whose domain this is ------------------------------------------------ */

/* A unit may have a /proc without xenfs: then Xen is asked, if there is one. */
static void test_control(void **state)
{
    char *dom0 = put("dom0", "control_d\n", 0644);
    char *guest = put("guest", "", 0644);

    (void)state;
    hyp_privcmd = dom0;
    hyp_capabilities = dom0;
    assert_int_equal(hyp_control(), HYP_CONTROL_YES);
    hyp_capabilities = guest;
    assert_int_equal(hyp_control(), HYP_CONTROL_NO);
    hyp_capabilities = "/nowhere/capabilities";
    assert_int_equal(hyp_control(), HYP_CONTROL_ASK);
    hyp_privcmd = "/nowhere/privcmd";
    assert_int_equal(hyp_control(), HYP_CONTROL_NO);
    free(guest);
    free(dom0);
}

/* --- QEMUs -------------------------------------------------------------- */

/* A process with these arguments that does nothing; main() sees to that. */
static pid_t play(const char *const *argv)
{
    char c;
    int p[2];
    pid_t pid;

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        execv("/proc/self/exe", (char *const *)argv);
        _exit(127);
    }
    /* The end of the pipe is the exec. */
    close(p[1]);
    assert_int_equal(read(p[0], &c, 1), 0);
    close(p[0]);
    return pid;
}

static void end_of(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_qemus(void **state)
{
    static const char *const ours[] = { "qemu",  "-xen-domid", "31999",
                                        "-name", "vm 1",       NULL };
    static const char *const other[] = { "qemu",  "-xen-domid", "31999",
                                         "-name", "vm2",        NULL };
    static const char *const probe[] = { "qemu", "-S", "-machine",
                                         "none,accel=xen", NULL };
    static const char *const vi[] = { "vi", "-xen", "-machine", "q35", NULL };
    pid_t a = play(ours), b = play(other), c = play(probe), d = play(vi);
    struct hyp_qemus q = { 0 };

    (void)state;
    hyp_qemus_find(&hyp, &q, "vm 1", 31999);
    assert_int_equal(q.n, 1);
    assert_int_equal(q.a[0].pid, a);
    hyp_qemus_add(&q, a, 31999); /* known already */
    hyp_qemus_add(&q, d, 31999); /* something else by now */
    hyp_qemus_add(&q, 0, 31999);
    assert_int_equal(q.n, 1);
    hyp_qemus_add(&q, c, 31999);
    assert_int_equal(q.n, 2);
    assert_int_equal(hyp_qemus_wait(&q, snap_now_ms() + 50), a);
    end_of(a);
    assert_int_equal(hyp_qemus_wait(&q, snap_now_ms() + 50), c);
    end_of(c);
    assert_int_equal(hyp_qemus_wait(&q, snap_now_ms() + 5000), 0);
    hyp_qemus_dispose(&q);
    hyp_qemus_find(&hyp, &q, "vm 1", 31998);
    assert_int_equal(q.n, 0);
    end_of(b);
    end_of(d);
}

/* --- xl create -F ------------------------------------------------------- */

static uid_t played_by; /* 0: us */

static pid_t play_xl(const char *xl, const char *const *argv)
{
    int p[2];
    pid_t pid;
    char c;

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        if (chdir(dir) || (played_by && setuid(played_by)))
            _exit(126);
        execv(xl, (char *const *)argv);
        _exit(127);
    }
    close(p[1]);
    assert_int_equal(read(p[0], &c, 1), 0);
    close(p[0]);
    return pid;
}

static void test_foreground(void **state)
{
    static const char *const ours[] = { "/usr/sbin/xl", "-v",    "create",
                                        "-F",           "a.cfg", NULL };
    static const char *const daemon[] = { "xl", "-v", "create", "a.cfg",
                                          NULL };
    char *xl = snap_printf("%s/xl", dir), *self = NULL;
    struct snap_run run = SNAP_RUN_INIT;
    pid_t a, b;

    (void)state;
    self = realpath("/proc/self/exe", NULL);
    {
        const char *const copy[] = { "cp", self, xl, NULL };

        run.argv = copy;
        assert_int_equal(snap_run(&run, &err), 0);
        snap_run_dispose(&run);
    }
    free(put("a.cfg", "name = 'a-guest-of-this-test'\nmemory = 1\n", 0644));
    b = play_xl(xl, daemon);
    assert_int_equal(hyp_foreground_find("a-guest-of-this-test"), 0);
    assert_false(hyp_foreground_is(b));
    a = play_xl(xl, ours);
    assert_int_equal(hyp_foreground_find("a-guest-of-this-test"), a);
    assert_int_equal(hyp_monitor_find(31999, "a-guest-of-this-test"), a);
    assert_true(hyp_is_monitor(a));
    assert_int_equal(hyp_foreground_find("another-guest"), 0);
    assert_false(hyp_foreground_is(getpid()));
    end_of(a);
    /* Anybody may call a program xl. */
    if (geteuid() == 0) {
        assert_int_equal(chmod(dir, 0755) | chmod(xl, 0755), 0);
        played_by = 65534;
        a = play_xl(xl, ours);
        played_by = 0;
        assert_int_equal(hyp_foreground_find("a-guest-of-this-test"), 0);
        assert_false(hyp_is_monitor(a));
        end_of(a);
    }
    end_of(b);
    free(self);
    free(xl);
}

/* --- what the host's service saved -------------------------------------- */

static void put_image(const char *name, const char *uuid, bool poisoned)
{
    struct snap_buf b = { 0 };
    char *json = snap_printf("{\"c_info\":{\"name\":\"g\",\"uuid\":\"%s\"}}",
                             uuid);
    char *path = snap_printf("%s/%s", dir, name);

    snap_saveheader_write(&b, json, poisoned);
    assert_int_equal(snap_file_write(path, b.data, b.len, 0600, false, &err),
                     0);
    snap_buf_dispose(&b);
    free(path);
    free(json);
}

#define SAVED_UUID "c0ffee00-0000-4000-8000-000000000001"

static void test_saved(void **state)
{
    char *path;

    (void)state;
    put_image("other", "c0ffee00-0000-4000-8000-000000000002", false);
    put_image("ours", SAVED_UUID, true); /* a snapshot's, no xl restores it */
    free(put("junk", "Xen saved domain, xl", 0600));
    folder("a folder");
    assert_null(hyp_saved_in(dir, SAVED_UUID));
    put_image("g", SAVED_UUID, false);
    path = hyp_saved_in(dir, SAVED_UUID);
    contains(path, "/g");
    free(path);
    assert_null(hyp_saved_in("/none", SAVED_UUID));
}

static void test_saved_where(void **state)
{
    const char *none = "/none", *settings[] = { none, NULL, NULL };
    char *file, *got;
    size_t i;
    static const char *const says[][2] = {
        { "A=1\nXENDOMAINS_SAVE=/a\n#XENDOMAINS_SAVE=/b\n", "/a" },
        { "XENDOMAINS_SAVE=/a\nXENDOMAINS_SAVE=\"/b c\"\n", "/b c" },
        { "XENDOMAINS_SAVE='/v/s' # there\n", "/v/s" },
        { "XENDOMAINS_SAVE=\n", "/var/lib/xen/save" },
        { "XENDOMAINS_SAVE=$HERE/../x\n", "/var/lib/xen/save" },
        { "", "/var/lib/xen/save" },
    };

    (void)state;
    for (i = 0; i < sizeof(says) / sizeof(says[0]); i++) {
        file = put("settings", says[i][0], 0600);
        settings[1] = file;
        got = hyp_saved_folder_of(settings);
        assert_string_equal(got, says[i][1]);
        free(got);
        free(file);
        settings[1] = NULL;
    }
    got = hyp_saved_folder_of(settings);
    assert_string_equal(got, "/var/lib/xen/save");
    free(got);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kernel_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_firmware_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bootloader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_xl, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pci, setup, teardown),
        cmocka_unit_test_setup_teardown(test_net, setup, teardown),
        cmocka_unit_test_setup_teardown(test_driver_domains, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shared_folders, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bios, setup, teardown),
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mark, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mark_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mark_of_libxl, setup, teardown),
        cmocka_unit_test_setup_teardown(test_words, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scope_without_systemd, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_scope_granted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scope_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scope_impossible, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_control, setup, teardown),
        cmocka_unit_test_setup_teardown(test_qemus, setup, teardown),
        cmocka_unit_test_setup_teardown(test_saved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_saved_where, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreground, setup, teardown),
    };

    if (argc > 1 && argv[1][0] == '-') {
        alarm(60);
        pause();
        return 0;
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}

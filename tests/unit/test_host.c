/* host: the parsers fed with text of other machines and with nonsense, and the live machine. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host.h"

/* ---- cpuinfo ---- */

static struct host_cpu cpuinfo(const char *text)
{
    struct host_cpu cpu;
    assert_int_equal(host_parse_cpuinfo(text, &cpu), 0);
    return cpu;
}

static void cpuinfo_counts_threads_cores_and_sockets(void **state)
{
    /* Two sockets of two cores, the first core of each with two threads. */
    struct host_cpu cpu = cpuinfo("processor\t: 0\nphysical id\t: 0\ncore id\t\t: 0\n\n"
                                  "processor\t: 1\nphysical id\t: 0\ncore id\t\t: 4\n\n"
                                  "processor\t: 2\nphysical id\t: 1\ncore id\t\t: 0\n\n"
                                  "processor\t: 3\nphysical id\t: 1\ncore id\t\t: 4\n\n"
                                  "processor\t: 4\nphysical id\t: 0\ncore id\t\t: 0\n\n"
                                  "processor\t: 5\nphysical id\t: 1\ncore id\t\t: 0\n");
    assert_int_equal(cpu.processors, 6);
    assert_int_equal(cpu.cores, 4);
    assert_int_equal(cpu.sockets, 2);
}

static void cpuinfo_without_topology_counts_processors(void **state)
{
    struct host_cpu cpu = cpuinfo("processor\t: 0\nBogoMIPS\t: 108.00\n\nprocessor\t: 1\nBogoMIPS\t: 108.00\n\n"
                                  "Hardware\t: BCM2835\nRevision\t: c03111\n");
    assert_int_equal(cpu.processors, 2);
    assert_int_equal(cpu.cores, 2);
    assert_int_equal(cpu.sockets, 1);
}

static void cpuinfo_of_odd_machines(void **state)
{
    /* Old ARM kernels write the model under "Processor"; s390 numbers within the key; both tell no processor. */
    assert_int_equal(cpuinfo("Processor\t: ARMv7 rev 10\n").processors, 0);
    assert_int_equal(cpuinfo("vendor_id : IBM/S390\n# processors : 4\nprocessor 0: version = FF\n").processors, 0);
    assert_int_equal(cpuinfo("").processors, 0);
    assert_int_equal(cpuinfo("processor").processors, 0);
    assert_int_equal(cpuinfo("processor:").processors, 0);
    assert_int_equal(cpuinfo("processor : 7").processors, 1);
    assert_int_equal(cpuinfo("physical id : 3\ncore id : 1\n").sockets, 0);
    struct host_cpu cpu = cpuinfo("processor : 0\nphysical id : -1\ncore id : 99999999999999999999\n");
    assert_int_equal(cpu.cores, 1);
    assert_int_equal(cpu.sockets, 1);
}

static void cpuinfo_of_many_processors(void **state)
{
    enum { COUNT = 4096, LINE = 64 };
    char *text = calloc(COUNT, LINE), *at = text;
    assert_non_null(text);
    for (int i = 0; i < COUNT; i++)
        at += snprintf(at, LINE, "processor : %d\nphysical id : %d\ncore id : %d\n", i, i % 8, i / 16);
    struct host_cpu cpu = cpuinfo(text);
    assert_int_equal(cpu.processors, COUNT);
    assert_int_equal(cpu.cores, COUNT / 2);
    assert_int_equal(cpu.sockets, 8);
    free(text);
}

/* ---- meminfo, loadavg, stat ---- */

static void meminfo_reads_kilobytes(void **state)
{
    struct host_memory memory;
    host_parse_meminfo("MemTotal:       24684096 kB\nMemFree:  2 kB\nMemAvailable: 3 kB\n"
                       "SwapTotal:\t8 kB\nSwapFree: 4 kB\nSwapCached: 99 kB\n",
                       &memory);
    assert_int_equal(memory.total_bytes, 24684096ULL * 1024);
    assert_int_equal(memory.free_bytes, 2048);
    assert_int_equal(memory.available_bytes, 3072);
    assert_int_equal(memory.swap_total_bytes, 8192);
    assert_int_equal(memory.swap_free_bytes, 4096);
}

static void meminfo_that_lacks_fields(void **state)
{
    struct host_memory memory;
    host_parse_meminfo("MemFree: 5 kB\nMemTotal: many\nMemTotalX: 7 kB\n", &memory);
    assert_int_equal(memory.total_bytes, 0);
    assert_int_equal(memory.available_bytes, 5 * 1024);
    host_parse_meminfo("", &memory);
    assert_int_equal(memory.free_bytes, 0);
}

static void loadavg_is_read_or_zero(void **state)
{
    struct host_load load;
    assert_int_equal(host_parse_loadavg("0.17 1.50 12.06 2/127 6977\n", &load), 0);
    assert_true(load.one > 0.16 && load.one < 0.18 && load.five > 1.49 && load.fifteen > 12.0);
    assert_int_equal(host_parse_loadavg("0.17 x", &load), -EINVAL);
    assert_true(load.one <= 0.0);
    assert_int_equal(host_parse_loadavg("", &load), -EINVAL);
}

static void stat_survives_any_command_name(void **state)
{
    const char *rest = " S 1 42 42 0 -1 4194560 100 200 3 4 70 30 5 6 20 0 1 0 123456 10000000 250 18446744073709551615 1 1";
    const char *names[] = {"7 (sh)", "7 (a b)", "7 (a) S 1 (b)", "7 (\n)))", "7 ()"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[512];
        struct host_stat stat;
        snprintf(text, sizeof text, "%s%s", names[i], rest);
        assert_int_equal(host_parse_stat(text, &stat), 0);
        assert_int_equal(stat.cpu_ticks, 100);
        assert_int_equal(stat.start_ticks, 123456);
        assert_int_equal(stat.resident_pages, 250);
    }
}

static void stat_refuses_nonsense(void **state)
{
    struct host_stat stat;
    assert_int_equal(host_parse_stat("", &stat), -EINVAL);
    assert_int_equal(host_parse_stat("7 (sh", &stat), -EINVAL);
    assert_int_equal(host_parse_stat("7 (sh) S 1 2", &stat), -EINVAL);
    assert_int_equal(stat.start_ticks, 0);
}

/* ---- mountinfo ---- */

/* The mounts that are kept, as "device@mount_point" joined by spaces. */
static const char *mountinfo(const char *text)
{
    static char seen[1024];
    struct host_mounts mounts;
    size_t used = 0;
    assert_int_equal(host_parse_mountinfo(text, &mounts), 0);
    seen[0] = '\0';
    for (size_t i = 0; i < mounts.count; i++)
        used += (size_t)snprintf(seen + used, sizeof seen - used, "%s%s@%s", i ? " " : "", mounts.items[i].device,
                                 mounts.items[i].mount_point);
    host_mounts_free(&mounts);
    return seen;
}

static void mountinfo_keeps_real_filesystems(void **state)
{
    assert_string_equal(mountinfo("22 27 0:21 / /proc rw,relatime - proc proc rw\n"
                                  "27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw\n"
                                  "25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw\n"
                                  "30 27 0:40 / /data rw - btrfs /dev/sdb rw,subvol=/\n"
                                  "31 27 0:41 / /nfs rw - nfs4 server:/export rw\n"
                                  "32 27 0:42 / /smb rw - cifs //server/share rw\n"
                                  "33 27 8:17 / /usb rw - fuseblk /dev/sdc1 rw\n"
                                  "34 27 0:43 / /sshfs rw - fuse.sshfs me@there: rw\n"
                                  "35 27 7:1 / /snap/x ro - squashfs /dev/loop1 ro\n"
                                  "36 27 253:9 / /shared rw - gfs2 /dev/dm-9 rw\n"
                                  "37 27 0:44 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n"
                                  "38 27 0:45 / /pool rw - zfs tank/data rw\n"),
                        "/dev/vda@/ /dev/sdb@/data tank/data@/pool");
}

static void mountinfo_of_a_container(void **state)
{
    assert_string_equal(mountinfo("1 0 0:50 / / rw - overlay overlay rw,lowerdir=/a\n"
                                  "2 1 254:1 /var/lib/x/resolv.conf /etc/resolv.conf rw - ext4 /dev/vdb1 rw\n"
                                  "3 1 254:1 /var/lib/x/hosts /etc/hosts rw - ext4 /dev/vdb1 rw\n"),
                        "overlay@/ /dev/vdb1@/etc/hosts");
}

static void mountinfo_sees_through_bind_and_hidden_mounts(void **state)
{
    assert_string_equal(mountinfo("1 0 8:1 /sub /srv/deep/bind rw - xfs /dev/sda1 rw\n"
                                  "2 0 8:1 / /srv rw - xfs /dev/sda1 rw\n"
                                  "3 0 8:2 / /mnt rw - ext4 /dev/sda2 rw\n"
                                  "4 0 0:9 / /mnt rw - tmpfs tmpfs rw\n"
                                  "5 0 8:3 / /opt rw - ext4 /dev/sda3 rw\n"
                                  "6 0 8:4 / /opt rw - ext4 /dev/sda4 rw\n"),
                        "/dev/sda1@/srv /dev/sda4@/opt");
}

static void mountinfo_undoes_escapes(void **state)
{
    assert_string_equal(mountinfo("1 0 8:1 / /a\\040b\\134c\\011 rw - ext4 /dev/disk/by-label/my\\040disk rw\n"),
                        "/dev/disk/by-label/my disk@/a b\\c\t");
    assert_string_equal(mountinfo("1 0 8:1 / /a\\04 rw - ext4 /dev/x\\ rw\n"), "/dev/x\\@/a\\04");
}

static void mountinfo_skips_odd_lines(void **state)
{
    assert_string_equal(mountinfo(""), "");
    assert_string_equal(mountinfo("\n\n - \nnonsense\n1 2 3 4 5\n1 0 8:1 / / rw -\n1 0 8:1 / / rw - ext4\n"
                                  "1 0 x:y / / rw - ext4 /dev/a rw\n1 0 8:1\n"
                                  "9 0 8:1 / /last rw - ext4 /dev/z rw"),
                        "/dev/z@/last");
    /* A device whose name is " - " is escaped by the kernel; an optional field of that name does not exist. */
    assert_string_equal(mountinfo("1 0 8:1 / /x rw a:1 b:2 c d:4 - ext4 /dev/q rw\n"), "/dev/q@/x");
}

static void mountinfo_of_many_bind_mounts(void **state)
{
    enum { COUNT = 5000, LINE = 80 };
    char *text = calloc(COUNT, LINE), *at = text;
    assert_non_null(text);
    for (int i = 0; i < COUNT; i++)
        at += snprintf(at, LINE, "%d 0 8:1 /v%d /var/pods/%d rw - ext4 /dev/sda1 rw\n", i, i, COUNT - i);
    assert_string_equal(mountinfo(text), "/dev/sda1@/var/pods/9");
    free(text);
}

/* ---- the live machine ---- */

static void live_identity(void **state)
{
    char name[256], tiny[2], id[HOST_ID_SIZE];
    uint64_t ticks, again;
    assert_int_equal(host_name(name, sizeof name), 0);
    assert_true(strlen(name) > 0);
    (void)host_name(tiny, sizeof tiny); /* cut or refused, never overrun */
    assert_int_equal(host_boot_id(id), 0);
    assert_int_equal(strlen(id), 36);
    int result = host_machine_id(id);
    assert_true(result == -ENOENT || strlen(id) == 32);
    assert_int_equal(host_start_ticks(getpid(), &ticks), 0);
    assert_int_equal(host_start_ticks(getpid(), &again), 0);
    assert_true(ticks > 0 && ticks == again);
    assert_int_equal(host_start_ticks(0, &ticks), -ESRCH);
    assert_int_equal(host_start_ticks(-7, &ticks), -ESRCH);
    assert_int_equal(host_start_ticks(INT32_MAX, &ticks), -ESRCH);
}

static void live_resources(void **state)
{
    struct host_resource resource;
    for (int round = 0; round < 2; round++) { /* the second takes the processors from what is known */
        assert_int_equal(host_resource_read(&resource), 0);
        assert_true(resource.cpu.processors >= 1 && resource.cpu.cores >= 1 && resource.cpu.sockets >= 1);
        assert_true(resource.cpu.cores <= resource.cpu.processors);
        assert_true(resource.memory.total_bytes > resource.memory.free_bytes);
        for (size_t i = 0; i < resource.filesystem_count; i++) {
            const struct host_filesystem *item = &resource.filesystems[i];
            assert_true(item->size_bytes >= item->used_bytes && item->usage >= 0 && item->usage <= 1);
            assert_true(item->mount_point[0] == '/');
        }
        host_resource_free(&resource);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpuinfo_counts_threads_cores_and_sockets),
        cmocka_unit_test(cpuinfo_without_topology_counts_processors),
        cmocka_unit_test(cpuinfo_of_odd_machines),
        cmocka_unit_test(cpuinfo_of_many_processors),
        cmocka_unit_test(meminfo_reads_kilobytes),
        cmocka_unit_test(meminfo_that_lacks_fields),
        cmocka_unit_test(loadavg_is_read_or_zero),
        cmocka_unit_test(stat_survives_any_command_name),
        cmocka_unit_test(stat_refuses_nonsense),
        cmocka_unit_test(mountinfo_keeps_real_filesystems),
        cmocka_unit_test(mountinfo_of_a_container),
        cmocka_unit_test(mountinfo_sees_through_bind_and_hidden_mounts),
        cmocka_unit_test(mountinfo_undoes_escapes),
        cmocka_unit_test(mountinfo_skips_odd_lines),
        cmocka_unit_test(mountinfo_of_many_bind_mounts),
        cmocka_unit_test(live_identity),
        cmocka_unit_test(live_resources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/rng.h"

#include "migration/vmstate.h"
#include "tests/support/virtio_driver.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/loop.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Bench {
    GuestMemory *mem;
    VirtioDevice *dev;
    VirtDriver *driver;
    Loop *loop;
} Bench;

static void bench_fini(Bench *b)
{
    device_free(b->dev ? &b->dev->base : NULL);
    virt_driver_free(b->driver);
    loop_free(b->loop);
    guest_mem_free(b->mem);
}
#define auto_bench __attribute__((cleanup(bench_fini))) Bench

static Bench bench_new(const VirtioRngConfig *config, bool threaded)
{
    Bench b = {.mem = guest_mem_new(NULL)};
    g_autoptr(GError) error = NULL;

    ck_assert(guest_mem_add_plain(b.mem, MIB, &error));
    b.loop = threaded ? loop_new_thread("io", &error) : NULL;
    b.dev = virtio_rng_new("rng0", b.mem, NULL, b.loop, config);
    ck_assert(device_realize(&b.dev->base, &error));
    b.driver = virt_driver_new(b.dev, b.mem, 0x4000);
    ck_assert(virt_driver_start(b.driver, 0, 8));
    return b;
}

static uint64_t offer(Bench *b, uint32_t len)
{
    uint64_t room = virt_driver_alloc(b->driver, len, 16);

    ck_assert_int_ge(virt_driver_add(b->driver, 0, &(VirtBuffer){room, len, true}, 1), 0);
    virt_driver_kick(b->driver, 0);
    return room;
}

static uint32_t take(Bench *b)
{
    uint32_t id;
    uint32_t len;

    while (!virt_driver_take(b->driver, 0, &id, &len)) {
        g_thread_yield();
    }
    return len;
}

START_TEST(the_builtin_source_answers_at_once)
{
    auto_bench b = bench_new(&(VirtioRngConfig){0}, false);
    uint64_t first = offer(&b, 64);
    uint64_t second = offer(&b, 64);

    ck_assert_uint_eq(b.dev->ops->device_id, 4);
    ck_assert_uint_eq(take(&b), 64);
    ck_assert_uint_eq(take(&b), 64);
    ck_assert(memcmp(virt_driver_ptr(b.driver, first, 64), virt_driver_ptr(b.driver, second, 64),
                     64) != 0);
}
END_TEST

START_TEST(a_huge_request_gets_a_bounded_answer)
{
    auto_bench b = bench_new(&(VirtioRngConfig){0}, false);

    offer(&b, 512 * 1024);
    ck_assert_uint_eq(take(&b), 65536);
}
END_TEST

START_TEST(a_request_without_room_breaks_the_device)
{
    auto_bench b = bench_new(&(VirtioRngConfig){0}, false);

    virt_driver_add(b.driver, 0, &(VirtBuffer){0x100, 16, false}, 1);
    virt_driver_kick(b.driver, 0);
    ck_assert_str_eq(b.dev->last_error, "a request without room for an answer");
}
END_TEST

START_TEST(a_file_is_read)
{
    auto_bench b = bench_new(&(VirtioRngConfig){.filename = "/dev/urandom"}, _i);

    offer(&b, 32);
    ck_assert_uint_eq(take(&b), 32);
}
END_TEST

START_TEST(a_file_that_does_not_exist_is_named)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;
    VirtioDevice *dev =
        virtio_rng_new("rng0", mem, NULL, NULL, &(VirtioRngConfig){.filename = "/no/such"});

    ck_assert(!device_realize(&dev->base, &error));
    ck_assert_str_eq(error->message, "device rng0: cannot open '/no/such' for reading: No such "
                                     "file or directory");
    device_free(&dev->base);
}
END_TEST

/* A fifo stands for a slow hardware generator: the request waits, also across a drain. */
START_TEST(a_source_that_has_nothing_yet_is_waited_for)
{
    g_autofree char *dir = g_dir_make_tmp("stencil-rng-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "fifo", NULL);
    g_autoptr(GError) error = NULL;

    ck_assert_int_eq(mkfifo(path, 0600), 0);

    auto_fd int writer = fd_open(path, O_RDWR, 0, &error);
    {
        auto_bench b = bench_new(&(VirtioRngConfig){.filename = path}, true);
        uint64_t room = offer(&b, 8);

        ck_assert(device_drain(&b.dev->base, &error));
        ck_assert_uint_eq(b.dev->queue[0].in_flight, 0);
        device_resume(&b.dev->base);
        ck_assert(fd_write_all(writer, path, "entropy!", 8, &error));
        ck_assert_uint_eq(take(&b), 8);
        ck_assert_mem_eq(virt_driver_ptr(b.driver, room, 8), "entropy!", 8);
    }
    unlink(path);
    rmdir(dir);
}
END_TEST

START_TEST(a_file_that_ends_leaves_the_request_waiting)
{
    auto_bench b = bench_new(&(VirtioRngConfig){.filename = "/dev/null"}, false);
    uint32_t id;
    uint32_t len;

    offer(&b, 8);
    ck_assert(!virt_driver_take(b.driver, 0, &id, &len));
    ck_assert(!virtio_is_broken(b.dev));
    ck_assert_uint_eq(b.dev->queue[0].in_flight, 0);
}
END_TEST

START_TEST(a_limit_spreads_bytes_over_periods)
{
    auto_bench b = bench_new(&(VirtioRngConfig){.max_bytes = 100, .period_ms = 20}, true);
    int64_t begin = loop_now_ns();
    uint32_t total = 0;

    for (unsigned i = 0; i < 8; i++) {
        offer(&b, 80);
    }
    for (unsigned i = 0; i < 8; i++) {
        uint32_t len = take(&b);

        ck_assert_uint_gt(len, 0);
        ck_assert_uint_le(len, 80);
        total += len;
    }
    ck_assert_uint_gt(total, 100); /* more than one period has */
    ck_assert_uint_le(total, 100 * ((loop_now_ns() - begin) / 20000000 + 1));
}
END_TEST

START_TEST(a_limit_needs_a_loop_and_a_period)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;
    VirtioDevice *dev =
        virtio_rng_new("rng0", mem, NULL, NULL, &(VirtioRngConfig){.max_bytes = 1, .period_ms = 1});

    ck_assert(!device_realize(&dev->base, &error));
    ck_assert_str_eq(error->message, "device rng0: max-bytes needs a period and an I/O loop");
    device_free(&dev->base);
}
END_TEST

START_TEST(a_restored_device_answers_what_was_waiting)
{
    auto_bench b = bench_new(&(VirtioRngConfig){0}, false);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    const VmStateDesc *desc = b.dev->base.ops->vmstate;

    offer(&b, 16);
    take(&b);
    ck_assert(device_drain(&b.dev->base, &error));
    ck_assert(vmstate_save(desc, b.dev, bytes, &error));
    offer(&b, 16);

    VirtioDevice *fresh = virtio_rng_new("rng0", b.mem, NULL, NULL, &(VirtioRngConfig){0});

    device_free(&b.dev->base);
    b.dev = fresh;
    ck_assert(device_realize(&fresh->base, &error));
    virt_driver_adopt(b.driver, fresh);
    ck_assert(vmstate_load(desc, fresh, bytes->data, bytes->len, &error));
    device_resume(&fresh->base);
    ck_assert_uint_eq(take(&b), 16);
    ck_assert(vmstate_check(desc, &error));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("virtio_rng");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, the_builtin_source_answers_at_once);
    tcase_add_test(tc, a_huge_request_gets_a_bounded_answer);
    tcase_add_test(tc, a_request_without_room_breaks_the_device);
    tcase_add_loop_test(tc, a_file_is_read, 0, 2);
    tcase_add_test(tc, a_file_that_does_not_exist_is_named);
    tcase_add_test(tc, a_source_that_has_nothing_yet_is_waited_for);
    tcase_add_test(tc, a_file_that_ends_leaves_the_request_waiting);
    tcase_add_test(tc, a_limit_spreads_bytes_over_periods);
    tcase_add_test(tc, a_limit_needs_a_loop_and_a_period);
    tcase_add_test(tc, a_restored_device_answers_what_was_waiting);
    return suite_run("virtio_rng", tc);
}

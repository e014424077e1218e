/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-blk when disks fail, and at drain, reset, save and load. */
#include "devices/virtio/blk.h"

#include "devices/backend/block_file.h"
#include "tests/support/blk_bench.h"
#include "tests/support/device_state.h"
#include "tests/unit/suite.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* --- errors --- */

static void count_error(void *opaque, const BlockErrorInfo *info)
{
    (void)info;
    ((BlkBench *)opaque)->errors++;
}

START_TEST(an_ignored_error_is_a_success_and_is_told)
{
    BlkBench f;

    blk_bench_init(&f, "drive=d");
    f.fake->base.on_write_error = BLOCK_ERROR_IGNORE;
    f.fake->base.error_hook = (BlockErrorHook){.raise = count_error, .opaque = &f};
    blk_bench_start(&f, USUAL_FEATURES);
    f.fake->fail_with = EIO;
    ck_assert_uint_eq(blk_bench_run(&f, T_OUT, 0, 512, 0), S_OK);
    ck_assert_uint_eq(blk_bench_run(&f, T_IN, 0, 512, 0), S_IOERR);
    ck_assert_uint_eq(f.errors, 2);
    blk_bench_fini(&f);
}
END_TEST

START_TEST(with_stop_a_failed_request_waits_and_is_tried_again)
{
    BlkBench f;
    BlkBenchRequest r[3];

    blk_bench_init(&f, "drive=d,packed=on");
    f.fake->base.on_write_error = BLOCK_ERROR_ENOSPC;
    f.fake->base.error_hook = (BlockErrorHook){.raise = count_error, .opaque = &f};
    blk_bench_start(&f, USUAL_FEATURES | blk_bench_rings[_i]);
    f.fake->hold = true;
    for (unsigned i = 0; i < 2; i++) {
        r[i] = blk_bench_make(&f, T_OUT, i, 512);
        memset(blk_bench_data(&f, &r[i]), 0x10 + (int)i, 512);
        blk_bench_add(&f, 0, &r[i], false);
    }
    blk_bench_kick(&f, 0);
    fake_block_finish_oldest(f.fake, ENOSPC);
    fake_block_finish_oldest(f.fake, 0);
    ck_assert_uint_eq(blk_bench_take_all(&f, 0), 1);
    ck_assert_uint_eq(blk_bench_status(&f, &r[0]), S_UNTOUCHED);
    ck_assert_uint_eq(f.errors, 1);

    /* What comes while it waits stays in the ring. */
    r[2] = blk_bench_make(&f, T_OUT, 2, 512);
    blk_bench_add(&f, 0, &r[2], false);
    blk_bench_kick(&f, 0);
    ck_assert_uint_eq(f.fake->submitted, 2);

    ck_assert(device_drain(&f.dev->base, NULL));
    f.fake->hold = false;
    device_resume(&f.dev->base);
    blk_bench_settle(&f);
    ck_assert_uint_eq(blk_bench_take_all(&f, 0), 2);
    ck_assert_uint_eq(blk_bench_status(&f, &r[0]), S_OK);
    ck_assert_uint_eq(blk_bench_status(&f, &r[2]), S_OK);
    ck_assert_uint_eq(f.fake->data[0], 0x10);
    blk_bench_fini(&f);
}
END_TEST

/* Two of four failed and were overtaken by another: written down, they are asked again elsewhere. */
START_TEST(failed_requests_that_others_overtook_are_saved_and_tried_again_in_the_clone)
{
    BlkBench f;
    BlkBenchRequest r[4];
    VirtioDevice *clone;
    FakeBlock *disk = fake_block_new(DISK_BYTES);

    blk_bench_init(&f, "drive=d,packed=on,num-queues=2");
    f.fake->base.on_write_error = BLOCK_ERROR_STOP;
    f.fake->base.error_hook = (BlockErrorHook){.raise = count_error, .opaque = &f};
    blk_bench_start(&f, USUAL_FEATURES | blk_bench_rings[_i]);
    f.fake->hold = true;
    for (unsigned i = 0; i < 4; i++) {
        r[i] = blk_bench_make(&f, T_OUT, i, 512);
        memset(blk_bench_data(&f, &r[i]), 0x10 + (int)i, 512);
        blk_bench_add(&f, 1, &r[i], false);
    }
    blk_bench_kick(&f, 1);
    fake_block_finish_newest(f.fake, 0);
    for (unsigned i = 0; i < 3; i++) {
        fake_block_finish_oldest(f.fake, i < 2 ? EIO : 0);
    }
    ck_assert_uint_eq(blk_bench_take_all(&f, 1), 2);
    ck_assert(device_drain(&f.dev->base, NULL));

    g_autoptr(GByteArray) wire = state_save(&f.dev->base);

    clone = blk_bench_device(f.mem, f.loop, &disk->base, "drive=d,packed=on,num-queues=2");
    ck_assert(device_realize(&clone->base, NULL));
    state_load(&clone->base, wire);

    g_autoptr(GByteArray) again = state_save(&clone->base);

    ck_assert_uint_eq(again->len, wire->len);
    ck_assert_mem_eq(again->data, wire->data, wire->len);
    virt_driver_adopt(f.driver, clone);
    device_resume(&clone->base);
    blk_bench_settle(&f);
    ck_assert_uint_eq(blk_bench_take_all(&f, 1), 2);
    ck_assert_uint_eq(blk_bench_status(&f, &r[0]), S_OK);
    ck_assert_uint_eq(blk_bench_status(&f, &r[1]), S_OK);
    ck_assert_uint_eq(disk->data[0], 0x10);
    ck_assert_uint_eq(disk->data[512], 0x11);
    ck_assert_uint_eq(disk->data[1024], 0);
    device_free(&clone->base);
    block_close(&disk->base);
    f.fake->hold = false;
    blk_bench_fini(&f);
}
END_TEST

/* The same state, damaged: a disk that holds requests is refused or harmless. */
START_TEST(damage_to_saved_requests_does_no_harm)
{
    BlkBench f;
    BlkBenchRequest r[2];
    VirtioDevice *clone;
    FakeBlock *disk = fake_block_new(DISK_BYTES);

    blk_bench_init(&f, "drive=d,packed=on");
    f.fake->base.on_write_error = BLOCK_ERROR_STOP;
    f.fake->base.error_hook = (BlockErrorHook){.raise = count_error, .opaque = &f};
    blk_bench_start(&f, USUAL_FEATURES | blk_bench_rings[_i]);
    f.fake->hold = true;
    for (unsigned i = 0; i < 2; i++) {
        r[i] = blk_bench_make(&f, T_OUT, i, 512);
        blk_bench_add(&f, 0, &r[i], false);
    }
    blk_bench_kick(&f, 0);
    fake_block_finish_oldest(f.fake, EIO);
    fake_block_finish_oldest(f.fake, 0);
    ck_assert(device_drain(&f.dev->base, NULL));

    g_autoptr(GByteArray) wire = state_save(&f.dev->base);

    clone = blk_bench_device(f.mem, f.loop, &disk->base, "drive=d,packed=on");
    ck_assert(device_realize(&clone->base, NULL));
    for (guint bit = 0; bit < wire->len * 8; bit++) {
        wire->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (vmstate_load(clone->base.ops->vmstate, clone, wire->data, wire->len, NULL)) {
            device_resume(&clone->base);
            blk_bench_settle(&f);
            ck_assert(device_drain(&clone->base, NULL));
            g_byte_array_unref(state_save(&clone->base));
        }
        device_reset(&clone->base);
        wire->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    device_free(&clone->base);
    block_close(&disk->base);
    f.fake->hold = false;
    blk_bench_fini(&f);
}
END_TEST

START_TEST(the_latest_requests_that_failed_go_back_into_the_ring_and_can_be_saved)
{
    BlkBench f;
    BlkBenchRequest r[3];

    blk_bench_init(&f, "drive=d,packed=on");
    f.fake->base.on_write_error = BLOCK_ERROR_STOP;
    f.fake->base.error_hook = (BlockErrorHook){.raise = count_error, .opaque = &f};
    blk_bench_start(&f, USUAL_FEATURES | blk_bench_rings[_i]);
    f.fake->hold = true;
    for (unsigned i = 0; i < 3; i++) {
        r[i] = blk_bench_make(&f, T_OUT, i, 512);
        blk_bench_add(&f, 0, &r[i], false);
    }
    blk_bench_kick(&f, 0);
    fake_block_finish_oldest(f.fake, 0);
    fake_block_finish_newest(f.fake, EIO);
    fake_block_finish_oldest(f.fake, EIO);
    ck_assert(device_drain(&f.dev->base, NULL));

    g_autoptr(GByteArray) wire = state_save(&f.dev->base);

    ck_assert_uint_gt(wire->len, 0);
    f.fake->hold = false;
    device_resume(&f.dev->base);
    blk_bench_settle(&f);
    ck_assert_uint_eq(blk_bench_take_all(&f, 0), 3);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(blk_bench_status(&f, &r[i]), S_OK);
    }
    blk_bench_fini(&f);
}
END_TEST

START_TEST(a_reset_forgets_what_waits)
{
    BlkBench f;

    blk_bench_init(&f, "drive=d");
    f.fake->base.on_write_error = BLOCK_ERROR_STOP;
    f.fake->base.error_hook = (BlockErrorHook){.raise = count_error, .opaque = &f};
    blk_bench_start(&f, USUAL_FEATURES);
    f.fake->fail_with = EIO;

    BlkBenchRequest r = blk_bench_make(&f, T_OUT, 0, 512);

    blk_bench_add(&f, 0, &r, false);
    blk_bench_kick(&f, 0);
    device_reset(&f.dev->base);
    f.fake->fail_with = 0;
    blk_bench_start(&f, USUAL_FEATURES);
    ck_assert_uint_eq(blk_bench_status(&f, &r), S_UNTOUCHED);
    ck_assert_uint_eq(blk_bench_run(&f, T_OUT, 0, 512, 0), S_OK);
    blk_bench_fini(&f);
}
END_TEST

/* --- life --- */

START_TEST(drain_ends_everything_and_resume_goes_on)
{
    BlkBench f;
    BlkBenchRequest r[3];

    blk_bench_init(&f, "drive=d");
    blk_bench_start(&f, USUAL_FEATURES);
    f.fake->hold = true;
    for (unsigned i = 0; i < 2; i++) {
        r[i] = blk_bench_make(&f, T_OUT, i, 512);
        blk_bench_add(&f, 0, &r[i], false);
    }
    blk_bench_kick(&f, 0);
    ck_assert(device_drain(&f.dev->base, NULL));
    ck_assert_uint_eq(f.fake->base.in_flight, 0);
    ck_assert_uint_eq(blk_bench_take_all(&f, 0), 2);
    r[2] = blk_bench_make(&f, T_OUT, 2, 512);
    blk_bench_add(&f, 0, &r[2], false);
    blk_bench_kick(&f, 0);
    ck_assert_uint_eq(f.fake->submitted, 2);
    f.fake->hold = false;
    device_resume(&f.dev->base);
    blk_bench_settle(&f);
    ck_assert_uint_eq(blk_bench_take_all(&f, 0), 1);
    blk_bench_fini(&f);
}
END_TEST

START_TEST(a_reset_with_requests_in_flight_lets_go_of_guest_memory)
{
    BlkBench f;
    BlkBenchRequest r;

    blk_bench_init(&f, "drive=d");
    blk_bench_start(&f, USUAL_FEATURES);
    f.fake->hold = true;
    r = blk_bench_make(&f, T_IN, 0, 512);
    blk_bench_add(&f, 0, &r, true);
    blk_bench_kick(&f, 0);
    virtio_set_status(f.dev, 0);
    ck_assert_uint_eq(f.fake->base.in_flight, 0);
    blk_bench_fini(&f);
}
END_TEST

START_TEST(a_device_without_a_loop_is_refused)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;
    FakeBlock *fake = fake_block_new(DISK_BYTES);
    VirtioDevice *dev = blk_bench_device(mem, NULL, &fake->base, "drive=d");

    ck_assert(!device_realize(&dev->base, &error));
    ck_assert_str_eq(error->message, "device disk0: it needs a loop that serves it");
    device_free(&dev->base);
    block_close(&fake->base);
}
END_TEST

START_TEST(the_state_survives_a_round_trip_and_damage_does_no_harm)
{
    BlkBench f;
    FakeBlock *twin = fake_block_new(DISK_BYTES);

    blk_bench_init(&f, "drive=d,num-queues=2");
    blk_bench_start(&f, USUAL_FEATURES | BLK_FEATURE_MQ);
    blk_bench_run(&f, T_OUT, 0, 512, 0);
    virtio_config_write(f.dev, BLK_CONFIG_WRITEBACK, 1, 0);
    ck_assert(device_drain(&f.dev->base, NULL));

    VirtioDevice *other = blk_bench_device(f.mem, f.loop, &twin->base, "drive=d,num-queues=2");

    ck_assert(device_realize(&other->base, NULL));
    state_check_round_trip(&f.dev->base, &other->base);
    ck_assert_uint_eq(virtio_config_read(other, BLK_CONFIG_WRITEBACK, 1), 0);
    device_reset(&other->base);
    state_check_damage(&f.dev->base, &other->base);
    device_free(&other->base);
    block_close(&twin->base);
    blk_bench_fini(&f);
}
END_TEST

START_TEST(a_disk_of_another_size_is_refused_with_both_sizes)
{
    BlkBench f;
    FakeBlock *twin = fake_block_new(DISK_BYTES * 2);
    g_autoptr(GError) error = NULL;

    blk_bench_init(&f, "drive=d");

    g_autoptr(GByteArray) wire = state_save(&f.dev->base);
    VirtioDevice *other = blk_bench_device(f.mem, f.loop, &twin->base, "drive=d");

    ck_assert(device_realize(&other->base, NULL));
    ck_assert(!vmstate_load(other->base.ops->vmstate, other, wire->data, wire->len, &error));
    ck_assert_ptr_nonnull(
        strstr(error->message, "capacity: the disk had 512 sectors, 'fake0' has 1024"));
    device_free(&other->base);
    block_close(&twin->base);
    blk_bench_fini(&f);
}
END_TEST

/* --- with a thread and a file --- */

#define STRESS_ROUNDS 40
#define STRESS_BATCH  5

/* Waits until every request came back; the loop's thread is at work meanwhile. */
static void collect(VirtDriver *driver, unsigned wanted)
{
    uint32_t id;
    uint32_t len;

    while (wanted > 0) {
        if (virt_driver_take(driver, 0, &id, &len)) {
            wanted--;
        } else {
            g_thread_yield();
        }
    }
}

static void stress(BlkBench *f, uint32_t type, uint8_t *expected)
{
    BlkBenchRequest r[STRESS_BATCH];

    for (unsigned i = 0; i < STRESS_BATCH; i++) {
        r[i] = blk_bench_make(f, type, i * 8, 4096);
        if (type == T_OUT) {
            memset(blk_bench_data(f, &r[i]), ++*expected, 4096);
        }
        blk_bench_add(f, 0, &r[i], type == T_IN);
    }
    virt_driver_kick(f->driver, 0);
    if (*expected % 3 == 0) {
        ck_assert(device_drain(&f->dev->base, NULL));
        device_resume(&f->dev->base);
    }
    collect(f->driver, STRESS_BATCH);
    for (unsigned i = 0; i < STRESS_BATCH; i++) {
        ck_assert_uint_eq(blk_bench_status(f, &r[i]), S_OK);
        if (type == T_IN) {
            ck_assert_uint_eq(blk_bench_data(f, &r[i])[4095],
                              (uint8_t)(*expected - STRESS_BATCH + 1 + i));
        }
    }
}

START_TEST(a_thread_serves_a_file_while_the_vm_is_stopped_again_and_again)
{
    static const BlockAio ways[] = {BLOCK_AIO_URING, BLOCK_AIO_THREADS, BLOCK_AIO_OFF};
    char path[] = "/tmp/stencil-blk-XXXXXX";
    auto_fd int image = mkostemp(path, O_CLOEXEC);
    const BlockFileConfig config = {.path = path, .aio = ways[_i]};
    BlkBench f = {.mem = guest_mem_new(NULL), .loop = loop_new_thread("io", NULL)};
    uint8_t expected = 0;

    ck_assert_int_eq(ftruncate(image, DISK_BYTES), 0);
    ck_assert(guest_mem_add_plain(f.mem, MEMORY_BYTES, NULL));

    BlockBackend *drive = block_file_open(&config, NULL);

    ck_assert_ptr_nonnull(drive);
    f.dev = blk_bench_device(f.mem, f.loop, drive, "drive=d");
    f.driver = virt_driver_new(f.dev, f.mem, HEAP);
    ck_assert(device_realize(&f.dev->base, NULL));
    ck_assert(virt_driver_start(f.driver, USUAL_FEATURES | VIRTIO_FEATURE_EVENT_IDX, 16));
    for (unsigned round = 0; round < STRESS_ROUNDS; round++) {
        stress(&f, T_OUT, &expected);
        stress(&f, T_IN, &expected);
    }
    ck_assert(device_drain(&f.dev->base, NULL));
    device_reset(&f.dev->base);
    virt_driver_free(f.driver);
    device_free(&f.dev->base);
    block_close(drive);
    loop_free(f.loop);
    guest_mem_free(f.mem);
    unlink(path);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("virtio_blk_life");
    int rings = BLK_BENCH_RINGS;

    tcase_add_test(tc, an_ignored_error_is_a_success_and_is_told);
    tcase_add_loop_test(tc, with_stop_a_failed_request_waits_and_is_tried_again, 0, rings);
    tcase_add_loop_test(
        tc, failed_requests_that_others_overtook_are_saved_and_tried_again_in_the_clone, 0, rings);
    tcase_add_loop_test(tc, damage_to_saved_requests_does_no_harm, 0, rings);
    tcase_add_loop_test(tc, the_latest_requests_that_failed_go_back_into_the_ring_and_can_be_saved,
                        0, rings);
    tcase_add_test(tc, a_reset_forgets_what_waits);
    tcase_add_test(tc, drain_ends_everything_and_resume_goes_on);
    tcase_add_test(tc, a_reset_with_requests_in_flight_lets_go_of_guest_memory);
    tcase_add_loop_test(tc, a_thread_serves_a_file_while_the_vm_is_stopped_again_and_again, 0, 3);
    tcase_add_test(tc, a_device_without_a_loop_is_refused);
    tcase_add_test(tc, the_state_survives_a_round_trip_and_damage_does_no_harm);
    tcase_add_test(tc, a_disk_of_another_size_is_refused_with_both_sizes);
    return suite_run("virtio_blk_life", tc);
}

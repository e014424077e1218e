/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest can ask of virtio-blk, sense and nonsense. */
#include "devices/virtio/blk.h"

#include "tests/support/blk_bench.h"
#include "tests/unit/suite.h"

#include <errno.h>

START_TEST(what_the_guest_writes_is_on_the_disk_and_comes_back)
{
    BlkBench f;
    BlkBenchRequest r;
    uint32_t id;
    uint32_t len;

    blk_bench_init(&f, "drive=d,packed=on");
    blk_bench_start(&f, USUAL_FEATURES | blk_bench_rings[_i]);
    f.driver->indirect = (blk_bench_rings[_i] & VIRTIO_FEATURE_INDIRECT_DESC) != 0;
    ck_assert_uint_eq(blk_bench_run(&f, T_OUT, 8, 4096, 0x5a), S_OK);
    ck_assert_uint_eq(f.fake->data[8 * 512], 0x5a);
    ck_assert_uint_eq(f.fake->data[8 * 512 + 4095], 0x5a);
    ck_assert_uint_eq(f.fake->data[8 * 512 + 4096], 0);
    r = blk_bench_make(&f, T_IN, 9, 1024);
    blk_bench_add(&f, 0, &r, true);
    blk_bench_kick(&f, 0);
    ck_assert(virt_driver_take(f.driver, 0, &id, &len));
    ck_assert_uint_eq(len, 1025);
    ck_assert_uint_eq(blk_bench_status(&f, &r), S_OK);
    ck_assert_uint_eq(blk_bench_data(&f, &r)[1023], 0x5a);
    ck_assert_uint_eq(blk_bench_run(&f, T_FLUSH, 0, 0, 0), S_OK);
    ck_assert_int_eq(f.fake->last_op, BLOCK_FLUSH);
    blk_bench_fini(&f);
}
END_TEST

/* The standard does not say how a driver cuts a request into pieces. */
START_TEST(header_and_status_may_be_cut_anywhere)
{
    BlkBench f;

    blk_bench_init(&f, "drive=d");
    blk_bench_start(&f, USUAL_FEATURES);
    memset(f.fake->data, 0x77, 1024);
    for (uint32_t cut = 1; cut < 16; cut++) {
        BlkBenchRequest r = blk_bench_make(&f, T_IN, 0, 512);
        uint64_t last = virt_driver_alloc(f.driver, 513, 1);
        VirtBuffer in[] = {
            {r.header, cut, false}, {r.header + cut, 16 - cut, false}, {last, 513, true}};
        uint8_t *bytes = virt_driver_ptr(f.driver, last, 513);

        bytes[512] = S_UNTOUCHED;
        ck_assert_int_ge(virt_driver_add(f.driver, 0, in, 3), 0);
        blk_bench_kick(&f, 0);
        ck_assert_uint_eq(blk_bench_take_all(&f, 0), 1);
        ck_assert_uint_eq(bytes[0], 0x77);
        ck_assert_uint_eq(bytes[511], 0x77);
        ck_assert_uint_eq(bytes[512], S_OK);
    }
    for (uint32_t cut = 17; cut < 16 + 512; cut += 37) {
        uint64_t out = virt_driver_alloc(f.driver, 16 + 512, 1);
        uint64_t status = virt_driver_alloc(f.driver, 1, 1);
        VirtBuffer parts[] = {
            {out, cut, false}, {out + cut, 16 + 512 - cut, false}, {status, 1, true}};
        uint8_t *bytes = virt_driver_ptr(f.driver, out, 16 + 512);

        store_le32(bytes, T_OUT);
        store_le64(bytes + 8, 4);
        memset(bytes + 16, (int)cut & 0xff, 512);
        ck_assert_int_ge(virt_driver_add(f.driver, 0, parts, 3), 0);
        blk_bench_kick(&f, 0);
        ck_assert_uint_eq(blk_bench_take_all(&f, 0), 1);
        ck_assert_uint_eq(f.fake->data[2048], cut & 0xff);
        ck_assert_uint_eq(f.fake->data[2048 + 511], cut & 0xff);
    }
    blk_bench_fini(&f);
}
END_TEST

typedef struct BadRequest {
    uint32_t type;
    uint64_t sector;
    uint32_t data_len;
    uint8_t status;
} BadRequest;

static const BadRequest bad_requests[] = {
    {T_IN, DISK_BYTES / 512, 512, S_IOERR},
    {T_IN, DISK_BYTES / 512 - 1, 1024, S_IOERR},
    {T_OUT, UINT64_MAX, 512, S_IOERR},
    {T_OUT, UINT64_MAX / 512, 512, S_IOERR},
    {T_OUT, UINT64_C(1) << 55, 512, S_IOERR},
    {T_IN, 0, 511, S_IOERR},
    {T_OUT, 0, 513, S_IOERR},
    {2, 0, 512, S_UNSUPP},
    {3, 0, 512, S_UNSUPP},
    {5, 0, 0, S_UNSUPP},
    {14, 0, 16, S_UNSUPP},
    {0x80000000, 0, 512, S_UNSUPP},
    {UINT32_MAX, 0, 512, S_UNSUPP},
    {T_DISCARD, 0, 0, S_UNSUPP},
    {T_DISCARD, 0, 15, S_UNSUPP},
    {T_ZEROES, 0, 32, S_UNSUPP},
};

START_TEST(requests_that_make_no_sense_are_answered_and_go_nowhere)
{
    const BadRequest *bad = &bad_requests[_i];
    BlkBench f;

    blk_bench_init(&f, "drive=d");
    blk_bench_start(&f, USUAL_FEATURES);
    ck_assert_uint_eq(blk_bench_run(&f, bad->type, bad->sector, bad->data_len, 0), bad->status);
    ck_assert_uint_eq(f.fake->submitted, 0);
    ck_assert(!virtio_is_broken(f.dev));
    blk_bench_fini(&f);
}
END_TEST

START_TEST(a_chain_without_header_or_status_breaks_the_device_until_reset)
{
    BlkBench f;

    for (unsigned which = 0; which < 3; which++) {
        blk_bench_init(&f, "drive=d");
        blk_bench_start(&f, USUAL_FEATURES);

        uint64_t at = virt_driver_alloc(f.driver, 512, 16);
        VirtBuffer buffers[3][2] = {{{at, 16, false}, {at + 16, 16, false}},
                                    {{at, 15, false}, {at + 16, 1, true}},
                                    {{at, 16, true}, {at + 16, 16, true}}};

        ck_assert_int_ge(virt_driver_add(f.driver, 0, buffers[which], 2), 0);
        blk_bench_kick(&f, 0);
        ck_assert(virtio_is_broken(f.dev));
        ck_assert_uint_eq(blk_bench_take_all(&f, 0), 0);
        ck_assert(device_drain(&f.dev->base, NULL));
        device_reset(&f.dev->base);
        ck_assert(!virtio_is_broken(f.dev));
        blk_bench_fini(&f);
    }
}
END_TEST

START_TEST(the_serial_is_read_whole_and_padded)
{
    BlkBench f;
    BlkBenchRequest r;

    blk_bench_init(&f, "drive=d,serial=ABC");
    blk_bench_start(&f, USUAL_FEATURES);
    r = blk_bench_make(&f, T_GET_ID, 0, 20);
    memset(blk_bench_data(&f, &r), 0xff, 20);
    blk_bench_add(&f, 0, &r, true);
    blk_bench_kick(&f, 0);
    ck_assert_uint_eq(blk_bench_status(&f, &r), S_OK);
    ck_assert_mem_eq(blk_bench_data(&f, &r), "ABC\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    r = blk_bench_make(&f, T_GET_ID, 0, 2);
    blk_bench_add(&f, 0, &r, true);
    blk_bench_kick(&f, 0);
    ck_assert_uint_eq(blk_bench_status(&f, &r), S_OK);
    ck_assert_mem_eq(blk_bench_data(&f, &r), "AB", 2);
    blk_bench_fini(&f);
}
END_TEST

static uint8_t run_range(BlkBench *f, uint32_t type, uint64_t sector, uint32_t sectors,
                         uint32_t flags)
{
    BlkBenchRequest r = blk_bench_make(f, type, 0, 16);
    uint8_t *range = blk_bench_data(f, &r);

    store_le64(range, sector);
    store_le32(range + 8, sectors);
    store_le32(range + 12, flags);
    blk_bench_add(f, 0, &r, false);
    blk_bench_kick(f, 0);
    ck_assert_uint_eq(blk_bench_take_all(f, 0), 1);
    return blk_bench_status(f, &r);
}

START_TEST(discard_and_zeroes_reach_the_disk_with_their_flags)
{
    BlkBench f;

    blk_bench_init(&f, "drive=d");
    blk_bench_start(&f, USUAL_FEATURES);
    memset(f.fake->data, 0xff, DISK_BYTES);
    ck_assert_uint_eq(run_range(&f, T_DISCARD, 2, 2, 0), S_OK);
    ck_assert_int_eq(f.fake->last_op, BLOCK_DISCARD);
    ck_assert_uint_eq(f.fake->data[1023], 0xff);
    ck_assert_uint_eq(f.fake->data[1024], 0);
    ck_assert_uint_eq(f.fake->data[2047], 0);
    ck_assert_uint_eq(f.fake->data[2048], 0xff);
    ck_assert_uint_eq(run_range(&f, T_ZEROES, 8, 1, 0), S_OK);
    ck_assert_uint_eq(f.fake->last_flags & BLOCK_REQUEST_UNMAP, 0);
    ck_assert_uint_eq(run_range(&f, T_ZEROES, 8, 1, 1), S_OK);
    ck_assert_uint_ne(f.fake->last_flags & BLOCK_REQUEST_UNMAP, 0);
    ck_assert_uint_eq(run_range(&f, T_ZEROES, 8, 1, 2), S_UNSUPP);
    ck_assert_uint_eq(run_range(&f, T_DISCARD, 8, 1, 1), S_UNSUPP);
    ck_assert_uint_eq(run_range(&f, T_DISCARD, DISK_BYTES / 512, 1, 0), S_IOERR);
    ck_assert_uint_eq(run_range(&f, T_ZEROES, 0, UINT32_MAX, 0), S_IOERR);
    blk_bench_fini(&f);
}
END_TEST

START_TEST(what_was_not_negotiated_is_unsupported)
{
    BlkBench f;

    blk_bench_init(&f, "drive=d");
    blk_bench_start(&f, 0);
    ck_assert_uint_eq(run_range(&f, T_DISCARD, 2, 2, 0), S_UNSUPP);
    ck_assert_uint_eq(run_range(&f, T_ZEROES, 2, 2, 0), S_UNSUPP);
    blk_bench_fini(&f);
}
END_TEST

START_TEST(a_read_only_disk_says_so_and_refuses_writes)
{
    BlkBench f;
    FakeBlock *fake = fake_block_new(DISK_BYTES);

    fake->base.read_only = true;
    blk_bench_init_with(&f, "drive=d", fake);
    ck_assert_uint_ne(virtio_get_host_features(f.dev, 0) & BLK_FEATURE_RO, 0);
    ck_assert_uint_eq(virtio_get_host_features(f.dev, 0) & BLK_FEATURE_DISCARD, 0);
    blk_bench_start(&f, BLK_FEATURE_RO | BLK_FEATURE_FLUSH);
    ck_assert_uint_eq(blk_bench_run(&f, T_OUT, 0, 512, 1), S_IOERR);
    ck_assert_uint_eq(blk_bench_run(&f, T_IN, 0, 512, 1), S_OK);
    ck_assert_uint_eq(blk_bench_run(&f, T_FLUSH, 0, 0, 0), S_OK);
    blk_bench_fini(&f);
}
END_TEST

/* --- many at once --- */

START_TEST(a_batch_is_answered_with_one_interrupt)
{
    BlkBench f;
    BlkBenchRequest r[5];

    blk_bench_init(&f, "drive=d,packed=on");
    blk_bench_start(&f, USUAL_FEATURES | blk_bench_rings[_i]);
    f.fake->hold = true;
    for (unsigned i = 0; i < 5; i++) {
        r[i] = blk_bench_make(&f, T_IN, i, 512);
        blk_bench_add(&f, 0, &r[i], true);
    }
    blk_bench_kick(&f, 0);
    ck_assert_uint_eq(f.fake->held_count, 5);
    ck_assert_uint_eq(virt_driver_interrupts(f.driver), 0);
    fake_block_finish_all(f.fake, 0);
    ck_assert_uint_eq(virt_driver_interrupts(f.driver), 1);
    ck_assert_uint_eq(blk_bench_take_all(&f, 0), 5);
    blk_bench_fini(&f);
}
END_TEST

START_TEST(requests_may_end_in_any_order)
{
    BlkBench f;
    BlkBenchRequest r[4];

    blk_bench_init(&f, "drive=d,packed=on");
    blk_bench_start(&f, USUAL_FEATURES | blk_bench_rings[_i]);
    f.fake->hold = true;
    for (unsigned i = 0; i < 4; i++) {
        f.fake->data[i * 512] = (uint8_t)(i + 1);
        r[i] = blk_bench_make(&f, T_IN, i, 512);
        blk_bench_add(&f, 0, &r[i], true);
    }
    blk_bench_kick(&f, 0);
    fake_block_finish_newest(f.fake, 0);
    fake_block_finish_oldest(f.fake, EIO);
    fake_block_finish_newest(f.fake, 0);
    fake_block_finish_newest(f.fake, 0);
    ck_assert_uint_eq(blk_bench_take_all(&f, 0), 4);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(blk_bench_status(&f, &r[i]), i == 0 ? S_IOERR : S_OK);
        ck_assert_uint_eq(blk_bench_data(&f, &r[i])[0], i == 0 ? 0 : i + 1);
    }
    blk_bench_fini(&f);
}
END_TEST

START_TEST(every_queue_is_served_and_interrupts_for_itself)
{
    BlkBench f;
    BlkBenchRequest r[4];

    blk_bench_init(&f, "drive=d,num-queues=4");
    blk_bench_start(&f, USUAL_FEATURES | BLK_FEATURE_MQ);
    ck_assert_uint_eq(virtio_config_read(f.dev, BLK_CONFIG_NUM_QUEUES, 2), 4);
    for (unsigned i = 0; i < 4; i++) {
        r[i] = blk_bench_make(&f, T_OUT, i, 512);
        blk_bench_add(&f, i, &r[i], false);
        virt_driver_kick(f.driver, i);
    }
    blk_bench_settle(&f);
    ck_assert_uint_eq(virt_driver_interrupts(f.driver), 4);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(blk_bench_take_all(&f, i), 1);
        ck_assert_uint_eq(blk_bench_status(&f, &r[i]), S_OK);
    }
    blk_bench_fini(&f);
}
END_TEST

/* --- the write cache --- */

START_TEST(the_guest_chooses_between_write_back_and_write_through)
{
    BlkBench f;

    blk_bench_init(&f, "drive=d");
    blk_bench_start(&f, USUAL_FEATURES);
    ck_assert_uint_eq(virtio_config_read(f.dev, BLK_CONFIG_WRITEBACK, 1), 1);
    blk_bench_run(&f, T_OUT, 0, 512, 0);
    ck_assert_uint_eq(f.fake->last_flags & BLOCK_REQUEST_FUA, 0);
    virtio_config_write(f.dev, BLK_CONFIG_WRITEBACK, 1, 0);
    ck_assert_uint_eq(virtio_config_read(f.dev, BLK_CONFIG_WRITEBACK, 1), 0);
    blk_bench_run(&f, T_OUT, 0, 512, 0);
    ck_assert_uint_ne(f.fake->last_flags & BLOCK_REQUEST_FUA, 0);
    blk_bench_run(&f, T_IN, 0, 512, 0);
    ck_assert_uint_eq(f.fake->last_flags & BLOCK_REQUEST_FUA, 0);
    device_reset(&f.dev->base);
    ck_assert_uint_eq(virtio_config_read(f.dev, BLK_CONFIG_WRITEBACK, 1), 1);
    blk_bench_fini(&f);
}
END_TEST

START_TEST(a_driver_that_knows_no_flush_gets_safe_writes)
{
    BlkBench f;

    blk_bench_init(&f, "drive=d");
    blk_bench_start(&f, 0);
    blk_bench_run(&f, T_OUT, 0, 512, 0);
    ck_assert_uint_ne(f.fake->last_flags & BLOCK_REQUEST_FUA, 0);
    blk_bench_fini(&f);
}
END_TEST

START_TEST(the_rest_of_the_configuration_space_is_read_only)
{
    BlkBench f;

    blk_bench_init(&f, "drive=d");
    blk_bench_start(&f, USUAL_FEATURES);
    for (unsigned at = 0; at < BLK_CONFIG_BYTES; at++) {
        uint64_t before = virtio_config_read(f.dev, at, 1);

        if (at != BLK_CONFIG_WRITEBACK) {
            virtio_config_write(f.dev, at, 1, ~before);
            ck_assert_uint_eq(virtio_config_read(f.dev, at, 1), before);
        }
    }
    blk_bench_fini(&f);
}
END_TEST

START_TEST(the_configuration_space_tells_the_options)
{
    BlkBench f;

    blk_bench_init(&f, "drive=d,queue-size=64,num-queues=2,logical_block_size=1024,"
                       "physical_block_size=4096,min_io_size=4096,opt_io_size=64k");
    ck_assert_uint_eq(virtio_config_read(f.dev, BLK_CONFIG_CAPACITY, 8), DISK_BYTES / 512);
    ck_assert_uint_eq(virtio_config_read(f.dev, BLK_CONFIG_SEG_MAX, 4), 62);
    ck_assert_uint_eq(virtio_config_read(f.dev, BLK_CONFIG_BLK_SIZE, 4), 1024);
    ck_assert_uint_eq(virtio_config_read(f.dev, BLK_CONFIG_PHYSICAL_EXPONENT, 1), 2);
    ck_assert_uint_eq(virtio_config_read(f.dev, BLK_CONFIG_MIN_IO_SIZE, 2), 4);
    ck_assert_uint_eq(virtio_config_read(f.dev, BLK_CONFIG_OPT_IO_SIZE, 4), 64);
    ck_assert_uint_eq(virtio_config_read(f.dev, BLK_CONFIG_NUM_QUEUES, 2), 2);
    ck_assert_uint_eq(virtio_get_queue_max(f.dev, 1), 64);
    blk_bench_start(&f, USUAL_FEATURES | BLK_FEATURE_BLK_SIZE);
    ck_assert_uint_eq(blk_bench_run(&f, T_IN, 1, 1024, 0), S_IOERR);
    ck_assert_uint_eq(blk_bench_run(&f, T_IN, 2, 1024, 0), S_OK);
    blk_bench_fini(&f);
}
END_TEST

START_TEST(a_new_size_is_shown_and_told)
{
    BlkBench f;

    blk_bench_init(&f, "drive=d");
    blk_bench_start(&f, USUAL_FEATURES);

    uint32_t generation = virtio_config_generation(f.dev);

    atomic_store(&f.fake->base.size, DISK_BYTES / 2);
    f.fake->base.client.resized(f.fake->base.client.opaque);
    ck_assert_uint_eq(virtio_config_read(f.dev, BLK_CONFIG_CAPACITY, 8), DISK_BYTES / 1024);
    ck_assert_uint_ne(virtio_config_generation(f.dev), generation);
    ck_assert_uint_eq(virt_driver_config_interrupts(f.driver), 1);
    ck_assert_uint_eq(blk_bench_run(&f, T_IN, DISK_BYTES / 1024, 512, 0), S_IOERR);
    blk_bench_fini(&f);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("virtio_blk");
    int rings = BLK_BENCH_RINGS;

    tcase_add_loop_test(tc, what_the_guest_writes_is_on_the_disk_and_comes_back, 0, rings);
    tcase_add_test(tc, header_and_status_may_be_cut_anywhere);
    tcase_add_loop_test(tc, requests_that_make_no_sense_are_answered_and_go_nowhere, 0,
                        G_N_ELEMENTS(bad_requests));
    tcase_add_test(tc, a_chain_without_header_or_status_breaks_the_device_until_reset);
    tcase_add_test(tc, the_serial_is_read_whole_and_padded);
    tcase_add_test(tc, discard_and_zeroes_reach_the_disk_with_their_flags);
    tcase_add_test(tc, what_was_not_negotiated_is_unsupported);
    tcase_add_test(tc, a_read_only_disk_says_so_and_refuses_writes);
    tcase_add_loop_test(tc, a_batch_is_answered_with_one_interrupt, 0, rings);
    tcase_add_loop_test(tc, requests_may_end_in_any_order, 0, rings);
    tcase_add_test(tc, every_queue_is_served_and_interrupts_for_itself);
    tcase_add_test(tc, the_guest_chooses_between_write_back_and_write_through);
    tcase_add_test(tc, a_driver_that_knows_no_flush_gets_safe_writes);
    tcase_add_test(tc, the_rest_of_the_configuration_space_is_read_only);
    tcase_add_test(tc, the_configuration_space_tells_the_options);
    tcase_add_test(tc, a_new_size_is_shown_and_told);
    return suite_run("virtio_blk", tc);
}

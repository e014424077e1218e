/* SPDX-License-Identifier: Apache-2.0 */
/* The face of a block node, in front of a disk in memory. */
#include "devices/backend/block.h"

#include "devices/backend/block_io.h"
#include "tests/support/fake_block.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#define DISK_BYTES (64 * KIB)

typedef struct Fixture {
    Loop *loop;
    FakeBlock *fake;
    BlockBackend *blk;
    unsigned batches;
    unsigned resizes;
} Fixture;

typedef struct Probe {
    BlockRequest request;
    struct iovec iov;
    uint8_t data[4096];
    unsigned done;
    int error;
} Probe;

static void probe_done(BlockRequest *request, int error)
{
    Probe *probe = (Probe *)request;

    probe->done++;
    probe->error = error;
}

static void probe_submit(Fixture *f, Probe *probe, BlockOp op, uint64_t offset, uint64_t bytes)
{
    bool has_data = op == BLOCK_READ || op == BLOCK_WRITE;

    probe->done = 0;
    probe->iov = (struct iovec){.iov_base = probe->data, .iov_len = bytes};
    probe->request = (BlockRequest){.op = op,
                                    .offset = offset,
                                    .bytes = bytes,
                                    .iov = has_data ? &probe->iov : NULL,
                                    .iov_count = has_data,
                                    .done = probe_done};
    block_submit(f->blk, &probe->request);
}

static void count_batch(void *opaque)
{
    ((Fixture *)opaque)->batches++;
}

static void count_resize(void *opaque)
{
    ((Fixture *)opaque)->resizes++;
}

static Fixture *fixture_new(void)
{
    Fixture *f = g_new0(Fixture, 1);
    BlockClient client = {.batch_end = count_batch, .resized = count_resize, .opaque = f};

    f->loop = loop_new("test");
    f->fake = fake_block_new(DISK_BYTES);
    f->blk = &f->fake->base;
    block_set_client(f->blk, &client);
    block_attach(f->blk, f->loop);
    return f;
}

static void fixture_free(Fixture *f)
{
    block_close(f->blk);
    loop_free(f->loop);
    g_free(f);
}

START_TEST(what_was_written_is_read_back)
{
    Fixture *f = fixture_new();
    g_autofree Probe *probe = g_new0(Probe, 1);

    memset(probe->data, 0x5a, sizeof(probe->data));
    probe_submit(f, probe, BLOCK_WRITE, 4096, 4096);
    ck_assert_uint_eq(probe->done, 1);
    ck_assert_int_eq(probe->error, 0);
    memset(probe->data, 0, sizeof(probe->data));
    probe_submit(f, probe, BLOCK_READ, 4096, 4096);
    ck_assert_int_eq(probe->error, 0);
    ck_assert_int_eq(probe->data[4095], 0x5a);
    fixture_free(f);
}
END_TEST

typedef struct BadRequest {
    BlockOp op;
    uint64_t offset;
    uint64_t bytes;
} BadRequest;

static const BadRequest bad_requests[] = {
    {BLOCK_READ, DISK_BYTES, 512},
    {BLOCK_READ, DISK_BYTES - 512, 1024},
    {BLOCK_WRITE, UINT64_MAX - 511, 512},
    {BLOCK_WRITE, UINT64_MAX - 511, 1024},
    {BLOCK_READ, 1, 512},
    {BLOCK_READ, 0, 511},
    {BLOCK_DISCARD, 0, DISK_BYTES + 512},
    {BLOCK_WRITE_ZEROES, 512, DISK_BYTES},
};

START_TEST(requests_outside_the_disk_or_off_the_sectors_are_refused)
{
    Fixture *f = fixture_new();
    g_autofree Probe *probe = g_new0(Probe, 1);

    for (unsigned i = 0; i < G_N_ELEMENTS(bad_requests); i++) {
        probe_submit(f, probe, bad_requests[i].op, bad_requests[i].offset, bad_requests[i].bytes);
        ck_assert_uint_eq(probe->done, 1);
        ck_assert_int_eq(probe->error, EINVAL);
    }
    ck_assert_uint_eq(f->fake->submitted, 0);
    fixture_free(f);
}
END_TEST

START_TEST(buffers_that_do_not_sum_up_are_refused)
{
    Fixture *f = fixture_new();
    g_autofree Probe *probe = g_new0(Probe, 1);

    probe->iov = (struct iovec){.iov_base = probe->data, .iov_len = 512};
    probe->request = (BlockRequest){
        .op = BLOCK_READ, .bytes = 1024, .iov = &probe->iov, .iov_count = 1, .done = probe_done};
    block_submit(f->blk, &probe->request);
    ck_assert_int_eq(probe->error, EINVAL);
    ck_assert_uint_eq(f->fake->submitted, 0);
    fixture_free(f);
}
END_TEST

START_TEST(a_read_only_disk_refuses_every_kind_of_write)
{
    Fixture *f = fixture_new();
    g_autofree Probe *probe = g_new0(Probe, 1);

    f->blk->read_only = true;
    probe_submit(f, probe, BLOCK_WRITE, 0, 512);
    ck_assert_int_eq(probe->error, EROFS);
    probe_submit(f, probe, BLOCK_DISCARD, 0, 512);
    ck_assert_int_eq(probe->error, EROFS);
    probe_submit(f, probe, BLOCK_WRITE_ZEROES, 0, 512);
    ck_assert_int_eq(probe->error, EROFS);
    probe_submit(f, probe, BLOCK_READ, 0, 512);
    ck_assert_int_eq(probe->error, 0);
    probe_submit(f, probe, BLOCK_FLUSH, 0, 0);
    ck_assert_int_eq(probe->error, 0);
    fixture_free(f);
}
END_TEST

START_TEST(a_plugged_batch_ends_once)
{
    Fixture *f = fixture_new();
    g_autofree Probe *probes = g_new0(Probe, 8);

    block_plug(f->blk);
    for (unsigned i = 0; i < 8; i++) {
        probe_submit(f, &probes[i], BLOCK_READ, i * 512, 512);
    }
    ck_assert_uint_eq(f->batches, 0);
    block_unplug(f->blk);
    ck_assert_uint_eq(f->batches, 1);
    fixture_free(f);
}
END_TEST

START_TEST(drain_leaves_nothing_in_flight)
{
    Fixture *f = fixture_new();
    g_autofree Probe *probes = g_new0(Probe, 4);

    f->fake->hold = true;
    for (unsigned i = 0; i < 4; i++) {
        probe_submit(f, &probes[i], BLOCK_READ, i * 512, 512);
    }
    ck_assert_uint_eq(f->blk->in_flight, 4);
    block_drain(f->blk);
    ck_assert_uint_eq(f->blk->in_flight, 0);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(probes[i].done, 1);
    }
    fixture_free(f);
}
END_TEST

START_TEST(statistics_count_requests_bytes_errors_and_time)
{
    Fixture *f = fixture_new();
    g_autofree Probe *probe = g_new0(Probe, 1);
    BlockStats stats;

    probe_submit(f, probe, BLOCK_WRITE, 0, 4096);
    probe_submit(f, probe, BLOCK_WRITE, 0, 512);
    f->fake->fail_with = EIO;
    probe_submit(f, probe, BLOCK_READ, 0, 512);
    f->fake->fail_with = 0;
    f->fake->hold = true;
    probe_submit(f, probe, BLOCK_FLUSH, 0, 0);

    int64_t begin = loop_now_ns();

    while (loop_now_ns() - begin < 1000000) {
    }
    fake_block_finish_oldest(f->fake, 0);
    block_get_stats(f->blk, &stats);
    ck_assert_uint_eq(stats.op[BLOCK_WRITE].requests, 2);
    ck_assert_uint_eq(stats.op[BLOCK_WRITE].bytes, 4608);
    ck_assert_uint_eq(stats.op[BLOCK_READ].requests, 1);
    ck_assert_uint_eq(stats.op[BLOCK_READ].errors, 1);
    ck_assert_uint_eq(stats.op[BLOCK_READ].bytes, 0);
    ck_assert_uint_eq(stats.op[BLOCK_FLUSH].requests, 1);
    ck_assert_uint_ge(stats.op[BLOCK_FLUSH].total_ns, 1000000);
    fixture_free(f);
}
END_TEST

typedef struct Heard {
    unsigned times;
    BlockErrorPolicy action;
    json_object *data;
} Heard;

static void hear(void *opaque, const BlockErrorInfo *info)
{
    Heard *heard = opaque;

    heard->times++;
    heard->action = info->action;
    if (heard->data) {
        json_object_put(heard->data);
    }
    heard->data = block_error_event_data(info);
}

START_TEST(error_policies_choose_what_happens_and_the_machine_hears_of_it)
{
    Fixture *f = fixture_new();
    Heard heard = {0};

    f->blk->error_hook = (BlockErrorHook){.raise = hear, .opaque = &heard};
    f->blk->on_read_error = BLOCK_ERROR_IGNORE;
    f->blk->on_write_error = BLOCK_ERROR_ENOSPC;
    ck_assert_int_eq(block_error_action(f->blk, BLOCK_READ, EIO), BLOCK_ERROR_IGNORE);
    ck_assert_int_eq(block_error_action(f->blk, BLOCK_WRITE, EIO), BLOCK_ERROR_REPORT);
    ck_assert_int_eq(block_error_action(f->blk, BLOCK_FLUSH, ENOSPC), BLOCK_ERROR_STOP);
    ck_assert_uint_eq(heard.times, 3);
    ck_assert_str_eq(json_object_to_json_string_ext(heard.data, JSON_C_TO_STRING_PLAIN),
                     "{\"device\":\"fake0\",\"operation\":\"write\",\"action\":\"stop\","
                     "\"nospace\":true,\"reason\":\"No space left on device\"}");
    json_object_put(heard.data);
    fixture_free(f);
}
END_TEST

START_TEST(without_a_machine_that_could_stop_an_error_is_reported)
{
    Fixture *f = fixture_new();

    f->blk->on_write_error = BLOCK_ERROR_STOP;
    ck_assert_int_eq(block_error_action(f->blk, BLOCK_WRITE, EIO), BLOCK_ERROR_REPORT);
    fixture_free(f);
}
END_TEST

START_TEST(a_disk_that_cannot_change_its_size_says_so)
{
    Fixture *f = fixture_new();
    g_autoptr(GError) error = NULL;

    ck_assert(!block_resize(f->blk, 1 * MIB, &error));
    ck_assert_str_eq(error->message, "drive fake0: a fake node cannot change its size");
    ck_assert_uint_eq(f->resizes, 0);
    g_clear_error(&error);
    ck_assert(!block_resize(f->blk, 1000, &error));
    ck_assert_str_eq(error->message, "drive fake0: size 1000 is not a positive multiple of 512");
    fixture_free(f);
}
END_TEST

START_TEST(zero_test_sees_a_single_bit_anywhere)
{
    uint8_t data[100] = {0};
    struct iovec iov[2] = {{data, 33}, {data + 33, 67}};

    ck_assert(block_iov_is_zero(iov, 2));
    for (unsigned i = 0; i < sizeof(data); i++) {
        data[i] = 0x80;
        ck_assert(!block_iov_is_zero(iov, 2));
        data[i] = 0;
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("block");

    tcase_add_test(tc, what_was_written_is_read_back);
    tcase_add_test(tc, requests_outside_the_disk_or_off_the_sectors_are_refused);
    tcase_add_test(tc, buffers_that_do_not_sum_up_are_refused);
    tcase_add_test(tc, a_read_only_disk_refuses_every_kind_of_write);
    tcase_add_test(tc, a_plugged_batch_ends_once);
    tcase_add_test(tc, drain_leaves_nothing_in_flight);
    tcase_add_test(tc, statistics_count_requests_bytes_errors_and_time);
    tcase_add_test(tc, error_policies_choose_what_happens_and_the_machine_hears_of_it);
    tcase_add_test(tc, without_a_machine_that_could_stop_an_error_is_reported);
    tcase_add_test(tc, a_disk_that_cannot_change_its_size_says_so);
    tcase_add_test(tc, zero_test_sees_a_single_bit_anywhere);
    return suite_run("block", tc);
}

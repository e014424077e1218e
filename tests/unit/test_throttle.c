/* SPDX-License-Identifier: Apache-2.0 */
/* The buckets under a clock of the test's own, and the filter that uses them. */
#include "devices/backend/throttle.h"

#include "devices/backend/block_throttle.h"
#include "tests/support/fake_block.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"

#define SECOND  INT64_C(1000000000)
#define NO_WAIT 0

/* How many requests go in the next `seconds` seconds if there is always one more. */
static unsigned count_sent(Throttle *t, int64_t *now, unsigned seconds, bool is_write,
                           uint64_t bytes)
{
    int64_t end = *now + seconds * SECOND;
    unsigned sent = 0;

    for (;;) {
        int64_t wait = throttle_wait_ns(t, is_write, *now);

        if (*now + wait >= end) {
            *now = end;
            return sent;
        }
        *now += wait;
        if (wait == NO_WAIT) {
            throttle_account(t, is_write, bytes);
            sent++;
        }
    }
}

static Throttle throttle_with(ThrottleKind kind, ThrottleLimit limit)
{
    ThrottleConfig config = {0};
    Throttle t;

    config.limit[kind] = limit;
    throttle_init(&t, &config, 0);
    return t;
}

START_TEST(operations_settle_at_their_rate)
{
    Throttle t = throttle_with(THROTTLE_IOPS_TOTAL, (ThrottleLimit){.rate = 1000});
    int64_t now = 0;
    unsigned first = count_sent(&t, &now, 1, false, 4096);

    ck_assert_uint_ge(first, 1000);
    ck_assert_uint_le(first, 1102); /* and the tenth of a second that the bucket holds */
    ck_assert_uint_ge(count_sent(&t, &now, 10, true, 4096), 9999);
    ck_assert_uint_le(count_sent(&t, &now, 10, true, 4096), 10001);
}
END_TEST

START_TEST(bytes_settle_at_their_rate)
{
    Throttle t = throttle_with(THROTTLE_BPS_READ, (ThrottleLimit){.rate = 10 * MIB});
    int64_t now = 0;

    count_sent(&t, &now, 1, false, 64 * KIB);

    unsigned sent = count_sent(&t, &now, 10, false, 64 * KIB);

    ck_assert_uint_ge(sent, 1599);
    ck_assert_uint_le(sent, 1601);
}
END_TEST

START_TEST(a_limit_on_reads_lets_writes_go)
{
    Throttle t = throttle_with(THROTTLE_IOPS_READ, (ThrottleLimit){.rate = 1});

    throttle_account(&t, false, 512);
    throttle_account(&t, false, 512);
    ck_assert_int_gt(throttle_wait_ns(&t, false, 0), 0);
    ck_assert_int_eq(throttle_wait_ns(&t, true, 0), NO_WAIT);
}
END_TEST

START_TEST(a_burst_lasts_as_long_as_it_was_saved_for)
{
    Throttle t = throttle_with(THROTTLE_IOPS_TOTAL,
                               (ThrottleLimit){.rate = 100, .burst = 1000, .burst_seconds = 5});
    int64_t now = 0;
    unsigned burst = count_sent(&t, &now, 5, false, 4096);

    ck_assert_uint_ge(burst, 4900);
    ck_assert_uint_le(burst, 5110);
    count_sent(&t, &now, 2, false, 4096);

    unsigned after = count_sent(&t, &now, 10, false, 4096);

    ck_assert_uint_ge(after, 999);
    ck_assert_uint_le(after, 1001);
}
END_TEST

START_TEST(a_large_request_counts_as_several)
{
    ThrottleConfig config = {.iops_size = 4096};
    Throttle t;
    int64_t now = 0;

    config.limit[THROTTLE_IOPS_TOTAL].rate = 1000;
    throttle_init(&t, &config, 0);
    count_sent(&t, &now, 1, false, 40960);

    unsigned sent = count_sent(&t, &now, 10, false, 40960);

    ck_assert_uint_ge(sent, 999);
    ck_assert_uint_le(sent, 1001);
}
END_TEST

START_TEST(a_clock_that_stands_still_or_jumps_back_does_no_harm)
{
    Throttle t = throttle_with(THROTTLE_IOPS_TOTAL, (ThrottleLimit){.rate = 1});

    throttle_account(&t, false, 512);
    throttle_account(&t, false, 512);

    int64_t wait = throttle_wait_ns(&t, false, SECOND);

    ck_assert_int_eq(throttle_wait_ns(&t, false, SECOND), wait);
    ck_assert_int_eq(throttle_wait_ns(&t, false, 0), wait);
}
END_TEST

typedef struct Contradiction {
    ThrottleConfig config;
    const char *message;
} Contradiction;

static const Contradiction contradictions[] = {
    {{.limit[THROTTLE_BPS_TOTAL] = {.rate = 1}, .limit[THROTTLE_BPS_READ] = {.rate = 1}},
     "throttling.bps-total excludes throttling.bps-read and bps-write"},
    {{.limit[THROTTLE_IOPS_TOTAL] = {.rate = 1}, .limit[THROTTLE_IOPS_WRITE] = {.rate = 1}},
     "throttling.iops-total excludes throttling.iops-read and iops-write"},
    {{.limit[THROTTLE_IOPS_TOTAL] = {.burst = 5}},
     "throttling.iops-total-max needs throttling.iops-total"},
    {{.limit[THROTTLE_IOPS_TOTAL] = {.rate = 6, .burst = 5}},
     "throttling.iops-total-max: 5 is below throttling.iops-total, 6"},
    {{.limit[THROTTLE_BPS_READ] = {.rate = 6, .burst_seconds = 5}},
     "throttling.bps-read-max-length needs throttling.bps-read-max"},
    {{.iops_size = 4096, .limit[THROTTLE_BPS_READ] = {.rate = 6}},
     "throttling.iops-size needs a limit on operations, such as throttling.iops-total"},
};

START_TEST(limits_that_contradict_each_other_are_refused_by_name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(contradictions); i++) {
        g_autoptr(GError) error = NULL;

        ck_assert(!throttle_check_config(&contradictions[i].config, &error));
        ck_assert_str_eq(error->message, contradictions[i].message);
    }
}
END_TEST

/* --- the filter --- */

typedef struct Fixture {
    Loop *loop;
    FakeBlock *fake;
    BlockBackend *blk;
    unsigned done;
    unsigned wanted;
} Fixture;

typedef struct Probe {
    BlockRequest request;
    struct iovec iov;
    Fixture *fixture;
    uint8_t data[512];
} Probe;

static void probe_done(BlockRequest *request, int error)
{
    Fixture *f = ((Probe *)request)->fixture;

    ck_assert_int_eq(error, 0);
    if (++f->done == f->wanted) {
        loop_quit(f->loop);
    }
}

static void probe_submit(Fixture *f, Probe *probe, BlockOp op)
{
    probe->fixture = f;
    probe->iov = (struct iovec){.iov_base = probe->data, .iov_len = sizeof(probe->data)};
    probe->request = (BlockRequest){
        .op = op, .bytes = 512, .iov = &probe->iov, .iov_count = 1, .done = probe_done};
    block_submit(f->blk, &probe->request);
}

static void fixture_init(Fixture *f, uint64_t iops)
{
    ThrottleConfig config = {0};

    config.limit[THROTTLE_IOPS_TOTAL].rate = iops;
    f->loop = loop_new("test");
    f->fake = fake_block_new(64 * KIB);
    f->blk = block_throttle_new(&f->fake->base, &config);
    f->blk->id = g_strdup("d");
    block_attach(f->blk, f->loop);
}

static void fixture_fini(Fixture *f)
{
    block_close(f->blk);
    loop_free(f->loop);
}

START_TEST(the_filter_holds_back_and_lets_go_by_itself)
{
    Fixture f = {.wanted = 60};
    g_autofree Probe *probes = g_new0(Probe, 60);
    int64_t begin = loop_now_ns();

    fixture_init(&f, 200);
    for (unsigned i = 0; i < 60; i++) {
        probe_submit(&f, &probes[i], i % 2 ? BLOCK_READ : BLOCK_WRITE);
    }
    /* 20 fill the bucket, one more tips it over, the other 39 wait 5 ms each. */
    ck_assert_uint_ge(f.done, 21);
    ck_assert_uint_le(f.done, 30);
    loop_run(f.loop);
    ck_assert_uint_eq(f.done, 60);
    ck_assert_int_ge(loop_now_ns() - begin, 190 * SECOND / 1000);
    fixture_fini(&f);
}
END_TEST

START_TEST(drain_sends_what_was_held_back)
{
    Fixture f = {.wanted = 1000};
    g_autofree Probe *probes = g_new0(Probe, 50);

    fixture_init(&f, 1);
    for (unsigned i = 0; i < 50; i++) {
        probe_submit(&f, &probes[i], BLOCK_WRITE);
    }
    ck_assert_uint_le(f.done, 3);
    block_drain(f.blk);
    ck_assert_uint_eq(f.done, 50);
    fixture_fini(&f);
}
END_TEST

START_TEST(taking_the_limit_away_sends_what_was_held_back)
{
    Fixture f = {.wanted = 1000};
    g_autofree Probe *probes = g_new0(Probe, 50);
    ThrottleConfig none = {0};

    fixture_init(&f, 1);
    for (unsigned i = 0; i < 50; i++) {
        probe_submit(&f, &probes[i], i % 2 ? BLOCK_READ : BLOCK_WRITE);
    }
    ck_assert(block_throttle_set(f.blk, &none, NULL));
    ck_assert_uint_eq(f.done, 50);
    ck_assert_uint_eq(block_throttle_get(f.blk).limit[THROTTLE_IOPS_TOTAL].rate, 0);
    fixture_fini(&f);
}
END_TEST

START_TEST(a_flush_is_not_held_back)
{
    Fixture f = {.wanted = 1000};
    g_autofree Probe *probes = g_new0(Probe, 11);

    fixture_init(&f, 1);
    for (unsigned i = 0; i < 10; i++) {
        probe_submit(&f, &probes[i], BLOCK_WRITE);
    }

    unsigned before = f.done;

    probe_submit(&f, &probes[10], BLOCK_FLUSH);
    ck_assert_uint_eq(f.done, before + 1);
    block_drain(f.blk);
    fixture_fini(&f);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("throttle");

    tcase_add_test(tc, operations_settle_at_their_rate);
    tcase_add_test(tc, bytes_settle_at_their_rate);
    tcase_add_test(tc, a_limit_on_reads_lets_writes_go);
    tcase_add_test(tc, a_burst_lasts_as_long_as_it_was_saved_for);
    tcase_add_test(tc, a_large_request_counts_as_several);
    tcase_add_test(tc, a_clock_that_stands_still_or_jumps_back_does_no_harm);
    tcase_add_test(tc, limits_that_contradict_each_other_are_refused_by_name);
    tcase_add_test(tc, the_filter_holds_back_and_lets_go_by_itself);
    tcase_add_test(tc, drain_sends_what_was_held_back);
    tcase_add_test(tc, taking_the_limit_away_sends_what_was_held_back);
    tcase_add_test(tc, a_flush_is_not_held_back);
    return suite_run("throttle", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "util/trace.h"

#include "tests/unit/suite.h"
#include "util/fd.h"
#include "util/log.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int log_file;

static void set_up(void)
{
    log_file = memfd_create("log", MFD_CLOEXEC);
    log_init(log_file, LOG_LEVEL_ERROR);
}

static void tear_down(void)
{
    for (unsigned i = 0; i < TRACE_COUNT; i++) {
        trace_set((TracePoint)i, false);
    }
    fd_close(&log_file);
}

static char *logged(void)
{
    off_t size = lseek(log_file, 0, SEEK_END);
    char *text = g_malloc0((gsize)size + 1);

    ck_assert(fd_pread_all(log_file, "log", text, (size_t)size, 0, NULL));
    return text;
}

static int evaluated;

static int evaluate(void)
{
    return ++evaluated;
}

START_TEST(a_point_that_is_off_evaluates_and_writes_nothing)
{
    g_autofree char *text = NULL;

    evaluated = 0;
    TRACE(virtio_kick, "%d", evaluate());
    text = logged();
    ck_assert_int_eq(evaluated, 0);
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(a_point_that_is_on_writes_one_line_with_time_and_thread)
{
    g_autofree char *text = NULL;
    g_autofree char *end = g_strdup_printf(" [%d] virtio_kick disk 7\n", (int)getpid());

    trace_set(TRACE_virtio_kick, true);
    ck_assert(trace_get(TRACE_virtio_kick));
    ck_assert(!trace_get(TRACE_virtio_pop));
    TRACE(virtio_kick, "disk %d", 7);
    TRACE(virtio_pop, "disk %d", 8);
    text = logged();
    ck_assert(g_str_has_prefix(text, "stencil: trace: "));
    ck_assert_msg(g_str_has_suffix(text, end), "%s", text);
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

START_TEST(points_are_found_by_pattern_and_explained)
{
    unsigned found = 0;

    for (unsigned i = 0; i < TRACE_COUNT; i++) {
        found += trace_matches((TracePoint)i, "virtio_*");
        ck_assert_uint_gt(strlen(trace_help((TracePoint)i)), 0);
        ck_assert(trace_matches((TracePoint)i, trace_name((TracePoint)i)));
        ck_assert(i == 0 || strcmp(trace_name((TracePoint)(i - 1)), trace_name((TracePoint)i)) < 0);
    }
    ck_assert_uint_eq(found, 5);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("trace");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_point_that_is_off_evaluates_and_writes_nothing);
    tcase_add_test(tc, a_point_that_is_on_writes_one_line_with_time_and_thread);
    tcase_add_test(tc, points_are_found_by_pattern_and_explained);
    return suite_run("trace", tc);
}

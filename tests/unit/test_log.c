/* SPDX-License-Identifier: Apache-2.0 */
#include "util/log.h"

#include "tests/unit/suite.h"
#include "util/fd.h"
#include "util/loop.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Sends the log to a file in memory, opened as -D opens one: every write goes to the end. */
static int log_to_memory(LogLevel level)
{
    int fd = memfd_create("log", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
    log_init(fd, level);
    return fd;
}

static char *log_text(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = g_malloc0((size_t)size + 1);

    ck_assert(fd_pread_all(fd, "log", text, (size_t)size, 0, NULL));
    return text;
}

static unsigned count_lines(const char *text)
{
    unsigned lines = 0;

    for (; *text; text++) {
        lines += *text == '\n';
    }
    return lines;
}

START_TEST(a_line_has_its_level_and_ends)
{
    auto_fd int fd = log_to_memory(LOG_LEVEL_DEBUG);

    log_line(LOG_LEVEL_ERROR, "lost %d", 3);
    log_line(LOG_LEVEL_DEBUG, "found");

    g_autofree char *text = log_text(fd);

    ck_assert_str_eq(text, "stencil: error: lost 3\nstencil: debug: found\n");
}
END_TEST

START_TEST(lines_below_the_level_are_dropped)
{
    auto_fd int fd = log_to_memory(LOG_LEVEL_WARNING);

    log_line(LOG_LEVEL_INFO, "no");
    log_line(LOG_LEVEL_WARNING, "yes");

    g_autofree char *text = log_text(fd);

    ck_assert_str_eq(text, "stencil: warning: yes\n");
}
END_TEST

START_TEST(what_a_guest_repeats_is_held_back)
{
    auto_fd int fd = log_to_memory(LOG_LEVEL_WARNING);
    LogLimit limit = {0};

    for (unsigned i = 0; i < 1000; i++) {
        log_limited(&limit, LOG_LEVEL_WARNING, "again %u", i);
    }

    g_autofree char *text = log_text(fd);

    /* A machine so slow that this takes seconds gets a few more. */
    ck_assert_uint_ge(count_lines(text), 5);
    ck_assert_uint_lt(count_lines(text), 100);
    ck_assert_ptr_nonnull(strstr(text, "again 0\n"));
    ck_assert_uint_gt(limit.held_back, 0);
}
END_TEST

START_TEST(the_next_second_says_how_many_were_held_back)
{
    auto_fd int fd = log_to_memory(LOG_LEVEL_WARNING);
    LogLimit limit = {.window_start_ns = loop_now_ns() - INT64_C(2000000000), .held_back = 41};

    log_limited(&limit, LOG_LEVEL_WARNING, "later");

    g_autofree char *text = log_text(fd);

    ck_assert_str_eq(text, "stencil: warning: 41 more messages of this kind were held back\n"
                           "stencil: warning: later\n");
    ck_assert_uint_eq(limit.held_back, 0);
}
END_TEST

START_TEST(each_source_of_complaints_has_its_own_budget)
{
    auto_fd int fd = log_to_memory(LOG_LEVEL_WARNING);
    LogLimit noisy = {0};
    LogLimit quiet = {0};

    for (unsigned i = 0; i < 100; i++) {
        log_limited(&noisy, LOG_LEVEL_WARNING, "noise");
    }
    log_limited(&quiet, LOG_LEVEL_WARNING, "rare");

    g_autofree char *text = log_text(fd);

    ck_assert_ptr_nonnull(strstr(text, "rare\n"));
}
END_TEST

static void *log_thread(void *opaque)
{
    for (unsigned i = 0; i < 200; i++) {
        log_line(LOG_LEVEL_ERROR, "thread %s line %u", (const char *)opaque, i);
    }
    return NULL;
}

START_TEST(lines_of_threads_do_not_mix)
{
    auto_fd int fd = log_to_memory(LOG_LEVEL_ERROR);
    static char names[][2] = {"a", "b", "c"};
    GThread *threads[G_N_ELEMENTS(names)];

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        threads[i] = g_thread_new("logger", log_thread, names[i]);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_thread_join(threads[i]);
    }

    g_autofree char *text = log_text(fd);
    g_auto(GStrv) lines = g_strsplit(text, "\n", /* max_tokens= */ -1);

    ck_assert_uint_eq(count_lines(text), 600);
    for (size_t i = 0; lines[i] && lines[i][0] != '\0'; i++) {
        ck_assert_msg(g_str_has_prefix(lines[i], "stencil: error: thread "), "%s", lines[i]);
        ck_assert_uint_le(strlen(lines[i]), strlen("stencil: error: thread a line 199"));
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log");

    tcase_add_test(tc, a_line_has_its_level_and_ends);
    tcase_add_test(tc, lines_below_the_level_are_dropped);
    tcase_add_test(tc, what_a_guest_repeats_is_held_back);
    tcase_add_test(tc, the_next_second_says_how_many_were_held_back);
    tcase_add_test(tc, each_source_of_complaints_has_its_own_budget);
    tcase_add_test(tc, lines_of_threads_do_not_mix);
    return suite_run("log", tc);
}

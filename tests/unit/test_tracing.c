/* SPDX-License-Identifier: Apache-2.0 */
/* -trace, from the command line to the lines that it brings. */
#include "machine/tracing.h"

#include "machine/options.h"
#include "tests/unit/suite.h"
#include "util/trace.h"

#include <string.h>
#include <unistd.h>

static char *folder;
static char *events;
static char *file;

static void set_up(void)
{
    folder = g_dir_make_tmp("stencil-tracing-XXXXXX", NULL);
    events = g_build_filename(folder, "events", NULL);
    file = g_build_filename(folder, "file", NULL);
}

static void tear_down(void)
{
    unlink(events);
    unlink(file);
    rmdir(folder);
    g_free(events);
    g_free(file);
    g_free(folder);
}

/* values ends with NULL. */
static VmConfig *parse(const char *const *values, char **ret_text, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(VmConfig) config = vm_config_new();
    OptionsOutcome outcome = {0};

    g_ptr_array_add(argv, g_strdup("stencil"));
    for (size_t i = 0; values[i]; i++) {
        g_ptr_array_add(argv, g_strdup("-trace"));
        g_ptr_array_add(argv, g_strdup(values[i]));
    }
    g_ptr_array_add(argv, NULL);
    if (!options_parse((int)argv->len - 1, (char **)argv->pdata, config, &outcome, error)) {
        return NULL;
    }
    *ret_text = outcome.text;
    return g_steal_pointer(&config);
}

static bool begin(const char *const *values, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(VmConfig) config = parse(values, &text, error);

    return config && tracing_begin(config, error);
}

static void expect_error(const char *value, const char *expected)
{
    const char *const values[] = {value, NULL};
    g_autoptr(GError) error = NULL;

    ck_assert(!begin(values, &error));
    ck_assert_str_eq(error->message, expected);
    ck_assert(!trace_get(TRACE_vm_state));
}

START_TEST(points_are_switched_in_the_order_of_the_command_line)
{
    static const char *const values[] = {"virtio_*", "enable=-virtio_p*", "virtio_pop",
                                         "nosuch*",  "vm_stat?",          NULL};

    ck_assert(begin(values, NULL));
    ck_assert(trace_get(TRACE_virtio_kick));
    ck_assert(trace_get(TRACE_virtio_pop));
    ck_assert(!trace_get(TRACE_virtio_push));
    ck_assert(trace_get(TRACE_vm_state));
    ck_assert(!trace_get(TRACE_qmp_event));
}
END_TEST

START_TEST(a_file_has_one_a_line)
{
    g_autofree char *value = g_strconcat("qmp_event,events=", events, NULL);
    const char *const values[] = {value, NULL};

    ck_assert(g_file_set_contents(events, "# all\n\n  block_*\n-block_done\nvm_state", -1, NULL));
    ck_assert(begin(values, NULL));
    ck_assert(trace_get(TRACE_block_submit));
    ck_assert(!trace_get(TRACE_block_done));
    ck_assert(trace_get(TRACE_vm_state));
    ck_assert(trace_get(TRACE_qmp_event));
}
END_TEST

START_TEST(what_is_wrong_is_named)
{
    g_autofree char *value = g_strconcat("events=", events, NULL);
    g_autofree char *line =
        g_strdup_printf("-trace events=%s: line 2: there is no tracepoint 'bad': expected one of "
                        "those that -trace help lists, or a pattern with * or ?",
                        events);

    expect_error("nosuch", "-trace: there is no tracepoint 'nosuch': expected one of those that "
                           "-trace help lists, or a pattern with * or ?");
    expect_error("-", "-trace: there is no tracepoint '': expected one of those that -trace help "
                      "lists, or a pattern with * or ?");
    expect_error("type=all", "-trace: trace: unknown property 'type'");
    expect_error("file=/no/x",
                 "-trace: cannot open '/no/x' for writing: No such file or directory");
    ck_assert(g_file_set_contents(events, "qmp_event\nbad\nvm_state\n", -1, NULL));
    expect_error(value, line);
}
END_TEST

START_TEST(lines_go_to_the_file_behind_what_is_there)
{
    g_autofree char *value = g_strconcat("vm_state,file=", file, NULL);
    const char *const values[] = {"file=/no/x", value, NULL};
    g_autofree char *end = g_strdup_printf(" [%d] vm_state paused 7\n", (int)getpid());
    g_autofree char *content = NULL;

    ck_assert(g_file_set_contents(file, "old\n", -1, NULL));
    ck_assert(begin(values, NULL));
    TRACE(vm_state, "%s %d", "paused", 7);
    TRACE(qmp_event, "RESUME");
    ck_assert(g_file_get_contents(file, &content, NULL, NULL));
    ck_assert(g_str_has_prefix(content, "old\n"));
    ck_assert_msg(g_str_has_suffix(content, end), "%s", content);
    ck_assert_ptr_eq(strchr(content + 4, '\n'), content + strlen(content) - 1);
}
END_TEST

START_TEST(help_lists_all)
{
    static const char *const forms[] = {"help", "?"};

    for (size_t f = 0; f < G_N_ELEMENTS(forms); f++) {
        const char *const values[] = {forms[f], NULL};
        g_autofree char *text = NULL;
        g_autoptr(VmConfig) config = parse(values, &text, NULL);

        ck_assert_ptr_nonnull(config);
        for (unsigned i = 0; i < TRACE_COUNT; i++) {
            ck_assert_ptr_nonnull(strstr(text, trace_name((TracePoint)i)));
            ck_assert_ptr_nonnull(strstr(text, trace_help((TracePoint)i)));
        }
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("tracing");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, points_are_switched_in_the_order_of_the_command_line);
    tcase_add_test(tc, a_file_has_one_a_line);
    tcase_add_test(tc, what_is_wrong_is_named);
    tcase_add_test(tc, lines_go_to_the_file_behind_what_is_there);
    tcase_add_test(tc, help_lists_all);
    return suite_run("tracing", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Every envelope, every mistake and every recovery, against what QEMU answered. */
#include "tests/support/qmp_bench.h"
#include "tests/unit/suite.h"

#include <string.h>

static QmpBench bench;

static void set_up(void)
{
    qmp_bench_begin(&bench, NULL);
}

static void tear_down(void)
{
    qmp_bench_end(&bench);
}

typedef struct Case {
    int line;
    bool negotiated;
    bool oob;
    GString *input;
    GString *expected;
    size_t last_line; /* where the last line of expected begins */
} Case;

static void case_fini(void *opaque)
{
    Case *c = opaque;

    g_string_free(c->input, TRUE);
    g_string_free(c->expected, TRUE);
}

static void append_unescaped(GString *out, const char *text)
{
    while (*text) {
        if (*text != '\\') {
            g_string_append_c(out, *text++);
        } else if (text[1] == 'x') {
            g_string_append_c(
                out, (char)(g_ascii_xdigit_value(text[2]) << 4 | g_ascii_xdigit_value(text[3])));
            text += 4;
        } else {
            g_string_append_c(out, text[1]);
            text += 2;
        }
    }
}

static void read_line(GArray *cases, const char *line, int number)
{
    Case *c = cases->len > 0 ? &g_array_index(cases, Case, cases->len - 1) : NULL;
    Case fresh = {.line = number};

    switch (line[0]) {
    case '@':
        fresh.negotiated = strcmp(line, "@ fresh") != 0;
        fresh.oob = strcmp(line, "@ oob") == 0;
        fresh.input = g_string_new(NULL);
        fresh.expected = g_string_new(NULL);
        g_array_append_val(cases, fresh);
        break;
    case '>':
        append_unescaped(c->input, line + 2);
        break;
    case '!':
        g_string_truncate(c->expected, c->last_line);
        g_string_append_printf(c->expected, "%s\r\n", line + 2);
        break;
    case '<':
        c->last_line = c->expected->len;
        g_string_append_printf(c->expected, "%s\r\n", line + 2);
        break;
    default:
        break;
    }
}

static GArray *read_cases(void)
{
    GArray *cases = g_array_new(FALSE, FALSE, sizeof(Case));
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    g_autoptr(GError) error = NULL;

    g_array_set_clear_func(cases, case_fini);
    g_file_get_contents(QMP_VECTORS "/qmp_transcript.txt", &text, NULL, &error);
    ck_assert(!error);
    lines = g_strsplit(text, "\n", -1);
    for (int i = 0; lines[i]; i++) {
        read_line(cases, lines[i], i + 1);
    }
    return cases;
}

/* What the recording client sent behind each input, so that the next answer is the last one. */
#define RESYNC "\x01\n\x01"

static void replay(const Case *c, size_t piece)
{
    g_autoptr(QmpSession) session = qmp_bench_session(&bench, c->negotiated, c->oob);
    g_autoptr(GString) input = g_string_new_len(c->input->str, (gssize)c->input->len);
    g_autofree char *got = NULL;

    g_string_append(input, RESYNC);
    got = qmp_bench_talk(session, input->str, input->len, piece);
    ck_assert_msg(strcmp(got, c->expected->str) == 0, "case in line %d, pieces of %zu:\n%s",
                  c->line, piece, got);
}

START_TEST(recorded_inputs_have_the_recorded_answers)
{
    g_autoptr(GArray) cases = read_cases();

    ck_assert_uint_ge(cases->len, 150);
    for (guint i = 0; i < cases->len; i++) {
        replay(&g_array_index(cases, Case, i), SIZE_MAX);
    }
}
END_TEST

START_TEST(it_does_not_matter_how_input_is_cut_into_pieces)
{
    g_autoptr(GArray) cases = read_cases();

    for (guint i = 0; i < cases->len; i++) {
        replay(&g_array_index(cases, Case, i), 1);
        replay(&g_array_index(cases, Case, i), 3);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("qmp_transcript");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, recorded_inputs_have_the_recorded_answers);
    tcase_add_test(tc, it_does_not_matter_how_input_is_cut_into_pieces);
    return suite_run("qmp_transcript", tc);
}

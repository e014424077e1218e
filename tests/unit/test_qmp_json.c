/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of the stream parser, and the writer. */
#include "qmp/json_stream.h"

#include "qmp/json_text.h"
#include "tests/unit/suite.h"

#include <string.h>

static json_object *parse(const char *text)
{
    g_autoptr(JsonStream) stream = json_stream_new();
    json_object *value = NULL;
    size_t used;
    JsonStreamResult result =
        json_stream_read(stream, text, strlen(text), &used, &value, /* error= */ NULL);

    ck_assert_int_eq(result, JSON_STREAM_VALUE);
    return value;
}

static char *write_back(const char *text, bool pretty)
{
    g_autoptr(json_object) value = parse(text);
    GString *out = g_string_new(NULL);

    json_append(out, value, pretty);
    return g_string_free(out, /* free_segment= */ FALSE);
}

/* Reads all of text and counts results; the last error's message is the caller's. */
static unsigned count(JsonStream *stream, const char *text, size_t len, JsonStreamResult what,
                      char **ret_message)
{
    unsigned found = 0;

    while (len > 0) {
        g_autoptr(json_object) value = NULL;
        g_autoptr(GError) error = NULL;
        size_t used;

        if (json_stream_read(stream, text, len, &used, &value, &error) == what) {
            found++;
        }
        if (error && ret_message) {
            g_free(*ret_message);
            *ret_message = g_strdup(error->message);
        }
        text += used;
        len -= used;
    }
    return found;
}

START_TEST(a_value_that_is_too_long_is_one_error_and_the_next_one_works)
{
    g_autoptr(JsonStream) stream = json_stream_new();
    g_autofree char *message = NULL;
    g_autofree char *long_text = g_malloc(JSON_STREAM_MAX_BYTES + 4096);

    memset(long_text, 'a', JSON_STREAM_MAX_BYTES + 4096);
    memcpy(long_text, "{\"x\":\"", 6);
    ck_assert_uint_eq(
        count(stream, long_text, JSON_STREAM_MAX_BYTES + 4096, JSON_STREAM_ERROR, &message), 1);
    ck_assert_str_eq(message, "JSON token size limit exceeded");
    ck_assert_uint_lt(json_stream_pending(stream), 4096);
    ck_assert_uint_eq(count(stream, "\"\n{}", 4, JSON_STREAM_VALUE, NULL), 1);
}
END_TEST

START_TEST(a_value_of_too_many_parts_is_an_error)
{
    g_autoptr(JsonStream) stream = json_stream_new();
    g_autofree char *message = NULL;
    g_autofree char *text = g_malloc(JSON_STREAM_MAX_TOKENS + 1);

    memset(text, ',', JSON_STREAM_MAX_TOKENS + 1);
    text[0] = '[';
    ck_assert_uint_eq(count(stream, text, JSON_STREAM_MAX_TOKENS + 1, JSON_STREAM_ERROR, &message),
                      1);
    ck_assert_str_eq(message, "JSON token count limit exceeded");
}
END_TEST

START_TEST(the_deepest_value_that_is_allowed_is_read)
{
    g_autofree char *text = g_malloc0(2 * JSON_STREAM_MAX_DEPTH + 1);

    memset(text, '[', JSON_STREAM_MAX_DEPTH);
    memset(text + JSON_STREAM_MAX_DEPTH, ']', JSON_STREAM_MAX_DEPTH);
    json_object_put(parse(text));
}
END_TEST

START_TEST(a_large_value_leaves_no_memory_behind)
{
    g_autoptr(JsonStream) stream = json_stream_new();
    g_autofree char *text = g_strnfill(1 << 20, ' ');

    memset(text + 2, 'x', (1 << 20) - 3);
    text[0] = '{';
    text[1] = '"';
    count(stream, text, 1 << 20, JSON_STREAM_VALUE, NULL);
    ck_assert_uint_gt(json_stream_pending(stream), 1 << 19);
    ck_assert_uint_eq(count(stream, "\":1}", 4, JSON_STREAM_VALUE, NULL), 1);
    ck_assert_uint_eq(json_stream_pending(stream), 0);
}
END_TEST

START_TEST(output_is_ascii_on_one_line)
{
    g_autofree char *text =
        write_back("{\"a\":[1,{},[],null,true,-2.5],\"\xC3\xA9\":\"\xF0\x9F\x98\x80\\n\"}", false);

    ck_assert_str_eq(text, "{\"a\": [1, {}, [], null, true, -2.5], \"\\u00E9\": "
                           "\"\\uD83D\\uDE00\\n\"}");
}
END_TEST

START_TEST(pretty_output_has_four_spaces_a_level)
{
    g_autofree char *text = write_back("{\"a\":[1,{}],\"b\":[]}", true);

    ck_assert_str_eq(text, "{\r\n"
                           "    \"a\": [\r\n"
                           "        1,\r\n"
                           "        {\r\n"
                           "        }\r\n"
                           "    ],\r\n"
                           "    \"b\": [\r\n"
                           "    ]\r\n"
                           "}");
}
END_TEST

START_TEST(strings_that_are_no_utf8_are_written_with_the_replacement_character)
{
    g_autoptr(GString) out = g_string_new(NULL);

    json_append_string(out, "a\xFF\xC3\xED\xA0\x80z");
    ck_assert_str_eq(out->str, "\"a\\uFFFD\\uFFFD\\uFFFDz\"");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("qmp_json");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_value_that_is_too_long_is_one_error_and_the_next_one_works);
    tcase_add_test(tc, a_value_of_too_many_parts_is_an_error);
    tcase_add_test(tc, the_deepest_value_that_is_allowed_is_read);
    tcase_add_test(tc, a_large_value_leaves_no_memory_behind);
    tcase_add_test(tc, output_is_ascii_on_one_line);
    tcase_add_test(tc, pretty_output_has_four_spaces_a_level);
    tcase_add_test(tc, strings_that_are_no_utf8_are_written_with_the_replacement_character);
    return suite_run("qmp_json", tc);
}

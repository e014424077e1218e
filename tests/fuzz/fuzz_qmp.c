/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session reads the input: the stream parser, the envelope, and the arguments of every command.
 * The first byte chooses the size of the pieces it comes in.  Commands are looked up and their
 * arguments read, but none is run: what they do to a VM is their own tests' business.
 */
#include "qmp/arguments.h"
#include "qmp/json_stream.h"
#include "qmp/json_text.h"
#include "qmp/schema.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_object *write_and_read(json_object *value, GString *out)
{
    g_autoptr(JsonStream) stream = json_stream_new();
    json_object *again = NULL;
    size_t used;
    JsonStreamResult result;

    json_append(out, value, /* pretty= */ false);
    g_string_append_c(out, '\n');
    result = json_stream_read(stream, out->str, out->len, &used, &again, NULL);
    g_assert(result == JSON_STREAM_VALUE);
    return again;
}

/* What is written is understood, and stays the same from then on (-0.0 becomes -0, and that 0). */
static void round_trip(json_object *value)
{
    g_autoptr(GString) a = g_string_new(NULL);
    g_autoptr(GString) b = g_string_new(NULL);
    g_autoptr(GString) c = g_string_new(NULL);
    g_autoptr(json_object) second = write_and_read(value, a);
    g_autoptr(json_object) third = write_and_read(second, b);

    json_object_put(write_and_read(third, c));
    g_assert(g_string_equal(b, c));
}

static void read_arguments(const QmpCommand *command, json_object *object)
{
    g_auto(QmpArguments) arguments = {0};
    g_autoptr(GError) error = NULL;
    bool ok = qmp_arguments_read(&arguments, command->arguments, object, &error);

    g_assert(ok == (error == NULL));
}

/* An object goes to the command that it names, or, naming none, to all of them. */
static void consider(json_object *value)
{
    json_object *name = NULL;
    json_object *arguments = NULL;
    const QmpCommand *command;

    if (!json_object_is_type(value, json_type_object)) {
        return;
    }
    if (json_object_object_get_ex(value, "execute", &name) &&
        json_object_is_type(name, json_type_string)) {
        command = qmp_command_find(json_object_get_string(name));
        json_object_object_get_ex(value, "arguments", &arguments);
        if (command && json_object_is_type(arguments, json_type_object)) {
            read_arguments(command, arguments);
        }
        return;
    }
    for (size_t i = 0; i < qmp_num_commands; i++) {
        read_arguments(&qmp_commands[i], value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(JsonStream) stream = json_stream_new();
    size_t piece;

    if (size == 0) {
        return 0;
    }
    piece = (size_t)data[0] + 1;
    for (size_t i = 1; i < size;) {
        g_autoptr(json_object) value = NULL;
        g_autoptr(GError) error = NULL;
        size_t used;
        JsonStreamResult result = json_stream_read(stream, (const char *)data + i,
                                                   MIN(piece, size - i), &used, &value, &error);

        g_assert((result == JSON_STREAM_ERROR) == (error != NULL));
        if (result == JSON_STREAM_VALUE) {
            round_trip(value);
            consider(value);
        }
        i += used;
    }
    return 0;
}

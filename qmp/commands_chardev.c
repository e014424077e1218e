/* SPDX-License-Identifier: Apache-2.0 */
/* Ring buffers: what a guest has said last, and saying something back. */
#include "machine/backends.h"
#include "qmp/generated.h"
#include "qmp/json_text.h"
#include "util/error.h"

#include <string.h>

#define MAX_READ (INT64_C(1) << 20) /* what one answer should carry */

static Chardev *find_ringbuf(const QmpCall *call, const char *id, GError **error)
{
    Chardev *chr = backends_find_chardev(call->vm->backends, id, NULL);

    if (!chr) {
        return fail_null(error, VMM_ERROR_CONFIG, "Device '%s' not found", id);
    }
    if (!chardev_is_ringbuf(chr)) {
        return fail_null(error, VMM_ERROR_CONFIG, "%s is not a ringbuf device", id);
    }
    return chr;
}

/* As strings are inside the house: what is no character becomes U+FFFD. */
static char *to_text(const uint8_t *data, size_t len)
{
    GString *out = g_string_new(NULL);
    size_t used;

    for (size_t i = 0; i < len; i += used) {
        const char *at = (const char *)data + i;
        int32_t c = json_decode_char(at, len - i, &used);

        if (c < 0) {
            g_string_append_unichar(out, 0xfffd);
        } else if (c == 0) {
            g_string_append(out, "\xc0\x80");
        } else {
            g_string_append_len(out, at, (gssize)used);
        }
    }
    return g_string_free(out, /* free_segment= */ FALSE);
}

bool qmp_cmd_ringbuf_read(QmpCall *call, const QmpRingbufReadArgs *args, QmpReply *reply,
                          GError **error)
{
    Chardev *chr = find_ringbuf(call, args->device, error);
    g_autofree uint8_t *data = NULL;
    g_autofree char *text = NULL;
    size_t len;

    if (!chr) {
        return false;
    }
    if (args->size <= 0) {
        return fail(error, VMM_ERROR_CONFIG, "size must be greater than zero");
    }
    len = (size_t)MIN(args->size, MAX_READ);
    data = g_malloc(len);
    len = chardev_ringbuf_read(chr, data, len);
    text = args->has_format && args->format == QMP_DATA_FORMAT_BASE64 ? g_base64_encode(data, len)
                                                                      : to_text(data, len);
    reply->value = json_object_new_string(text);
    return true;
}

/* Back from the house's form of a string: U+0000 is one byte for a device. */
static GByteArray *from_text(const char *text)
{
    GByteArray *out = g_byte_array_new();

    for (const char *at = text; *at;) {
        bool zero = strncmp(at, "\xc0\x80", 2) == 0;

        g_byte_array_append(out, (const uint8_t *)(zero ? "" : at), 1);
        at += zero ? 2 : 1;
    }
    return out;
}

/* glib's decoder skips what does not belong; a client should hear of it. */
static GByteArray *from_base64(const char *text, GError **error)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = strlen(text);
    size_t digits = strspn(text, alphabet);
    g_autofree uint8_t *data = NULL;
    GByteArray *out;
    gsize n = 0;

    if (len % 4 != 0 || len - digits > 2 || digits + strspn(text + digits, "=") != len) {
        return fail_null(error, VMM_ERROR_CONFIG, "Parameter 'data' expects base64");
    }
    data = g_base64_decode(text, &n);
    out = g_byte_array_new();
    g_byte_array_append(out, data, (guint)n);
    return out;
}

bool qmp_cmd_ringbuf_write(QmpCall *call, const QmpRingbufWriteArgs *args, QmpReply *reply,
                           GError **error)
{
    Chardev *chr = find_ringbuf(call, args->device, error);
    g_autoptr(GByteArray) data = NULL;

    (void)reply;
    if (!chr) {
        return false;
    }
    data = args->has_format && args->format == QMP_DATA_FORMAT_BASE64
               ? from_base64(args->data, error)
               : from_text(args->data);
    if (!data) {
        return false;
    }
    chardev_write(chr, data->data, data->len);
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/acpi/aml.h"

#include "util/bytes.h"

#include <string.h>

/* 20.2: the encoding */
#define OP_ZERO                        0x00
#define OP_ONE                         0x01
#define OP_NAME                        0x08
#define PREFIX_BYTE                    0x0a
#define PREFIX_WORD                    0x0b
#define PREFIX_DWORD                   0x0c
#define PREFIX_STRING                  0x0d
#define PREFIX_QWORD                   0x0e
#define OP_SCOPE                       0x10
#define OP_BUFFER                      0x11
#define OP_PACKAGE                     0x12
#define OP_METHOD                      0x14
#define PREFIX_DUAL                    0x2e
#define PREFIX_MULTI                   0x2f
#define PREFIX_EXTENDED                0x5b
#define OP_LOCAL0                      0x60
#define OP_IF                          0xa0
#define OP_ELSE                        0xa1
#define EXT_REGION                     0x80
#define EXT_FIELD                      0x81
#define EXT_DEVICE                     0x82

#define MAX_INT_BYTES                  9
#define SEGMENT_LEN                    4
#define LOCALS                         8
#define METHOD_MAX_ARGS                7
#define METHOD_SERIALIZE               0x08
#define FIELD_DWORD_ACCESS_WRITE_ZEROS 0x43

/* 6.4: resource descriptors */
#define RES_IRQ           0x22
#define RES_IO            0x47
#define RES_END           0x79
#define RES_MEMORY32      0x86
#define RES_INTERRUPT     0x89
#define RES_QWORD         0x8a
#define RES_IO_DECODE16   0x01
#define RES_READ_WRITE    0x01
#define RES_INT_CONSUMER  0x01
#define RES_INT_EDGE      0x02
#define RES_WINDOW_FIXED  0x0c /* minimum and maximum are fixed; producer, positive decode */
#define RES_MEM_CACHEABLE 0x02

/* An open body; its length is written in front of it when it closes. */
typedef struct Frame {
    guint start;
    bool is_resources;
} Frame;

struct Aml {
    GByteArray *out;
    GArray *open; /* of Frame, innermost last */
};

Aml *aml_new(void)
{
    Aml *aml = g_new0(Aml, 1);

    aml->out = g_byte_array_new();
    aml->open = g_array_new(/* zero_terminated= */ FALSE, /* clear_= */ TRUE, sizeof(Frame));
    return aml;
}

void aml_free(Aml *aml)
{
    if (aml == NULL) {
        return;
    }
    if (aml->out != NULL) {
        g_byte_array_unref(aml->out);
    }
    g_array_unref(aml->open);
    g_free(aml);
}

GByteArray *aml_finish(Aml *aml)
{
    g_assert(aml->open->len == 0);
    return g_steal_pointer(&aml->out);
}

static void emit(Aml *aml, const void *data, size_t len)
{
    g_byte_array_append(aml->out, data, (guint)len);
}

static void emit8(Aml *aml, unsigned value)
{
    uint8_t byte = (uint8_t)value;

    emit(aml, &byte, sizeof(byte));
}

static void emit_le(Aml *aml, uint64_t value, unsigned size)
{
    uint8_t bytes[sizeof(value)];

    store_le(bytes, size, value);
    emit(aml, bytes, size);
}

static void insert(GByteArray *out, guint at, const uint8_t *data, guint len)
{
    guint tail = out->len - at;

    g_byte_array_set_size(out, out->len + len);
    memmove(out->data + at + len, out->data + at, tail);
    memcpy(out->data + at, data, len);
}

/* 20.2.4: the length counts its own bytes; two high bits say how many follow the first one. */
static void insert_package_length(GByteArray *out, guint at)
{
    guint len = out->len - at;
    uint8_t bytes[4];
    guint n = len + 1 < 0x40 ? 1 : len + 2 < 0x1000 ? 2 : len + 3 < 0x100000 ? 3 : 4;

    len += n;
    g_assert(len < 0x10000000);
    if (n == 1) {
        bytes[0] = (uint8_t)len;
    } else {
        bytes[0] = (uint8_t)((n - 1) << 6 | (len & 0xf));
        for (guint i = 1; i < n; i++) {
            bytes[i] = (uint8_t)(len >> (4 + 8 * (i - 1)));
        }
    }
    insert(out, at, bytes, n);
}

static void open_body(Aml *aml, bool is_resources)
{
    Frame frame = {.start = aml->out->len, .is_resources = is_resources};

    g_array_append_val(aml->open, frame);
}

/* 20.2.2: one segment, shorter ones filled up with '_'. */
static const char *emit_segment(Aml *aml, const char *path)
{
    char segment[SEGMENT_LEN] = {'_', '_', '_', '_'};
    size_t len = strcspn(path, ".");

    g_assert(len >= 1 && len <= SEGMENT_LEN && !g_ascii_isdigit(path[0]));
    for (size_t i = 0; i < len; i++) {
        g_assert(g_ascii_isupper(path[i]) || g_ascii_isdigit(path[i]) || path[i] == '_');
        segment[i] = path[i];
    }
    emit(aml, segment, sizeof(segment));
    return path[len] == '.' ? path + len + 1 : NULL;
}

void aml_path(Aml *aml, const char *path)
{
    unsigned segments = 1;

    if (*path == '\\') {
        emit8(aml, '\\');
        path++;
    }
    if (*path == '\0') {
        emit8(aml, OP_ZERO);
        return;
    }
    for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        segments++;
    }
    if (segments == 2) {
        emit8(aml, PREFIX_DUAL);
    } else if (segments > 2) {
        emit8(aml, PREFIX_MULTI);
        emit8(aml, segments);
    }
    while (path != NULL) {
        path = emit_segment(aml, path);
    }
}

void aml_scope(Aml *aml, const char *path)
{
    emit8(aml, OP_SCOPE);
    open_body(aml, /* is_resources= */ false);
    aml_path(aml, path);
}

void aml_device(Aml *aml, const char *name)
{
    emit8(aml, PREFIX_EXTENDED);
    emit8(aml, EXT_DEVICE);
    open_body(aml, /* is_resources= */ false);
    aml_path(aml, name);
}

void aml_method(Aml *aml, const char *name, unsigned n_args, bool serialized)
{
    g_assert(n_args <= METHOD_MAX_ARGS);
    emit8(aml, OP_METHOD);
    open_body(aml, /* is_resources= */ false);
    aml_path(aml, name);
    emit8(aml, n_args | (serialized ? METHOD_SERIALIZE : 0));
}

void aml_package(Aml *aml, uint8_t n_elements)
{
    emit8(aml, OP_PACKAGE);
    open_body(aml, /* is_resources= */ false);
    emit8(aml, n_elements);
}

void aml_if(Aml *aml)
{
    emit8(aml, OP_IF);
    open_body(aml, /* is_resources= */ false);
}

void aml_else(Aml *aml)
{
    emit8(aml, OP_ELSE);
    open_body(aml, /* is_resources= */ false);
}

/* A template is a buffer, whose size is an integer of varying width before its bytes. */
void aml_resources(Aml *aml)
{
    emit8(aml, OP_BUFFER);
    open_body(aml, /* is_resources= */ true);
}

/* In the fewest bytes that hold value; returns how many. */
static guint encode_int(uint64_t value, uint8_t bytes[MAX_INT_BYTES])
{
    static const struct {
        uint64_t max;
        uint8_t prefix;
        uint8_t size;
    } forms[] = {
        {UINT8_MAX, PREFIX_BYTE, 1},
        {UINT16_MAX, PREFIX_WORD, 2},
        {UINT32_MAX, PREFIX_DWORD, 4},
        {UINT64_MAX, PREFIX_QWORD, 8},
    };
    guint i = 0;

    if (value <= 1) {
        bytes[0] = value == 1 ? OP_ONE : OP_ZERO;
        return 1;
    }
    while (value > forms[i].max) {
        i++;
    }
    bytes[0] = forms[i].prefix;
    store_le(bytes + 1, forms[i].size, value);
    return 1u + forms[i].size;
}

/* The end tag's checksum of 0 stands for "not computed". */
static void close_resources(Aml *aml, guint start)
{
    emit8(aml, RES_END);
    emit8(aml, 0);

    uint8_t size[MAX_INT_BYTES];
    guint n = encode_int(aml->out->len - start, size);

    insert(aml->out, start, size, n);
}

void aml_end(Aml *aml)
{
    g_assert(aml->open->len > 0);

    Frame frame = g_array_index(aml->open, Frame, aml->open->len - 1);

    g_array_set_size(aml->open, aml->open->len - 1);
    if (frame.is_resources) {
        close_resources(aml, frame.start);
    }
    insert_package_length(aml->out, frame.start);
}

void aml_int(Aml *aml, uint64_t value)
{
    uint8_t bytes[MAX_INT_BYTES];

    emit(aml, bytes, encode_int(value, bytes));
}

void aml_string(Aml *aml, const char *text)
{
    emit8(aml, PREFIX_STRING);
    emit(aml, text, strlen(text) + 1);
}

/* 19.6.36: three letters of five bits and four hex digits, most significant byte first. */
void aml_eisaid(Aml *aml, const char *id)
{
    g_assert(strlen(id) == 7);

    uint32_t value = 0;

    for (int i = 0; i < 3; i++) {
        g_assert(g_ascii_isupper(id[i]));
        value = value << 5 | (uint32_t)(id[i] - '@');
    }
    for (int i = 3; i < 7; i++) {
        g_assert(g_ascii_isxdigit(id[i]));
        value = value << 4 | (uint32_t)g_ascii_xdigit_value(id[i]);
    }
    emit8(aml, PREFIX_DWORD);
    emit_le(aml, GUINT32_SWAP_LE_BE(value), 4);
}

void aml_local(Aml *aml, unsigned n)
{
    g_assert(n < LOCALS);
    emit8(aml, OP_LOCAL0 + n);
}

void aml_name(Aml *aml, const char *name)
{
    emit8(aml, OP_NAME);
    aml_path(aml, name);
}

void aml_operator(Aml *aml, AmlOperator op)
{
    emit8(aml, op);
}

void aml_nowhere(Aml *aml)
{
    emit8(aml, OP_ZERO);
}

void aml_region(Aml *aml, const char *name, uint8_t space, uint64_t offset, uint64_t len)
{
    emit8(aml, PREFIX_EXTENDED);
    emit8(aml, EXT_REGION);
    aml_path(aml, name);
    emit8(aml, space);
    aml_int(aml, offset);
    aml_int(aml, len);
}

void aml_field32(Aml *aml, const char *region, const char *field)
{
    emit8(aml, PREFIX_EXTENDED);
    emit8(aml, EXT_FIELD);
    open_body(aml, /* is_resources= */ false);
    aml_path(aml, region);
    emit8(aml, FIELD_DWORD_ACCESS_WRITE_ZEROS);
    aml_path(aml, field);
    emit8(aml, 32); /* bits, encoded as a package length */
    aml_end(aml);
}

void aml_res_memory32(Aml *aml, uint32_t base, uint32_t len, bool writable)
{
    emit8(aml, RES_MEMORY32);
    emit_le(aml, 9, 2);
    emit8(aml, writable ? RES_READ_WRITE : 0);
    emit_le(aml, base, 4);
    emit_le(aml, len, 4);
}

void aml_res_io(Aml *aml, uint16_t port, uint8_t len)
{
    emit8(aml, RES_IO);
    emit8(aml, RES_IO_DECODE16);
    emit_le(aml, port, 2); /* lowest base */
    emit_le(aml, port, 2); /* highest base */
    emit8(aml, 1);         /* alignment */
    emit8(aml, len);
}

void aml_res_isa_irq(Aml *aml, unsigned irq)
{
    g_assert(irq < 16);
    emit8(aml, RES_IRQ);
    emit_le(aml, UINT64_C(1) << irq, 2);
}

void aml_res_interrupt(Aml *aml, uint32_t gsi, AmlTrigger trigger)
{
    emit8(aml, RES_INTERRUPT);
    emit_le(aml, 6, 2);
    emit8(aml, RES_INT_CONSUMER | (trigger == AML_EDGE ? RES_INT_EDGE : 0));
    emit8(aml, 1); /* how many */
    emit_le(aml, gsi, 4);
}

void aml_res_memory64_window(Aml *aml, uint64_t base, uint64_t len, bool cacheable)
{
    g_assert(len > 0);
    emit8(aml, RES_QWORD);
    emit_le(aml, 43, 2);
    emit8(aml, 0); /* memory */
    emit8(aml, RES_WINDOW_FIXED);
    emit8(aml, RES_READ_WRITE | (cacheable ? RES_MEM_CACHEABLE : 0));
    emit_le(aml, 0, 8); /* granularity */
    emit_le(aml, base, 8);
    emit_le(aml, base + len - 1, 8);
    emit_le(aml, 0, 8); /* translation */
    emit_le(aml, len, 8);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading trusts nothing: label and length first, then sections, each with a checksum of its own so
 * that a message can say which one is damaged, and at last the footer's over everything.
 */
#include "migration/state_file.h"

#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* Of a section's head. */
#define AT_NAME_LEN    2
#define AT_PAYLOAD_LEN 4
#define AT_CHECKSUM    8

static const char *const kind_names[] = {
    [TEMPLATE_SECTION_CONFIG] = "config",   [TEMPLATE_SECTION_MEMORY] = "memory",
    [TEMPLATE_SECTION_MACHINE] = "machine", [TEMPLATE_SECTION_VM] = "vm",
    [TEMPLATE_SECTION_DEVICE] = "device",   [TEMPLATE_SECTION_VCPU] = "vcpu",
};

const char *template_section_kind_name(TemplateSectionKind kind)
{
    return kind < G_N_ELEMENTS(kind_names) ? kind_names[kind] : NULL;
}

/* --- making --- */

void state_builder_init(StateBuilder *builder)
{
    builder->bytes = g_byte_array_new();
    builder->num_sections = 0;
    g_byte_array_set_size(builder->bytes, FORMAT_HEADER_BYTES);
}

void state_builder_fini(StateBuilder *builder)
{
    g_clear_pointer(&builder->bytes, g_byte_array_unref);
}

/* head has the bytes in front of the checksum. */
static uint32_t section_checksum(const uint8_t *head, const void *name, size_t name_len,
                                 const void *data, size_t len)
{
    return crc32c(crc32c(crc32c(0, head, AT_CHECKSUM), name, name_len), data, len);
}

void state_builder_add(StateBuilder *builder, TemplateSectionKind kind, const char *name,
                       const void *data, size_t len)
{
    uint8_t head[FORMAT_SECTION_BYTES];
    size_t name_len = strlen(name);

    g_assert(name_len <= FORMAT_MAX_NAME_BYTES && len <= FORMAT_MAX_STATE_BYTES);
    store_le16(head, (uint16_t)kind);
    store_le16(head + AT_NAME_LEN, (uint16_t)name_len);
    store_le32(head + AT_PAYLOAD_LEN, (uint32_t)len);
    store_le32(head + AT_CHECKSUM, section_checksum(head, name, name_len, data, len));
    g_byte_array_append(builder->bytes, head, sizeof(head));
    g_byte_array_append(builder->bytes, (const uint8_t *)name, (guint)name_len);
    g_byte_array_append(builder->bytes, data, (guint)len);
    builder->num_sections++;
}

bool state_builder_finish(StateBuilder *builder, const uint8_t identity[FORMAT_IDENTITY_BYTES],
                          GError **error)
{
    GByteArray *bytes = builder->bytes;
    FormatLabel label = {
        .num_sections = builder->num_sections,
        .length = bytes->len + UINT64_C(0) + FORMAT_FOOTER_BYTES,
    };
    uint8_t checksum[sizeof(uint32_t)];

    if (label.length > FORMAT_MAX_STATE_BYTES || label.num_sections > FORMAT_MAX_SECTIONS) {
        return fail(error, VMM_ERROR_STATE,
                    "the state has %" PRIu64 " bytes in %" PRIu32 " sections, at most %" PRIu64
                    " in %d can be read again",
                    label.length, label.num_sections, FORMAT_MAX_STATE_BYTES, FORMAT_MAX_SECTIONS);
    }
    memcpy(label.identity, identity, sizeof(label.identity));
    format_put_label(FORMAT_STATE, &label, bytes->data);
    g_byte_array_append(bytes, (const uint8_t *)format_footer_magic, sizeof(format_footer_magic));
    store_le32(checksum, crc32c(0, bytes->data, bytes->len));
    g_byte_array_append(bytes, checksum, sizeof(checksum));
    return true;
}

/* --- taking apart --- */

void state_file_free(StateFile *state)
{
    if (state) {
        g_array_unref(state->sections);
        g_free(state->bytes);
        g_free(state);
    }
}

static void section_clear(void *opaque)
{
    TemplateSection *section = opaque;

    g_free((char *)(uintptr_t)section->name);
}

const TemplateSection *state_file_find(const StateFile *state, TemplateSectionKind kind,
                                       const char *name)
{
    for (guint i = 0; i < state->sections->len; i++) {
        const TemplateSection *section = &g_array_index(state->sections, TemplateSection, i);

        if (section->kind == kind && strcmp(section->name, name) == 0) {
            return section;
        }
    }
    return NULL;
}

static bool check_footer(const StateFile *state, GError **error)
{
    const uint8_t *footer = state->bytes + state->len - FORMAT_FOOTER_BYTES;
    uint32_t expected = load_le32(footer + sizeof(format_footer_magic));
    uint32_t found = crc32c(0, state->bytes, state->len - sizeof(expected));

    if (memcmp(footer, format_footer_magic, sizeof(format_footer_magic)) != 0) {
        return fail(error, VMM_ERROR_WIRE, "it is damaged: its footer is not there");
    }
    return found == expected ||
           fail(error, VMM_ERROR_WIRE,
                "it is damaged: it has checksum 0x%08" PRIx32 ", expected 0x%08" PRIx32, found,
                expected);
}

static bool check_name(const uint8_t *name, size_t len, GError **error)
{
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isgraph((gchar)name[i])) {
            return fail(error, VMM_ERROR_WIRE, "a section's name has byte 0x%02x in it", name[i]);
        }
    }
    return true;
}

/* The section at *at, which is moved behind it. */
static bool take_section(StateFile *state, size_t *at, GError **error)
{
    size_t left = state->len - FORMAT_FOOTER_BYTES - *at;
    const uint8_t *head = state->bytes + *at;

    if (left < FORMAT_SECTION_BYTES) {
        return fail(error, VMM_ERROR_WIRE, "section %u ends early", state->sections->len);
    }

    TemplateSectionKind kind = load_le16(head);
    size_t name_len = load_le16(head + AT_NAME_LEN);
    size_t len = load_le32(head + AT_PAYLOAD_LEN);
    const uint8_t *name = head + FORMAT_SECTION_BYTES;

    if (name_len > FORMAT_MAX_NAME_BYTES || left - FORMAT_SECTION_BYTES < name_len ||
        left - FORMAT_SECTION_BYTES - name_len < len) {
        return fail(error, VMM_ERROR_WIRE, "section %u ends early", state->sections->len);
    }

    g_autofree char *text = g_strndup((const char *)name, name_len);
    TemplateSection section = {.kind = kind, .data = name + name_len, .len = len};

    if (section_checksum(head, name, name_len, section.data, len) !=
        load_le32(head + AT_CHECKSUM)) {
        g_autofree char *printable = g_strescape(text, NULL);

        return fail(error, VMM_ERROR_WIRE, "section %u '%s' is damaged: its checksum differs",
                    state->sections->len, printable);
    }
    if (!template_section_kind_name(kind)) {
        return fail(error, VMM_ERROR_WIRE, "section %u: kind %u is unknown", state->sections->len,
                    kind);
    }
    if (!check_name(name, name_len, error)) {
        return false;
    }
    if (state_file_find(state, kind, text)) {
        return fail(error, VMM_ERROR_WIRE, "section %s '%s' is there twice",
                    template_section_kind_name(kind), text);
    }
    section.name = g_steal_pointer(&text);
    g_array_append_val(state->sections, section);
    *at += FORMAT_SECTION_BYTES + name_len + len;
    return true;
}

static bool check_length(const StateFile *state, const FormatLabel *label, GError **error)
{
    if (label->length != state->len) {
        return fail(error, VMM_ERROR_WIRE, "it is %s: it has %zu bytes, expected %" PRIu64,
                    state->len < label->length ? "cut short" : "too long", state->len,
                    label->length);
    }
    if (state->len < FORMAT_HEADER_BYTES + FORMAT_FOOTER_BYTES) {
        return fail(error, VMM_ERROR_WIRE, "it is damaged: its footer is not there");
    }
    return label->num_sections <= FORMAT_MAX_SECTIONS ||
           fail(error, VMM_ERROR_WIRE, "it has %" PRIu32 " sections, at most %d can be",
                label->num_sections, FORMAT_MAX_SECTIONS);
}

static bool parse(StateFile *state, GError **error)
{
    FormatLabel label;
    size_t at = FORMAT_HEADER_BYTES;

    if (state->len < FORMAT_HEADER_BYTES) {
        return fail(error, VMM_ERROR_WIRE, "it is not the state of a template: it has %zu bytes",
                    state->len);
    }
    if (!format_parse_label(FORMAT_STATE, state->bytes, &label, error) ||
        !check_length(state, &label, error)) {
        return false;
    }
    memcpy(state->identity, label.identity, sizeof(state->identity));
    for (uint32_t i = 0; i < label.num_sections; i++) {
        if (!take_section(state, &at, error)) {
            return false;
        }
    }
    if (at != state->len - FORMAT_FOOTER_BYTES) {
        return fail(error, VMM_ERROR_WIRE, "%zu bytes are between the last section and the footer",
                    state->len - FORMAT_FOOTER_BYTES - at);
    }
    return check_footer(state, error);
}

StateFile *state_file_parse_take(uint8_t *bytes, size_t len, GError **error)
{
    g_autoptr(StateFile) state = g_new0(StateFile, 1);

    state->bytes = bytes;
    state->len = len;
    state->sections =
        g_array_new(/* zero_terminated= */ FALSE, /* clear= */ FALSE, sizeof(TemplateSection));
    g_array_set_clear_func(state->sections, section_clear);
    return parse(state, error) ? g_steal_pointer(&state) : NULL;
}

/* --- the file --- */

int template_open_regular(int dir_fd, const char *name, const char *path, uint64_t *ret_size,
                          GError **error)
{
    auto_fd int fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        fail_errno(error, errno, "cannot open '%s' for reading", path);
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        fail(error, VMM_ERROR_WIRE, "'%s' is not a regular file", path);
        return -1;
    }
    *ret_size = (uint64_t)st.st_size;
    return fd_steal(&fd);
}

StateFile *state_file_read(int dir_fd, const char *name, const char *path, GError **error)
{
    uint64_t size = 0;
    auto_fd int fd = template_open_regular(dir_fd, name, path, &size, error);
    g_autofree uint8_t *bytes = NULL;
    StateFile *state;

    if (fd < 0) {
        return NULL;
    }
    if (size > FORMAT_MAX_STATE_BYTES) {
        return fail_null(error, VMM_ERROR_WIRE,
                         "'%s': it is not the state of a template: it has %" PRIu64
                         " bytes, at most %" PRIu64 " can be",
                         path, size, FORMAT_MAX_STATE_BYTES);
    }
    bytes = g_malloc(size + 1); /* never NULL */
    if (!fd_pread_all(fd, path, bytes, size, 0, error)) {
        return NULL;
    }
    state = state_file_parse_take(g_steal_pointer(&bytes), size, error);
    if (!state) {
        g_prefix_error(error, "'%s': ", path);
    }
    return state;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A template out of a stream.  Its memory is unpacked into a file without a name that looks like a
 * folder's `memory`, holes included, so that everything behind the reader is the same.
 *
 * Nothing is trusted.  Records have to come in order and within their images, so a stream has an
 * end: it cannot hold more than the map says, however long it goes on.
 */
#include "migration/template_reader_private.h"
#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool read_label(Channel *stream, FormatLabel *ret_label, uint32_t *ret_checksum,
                       GError **error)
{
    uint8_t bytes[FORMAT_HEADER_BYTES];

    if (!channel_read(stream, "its label", bytes, sizeof(bytes), error)) {
        return false;
    }
    if (!format_parse_label(FORMAT_STREAM, bytes, ret_label, error)) {
        g_prefix_error(error, "'%s': ", channel_name(stream));
        return false;
    }
    if (ret_label->num_sections != 0 ||
        ret_label->length < FORMAT_HEADER_BYTES + FORMAT_FOOTER_BYTES ||
        ret_label->length > FORMAT_MAX_STATE_BYTES) {
        return fail(error, VMM_ERROR_WIRE,
                    "'%s': its label says %" PRIu32 " sections and %" PRIu64
                    " bytes of state: expected 0, and %d to %" PRIu64,
                    channel_name(stream), ret_label->num_sections, ret_label->length,
                    FORMAT_HEADER_BYTES + FORMAT_FOOTER_BYTES, FORMAT_MAX_STATE_BYTES);
    }
    *ret_checksum = crc32c(0, bytes, FORMAT_LABEL_SUMMED);
    return true;
}

static StateFile *read_state(Channel *stream, const FormatLabel *label, GError **error)
{
    g_autofree uint8_t *bytes = g_malloc(label->length);
    g_autoptr(StateFile) state = NULL;

    if (!channel_read(stream, "its state", bytes, label->length, error)) {
        return NULL;
    }
    state = state_file_parse_take(g_steal_pointer(&bytes), label->length, error);
    if (!state) {
        g_prefix_error(error, "'%s': its state: ", channel_name(stream));
        return NULL;
    }
    if (memcmp(state->identity, label->identity, sizeof(label->identity)) != 0) {
        return fail_null(error, VMM_ERROR_WIRE, "'%s': its state belongs to another template",
                         channel_name(stream));
    }
    return g_steal_pointer(&state);
}

TemplateReader *template_reader_begin(Channel *stream, GError **error)
{
    g_autoptr(TemplateReader) reader = g_new0(TemplateReader, 1);
    FormatLabel label;

    reader->dir_fd = reader->memory_fd = -1;
    reader->state_path = g_strdup(channel_name(stream));
    reader->memory_path = g_strdup(channel_name(stream));
    if (!read_label(stream, &label, &reader->checksum, error)) {
        channel_explain(stream, error);
        return NULL;
    }
    reader->state = read_state(stream, &label, error);
    if (!reader->state) {
        channel_explain(stream, error);
        return NULL;
    }
    if (!template_reader_read_map(reader, error)) {
        return NULL;
    }
    if (!reader->map->in_records) {
        return fail_null(error, VMM_ERROR_WIRE, "'%s': its map is that of a folder",
                         channel_name(stream));
    }
    return g_steal_pointer(&reader);
}

/* ---- records -------------------------------------------------------------------------------- */

typedef struct Receive {
    const TemplateReader *reader;
    Channel *stream;
    uint8_t *data; /* FORMAT_MAX_DATA_BYTES */
    uint32_t checksum;
    uint64_t num_records;
    uint64_t num_bytes;

    /* Where the next record may begin. */
    uint32_t image;
    uint64_t offset;
} Receive;

static bool read_record(Receive *in, FormatRecord *ret_record, GError **error)
{
    uint8_t bytes[FORMAT_RECORD_BYTES];

    if (!channel_read(in->stream, "the head of a record", bytes, sizeof(bytes), error)) {
        return false;
    }
    if (!format_parse_record(bytes, ret_record, error)) {
        g_prefix_error(error, "'%s': record %" PRIu64 ": ", channel_name(in->stream),
                       in->num_records);
        return false;
    }
    /* That of the end is of what came before it. */
    if (ret_record->kind != FORMAT_RECORD_END) {
        in->checksum = crc32c(in->checksum, bytes, FORMAT_RECORD_SUMMED);
    }
    return true;
}

static bool check_place(const Receive *in, const FormatRecord *record, GError **error)
{
    const TemplateMap *map = in->reader->map;
    const char *name = channel_name(in->stream);
    const TemplateImage *image;

    if (record->image >= map->num_images || !map->images[record->image].stored) {
        return fail(error, VMM_ERROR_WIRE,
                    "'%s': record %" PRIu64 ": image %" PRIu32 " is not one that it holds", name,
                    in->num_records, record->image);
    }
    image = &map->images[record->image];
    if (record->length == 0 || record->length > FORMAT_MAX_DATA_BYTES ||
        !is_aligned(record->offset | record->length, PAGE_BYTES) ||
        !range_fits(record->offset, record->length, image->size)) {
        return fail(error, VMM_ERROR_WIRE,
                    "'%s': record %" PRIu64 ": memory %s at 0x%" PRIx64 " +0x%" PRIx64
                    ": expected whole pages, at most %" PRIu64 " bytes, within its 0x%" PRIx64,
                    name, in->num_records, template_image_id(image), record->offset, record->length,
                    FORMAT_MAX_DATA_BYTES, image->size);
    }
    if (record->image < in->image || (record->image == in->image && record->offset < in->offset)) {
        return fail(error, VMM_ERROR_WIRE,
                    "'%s': record %" PRIu64 ": image %" PRIu32 " at 0x%" PRIx64
                    " overlaps its predecessor or is out of order: expected image %" PRIu32
                    " at 0x%" PRIx64 " or later",
                    name, in->num_records, record->image, record->offset, in->image, in->offset);
    }
    return true;
}

static bool take_data(Receive *in, const FormatRecord *record, GError **error)
{
    const TemplateReader *reader = in->reader;
    uint64_t at = reader->map->images[record->image].offset + record->offset;
    uint32_t found;

    if (!channel_read(in->stream, "the data of a record", in->data, record->length, error)) {
        return false;
    }
    found = crc32c(0, in->data, record->length);
    if (found != record->data_checksum) {
        return fail(error, VMM_ERROR_WIRE,
                    "'%s': record %" PRIu64 ": its data is damaged: it has checksum 0x%08" PRIx32
                    ", expected 0x%08" PRIx32,
                    channel_name(in->stream), in->num_records, found, record->data_checksum);
    }
    in->image = record->image;
    in->offset = record->offset + record->length;
    in->num_records++;
    in->num_bytes += record->length;
    return fd_pwrite_all(reader->memory_fd, reader->memory_path, in->data, record->length, at,
                         error);
}

static bool check_end(const Receive *in, const FormatRecord *end, GError **error)
{
    if (end->image != 0 || end->offset != in->num_records || end->length != in->num_bytes) {
        return fail(error, VMM_ERROR_WIRE,
                    "'%s': its end says %" PRIu64 " records with %" PRIu64
                    " bytes, and it had %" PRIu64 " with %" PRIu64,
                    channel_name(in->stream), end->offset, end->length, in->num_records,
                    in->num_bytes);
    }
    return end->data_checksum == in->checksum ||
           fail(error, VMM_ERROR_WIRE,
                "'%s' is damaged: its records have checksum 0x%08" PRIx32 ", expected 0x%08" PRIx32,
                channel_name(in->stream), in->checksum, end->data_checksum);
}

static bool read_records(Receive *in, GError **error)
{
    FormatRecord record;

    for (;;) {
        if (!read_record(in, &record, error)) {
            return false;
        }
        if (record.kind == FORMAT_RECORD_END) {
            return check_end(in, &record, error);
        }
        if (!check_place(in, &record, error) || !take_data(in, &record, error)) {
            return false;
        }
    }
}

static bool make_memory(TemplateReader *reader, GError **error)
{
    reader->memory_fd = memfd_create("template", MFD_CLOEXEC);
    return (reader->memory_fd >= 0 &&
            ftruncate(reader->memory_fd, (off_t)reader->map->length) == 0) ||
           fail_errno(error, errno, "'%s': a file for %" PRIu64 " bytes of memory",
                      reader->memory_path, reader->map->length);
}

bool template_reader_receive(TemplateReader *reader, Channel *stream, GError **error)
{
    g_autofree uint8_t *data = g_malloc(FORMAT_MAX_DATA_BYTES);
    Receive in = {.reader = reader, .stream = stream, .data = data, .checksum = reader->checksum};

    if (!make_memory(reader, error)) {
        return false;
    }
    if (!read_records(&in, error)) {
        channel_explain(stream, error);
        return false;
    }
    return channel_finish(stream, /* sync= */ false, error);
}

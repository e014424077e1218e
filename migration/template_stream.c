/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A save into a stream.  Records are written by one thread, in order: whoever reads needs neither
 * to seek nor to remember, and every byte is summed before the next one is asked for.
 */
#include "migration/template_sink.h"
#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/error.h"
#include "util/fault.h"
#include "util/loop.h"

#include <string.h>

typedef struct TemplateStream {
    TemplateSink sink;
    Channel *stream; /* borrowed */
    bool sync;

    /* Of the label and all records so far. */
    uint32_t checksum;
    uint64_t num_records;
    uint64_t num_bytes;

    TemplateSave *save; /* whose run it is */
} TemplateStream;

_Static_assert(MEMORY_RUN_MAX_BYTES <= FORMAT_MAX_DATA_BYTES, "a run is one record");

/* The end's checksum covers what is in front of its own. */
static bool write_summed(TemplateStream *out, const uint8_t *bytes, size_t len, size_t summed,
                         GError **error)
{
    out->checksum = crc32c(out->checksum, bytes, summed);
    template_save_count(out->save, len);
    return channel_write(out->stream, bytes, len, error);
}

static bool write_state(TemplateStream *out, GError **error)
{
    FormatLabel label = {0};
    uint8_t bytes[FORMAT_HEADER_BYTES];
    const GByteArray *state;
    int64_t began = loop_now_ns();

    if (!format_new_identity(label.identity, error)) {
        return false;
    }
    state = template_save_finish_state(out->save, label.identity, error);
    if (!state) {
        return false;
    }
    label.length = state->len;
    format_put_label(FORMAT_STREAM, &label, bytes);
    if (!write_summed(out, bytes, sizeof(bytes), FORMAT_LABEL_SUMMED, error) ||
        !channel_write(out->stream, state->data, state->len, error)) {
        return false;
    }
    template_save_took(out->save, TEMPLATE_PART_STATE, began);
    return true;
}

static bool write_record(void *opaque, const MemoryRun *run, GError **error)
{
    TemplateStream *out = opaque;
    const FormatRecord record = {
        .kind = FORMAT_RECORD_MEMORY,
        .image = run->image,
        .offset = run->offset,
        .length = run->len,
        .data_checksum = crc32c(0, run->data, run->len),
    };
    uint8_t bytes[FORMAT_RECORD_BYTES];
    int err = fault_errno("template-stream-write");

    if (err != 0) {
        return fail_errno(error, err, "'%s': write", channel_name(out->stream));
    }
    format_put_record(&record, bytes);
    out->num_records++;
    out->num_bytes += run->len;
    return write_summed(out, bytes, sizeof(bytes), FORMAT_RECORD_SUMMED, error) &&
           channel_write(out->stream, run->data, run->len, error);
}

static bool write_end(TemplateStream *out, GError **error)
{
    const FormatRecord record = {
        .kind = FORMAT_RECORD_END,
        .offset = out->num_records,
        .length = out->num_bytes,
        .data_checksum = out->checksum,
    };
    uint8_t bytes[FORMAT_RECORD_BYTES];

    format_put_record(&record, bytes);
    return write_summed(out, bytes, sizeof(bytes), FORMAT_RECORD_SUMMED, error);
}

static bool finish(TemplateStream *out, GError **error)
{
    int64_t began = loop_now_ns();

    if (!template_save_check_cancelled(out->save, error) ||
        !channel_finish(out->stream, out->sync, error)) {
        return false;
    }
    template_save_took(out->save, TEMPLATE_PART_PUBLISH, began);
    return true;
}

static bool run_stream(TemplateSink *sink, TemplateSave *save, GError **error)
{
    TemplateStream *out = (TemplateStream *)sink;

    out->save = save;
    if (!write_state(out, error) ||
        !template_save_write_memory(save, /* threads= */ 1, write_record, out, error) ||
        !write_end(out, error)) {
        channel_explain(out->stream, error);
        return false;
    }
    return finish(out, error);
}

static void cancel_stream(TemplateSink *sink)
{
    channel_cancel(((TemplateStream *)sink)->stream);
}

static void free_stream(TemplateSink *sink)
{
    g_free(sink);
}

static const TemplateSinkOps stream_ops = {
    .run = run_stream,
    .cancel = cancel_stream,
    .free = free_stream,
};

TemplateSink *template_stream_new(const TemplateSaveParams *params)
{
    TemplateStream *out = g_new0(TemplateStream, 1);

    out->sink.ops = &stream_ops;
    out->stream = params->stream;
    out->sync = params->sync;
    return &out->sink;
}

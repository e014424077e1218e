/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_TEMPLATE_SINK_H
#define MIGRATION_TEMPLATE_SINK_H

/*
 * Where a save goes.  The two forms of a template want the same parts in another order:
 *
 *     folder     memory, with checksums into the map; trailer; state; names
 *     stream     label, state with a map that has none; memory as records; end
 *
 * so a sink runs the save, and template_writer.c lends it the parts.  Private to migration/.
 */

#include "migration/format.h"
#include "migration/memory_save.h"
#include "migration/template.h"
#include "migration/template_map.h"

typedef struct TemplateSink TemplateSink;

typedef struct TemplateSinkOps {
    bool (*run)(TemplateSink *sink, TemplateSave *save, GError **error);
    void (*cancel)(TemplateSink *sink); /* optional; any thread */
    void (*free)(TemplateSink *sink);
} TemplateSinkOps;

struct TemplateSink {
    const TemplateSinkOps *ops;
};

/* map is laid out, and outlives the sink. */
TemplateSink *template_folder_new(const TemplateSaveParams *params, const TemplateMap *map,
                                  GError **error);
TemplateSink *template_stream_new(const TemplateSaveParams *params);

/* ---- for run ---- */

/* threads 0: as many as the save's parameters say. */
bool template_save_write_memory(TemplateSave *save, unsigned threads, MemoryWriteFn write,
                                void *opaque, GError **error);

/* Adds the map, and makes a whole `state` of it all; the bytes stay the save's. */
const GByteArray *template_save_finish_state(TemplateSave *save,
                                             const uint8_t identity[FORMAT_IDENTITY_BYTES],
                                             GError **error);

bool template_save_check_cancelled(const TemplateSave *save, GError **error);

/* began is loop_now_ns() at its start; memory tells of itself. */
void template_save_took(TemplateSave *save, TemplatePart part, int64_t began);

/* Bytes that are written besides those of RAM. */
void template_save_count(TemplateSave *save, uint64_t bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What every save has, wherever it goes: sections, RAM, progress, a way to end it. */
#include "hypervisor/ram_backend.h"
#include "migration/state_file.h"
#include "migration/template_sink.h"
#include "util/error.h"
#include "util/loop.h"

#include <string.h>

struct TemplateSave {
    /* fixed after template_save_new */
    TemplateSink *sink;
    uint64_t bandwidth;
    unsigned threads;
    GPtrArray *ram; /* of RamBackend; borrowed; one for each image of map */

    StateBuilder state; /* whoever adds, then whoever runs */
    TemplateMap *map;

    atomic_bool cancelled;
    TemplateProgress progress;
};

/* The rest the user gives again: ROM, which the guest cannot change, and files that have it. */
static bool is_stored(const RamBackend *backend, bool ignore_shared)
{
    return !backend->rom && !(ignore_shared && backend->shared && backend->has_name);
}

static void collect_ram(TemplateSave *save, const GuestMemory *memory, bool ignore_shared)
{
    size_t count;
    const RamBlock *blocks = guest_mem_blocks(memory, &count);

    for (size_t i = 0; i < count; i++) {
        RamBackend *backend = blocks[i].backend;

        if (!g_ptr_array_find(save->ram, backend, NULL)) {
            bool stored = is_stored(backend, ignore_shared);

            g_ptr_array_add(save->ram, backend);
            template_map_add(save->map, backend->id, backend->size, stored);
            atomic_fetch_add(&save->progress.total, stored ? backend->size : 0);
        }
    }
    template_map_lay_out(save->map);
}

TemplateSave *template_save_new(const TemplateSaveParams *params, const GuestMemory *memory,
                                GError **error)
{
    g_autoptr(TemplateSave) save = g_new0(TemplateSave, 1);

    save->bandwidth = params->bandwidth;
    save->threads = params->threads;
    save->ram = g_ptr_array_new();
    save->map = template_map_new();
    save->map->in_records = params->stream != NULL;
    state_builder_init(&save->state);
    collect_ram(save, memory, params->ignore_shared);
    save->sink = params->stream ? template_stream_new(params)
                                : template_folder_new(params, save->map, error);
    return save->sink ? g_steal_pointer(&save) : NULL;
}

void template_save_free(TemplateSave *save)
{
    if (save) {
        if (save->sink) {
            save->sink->ops->free(save->sink);
        }
        state_builder_fini(&save->state);
        template_map_free(save->map);
        g_ptr_array_unref(save->ram);
        g_free(save);
    }
}

void template_save_add(TemplateSave *save, TemplateSectionKind kind, const char *name,
                       const void *data, size_t len)
{
    g_assert(kind != TEMPLATE_SECTION_MEMORY);
    state_builder_add(&save->state, kind, name, data, len);
}

void template_save_cancel(TemplateSave *save)
{
    atomic_store(&save->cancelled, true);
    if (save->sink->ops->cancel) {
        save->sink->ops->cancel(save->sink);
    }
}

const TemplateProgress *template_save_progress(const TemplateSave *save)
{
    return &save->progress;
}

bool template_save_run(TemplateSave *save, GError **error)
{
    return template_save_check_cancelled(save, error) &&
           save->sink->ops->run(save->sink, save, error);
}

/* --- what sinks need --- */

bool template_save_check_cancelled(const TemplateSave *save, GError **error)
{
    return !atomic_load(&save->cancelled) || fail(error, VMM_ERROR_STATE, "the save was cancelled");
}

void template_save_count(TemplateSave *save, uint64_t bytes)
{
    atomic_fetch_add(&save->progress.bytes_written, bytes);
}

void template_save_took(TemplateSave *save, TemplatePart part, int64_t began)
{
    atomic_store(&save->progress.part_ns[part], (uint64_t)(loop_now_ns() - began));
}

bool template_save_write_memory(TemplateSave *save, unsigned threads, MemoryWriteFn write,
                                void *opaque, GError **error)
{
    g_autoptr(PageMap) pages = page_map_new(PAGE_MAP_BEST);
    const MemorySave memory = {
        .write = write,
        .opaque = opaque,
        .map = save->map,
        .ram = (RamBackend *const *)save->ram->pdata,
        .pages = pages,
        .threads = threads != 0 ? threads : save->threads,
        .bandwidth = save->bandwidth,
        .cancelled = &save->cancelled,
        .progress = &save->progress,
    };
    int64_t began = loop_now_ns();

    if (!memory_save_run(&memory, error)) {
        return false;
    }
    template_save_took(save, TEMPLATE_PART_MEMORY, began);
    return true;
}

const GByteArray *template_save_finish_state(TemplateSave *save,
                                             const uint8_t identity[FORMAT_IDENTITY_BYTES],
                                             GError **error)
{
    g_autoptr(GByteArray) map = g_byte_array_new();

    if (!vmstate_save(&template_map_vmstate, save->map, map, error)) {
        return NULL;
    }
    state_builder_add(&save->state, TEMPLATE_SECTION_MEMORY, "", map->data, map->len);
    if (!state_builder_finish(&save->state, identity, error)) {
        return NULL;
    }
    template_save_count(save, save->state.bytes->len);
    atomic_store(&save->progress.state_bytes, save->state.bytes->len);
    return save->state.bytes;
}

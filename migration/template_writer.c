/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/ram_backend.h"
#include "migration/memory_save.h"
#include "migration/state_file.h"
#include "migration/template.h"
#include "migration/template_dir.h"
#include "migration/template_map.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fault.h"
#include "util/fd.h"
#include "util/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct TemplateSave {
    /* fixed after template_save_new */
    TemplateDir dir;
    bool sync;
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

    save->sync = params->sync;
    save->bandwidth = params->bandwidth;
    save->threads = params->threads;
    save->ram = g_ptr_array_new();
    save->map = template_map_new();
    state_builder_init(&save->state);
    collect_ram(save, memory, params->ignore_shared);
    if (!template_dir_init(&save->dir, params->dir, params->direct_io, error)) {
        return NULL;
    }
    if (ftruncate(save->dir.memory_fd, (off_t)save->map->length) < 0) {
        return fail_errno_null(error, errno, "'%s': set size %" G_GUINT64_FORMAT,
                               save->dir.memory_path, save->map->length);
    }
    return g_steal_pointer(&save);
}

void template_save_free(TemplateSave *save)
{
    if (save) {
        template_dir_fini(&save->dir);
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
}

const TemplateProgress *template_save_progress(const TemplateSave *save)
{
    return &save->progress;
}

/* --- the run --- */

static bool check_cancelled(const TemplateSave *save, GError **error)
{
    return !atomic_load(&save->cancelled) || fail(error, VMM_ERROR_STATE, "the save was cancelled");
}

static bool write_trailer(TemplateSave *save, GError **error)
{
    FormatLabel label = {.length = save->map->length};
    /* Direct I/O wants it aligned. */
    _Alignas(FORMAT_TRAILER_BYTES) uint8_t trailer[FORMAT_TRAILER_BYTES] = {0};

    memcpy(label.identity, save->dir.identity, sizeof(label.identity));
    format_put_label(FORMAT_MEMORY, &label, trailer);
    atomic_fetch_add(&save->progress.bytes_written, sizeof(trailer));
    return fd_pwrite_all(save->dir.memory_fd, save->dir.memory_path, trailer, sizeof(trailer),
                         label.length - sizeof(trailer), error);
}

static bool save_memory(TemplateSave *save, GError **error)
{
    g_autoptr(PageMap) pages = page_map_new(PAGE_MAP_BEST);
    const MemorySave memory = {
        .fd = save->dir.memory_fd,
        .name = save->dir.memory_path,
        .map = save->map,
        .ram = (RamBackend *const *)save->ram->pdata,
        .pages = pages,
        .threads = save->threads,
        .bandwidth = save->bandwidth,
        .cancelled = &save->cancelled,
        .progress = &save->progress,
    };

    return memory_save_run(&memory, error) && write_trailer(save, error);
}

static bool save_state(TemplateSave *save, GError **error)
{
    g_autoptr(GByteArray) map = g_byte_array_new();
    GByteArray *bytes = save->state.bytes;
    int err = fault_errno("template-state-write");

    if (!vmstate_save(&template_map_vmstate, save->map, map, error)) {
        return false;
    }
    state_builder_add(&save->state, TEMPLATE_SECTION_MEMORY, "", map->data, map->len);
    if (!state_builder_finish(&save->state, save->dir.identity, error)) {
        return false;
    }
    if (err != 0) {
        return fail_errno(error, err, "%s: write %u bytes", save->dir.state_path, bytes->len);
    }
    atomic_fetch_add(&save->progress.bytes_written, bytes->len);
    atomic_store(&save->progress.state_bytes, bytes->len);
    return fd_write_all(save->dir.state_fd, save->dir.state_path, bytes->data, bytes->len, error);
}

/* Written back in slices, so that a cancel does not wait for all of it. */
#define SYNC_SLICE_BYTES (16 * MIB)

static bool sync_file(const TemplateSave *save, int fd, const char *path, uint64_t len,
                      GError **error)
{
    int err = fault_errno("template-sync");

    for (uint64_t at = 0; err == 0 && at < len; at += SYNC_SLICE_BYTES) {
        if (!check_cancelled(save, error)) {
            return false;
        }
        if (sync_file_range(fd, (off_t)at, (off_t)SYNC_SLICE_BYTES,
                            SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                SYNC_FILE_RANGE_WAIT_AFTER) < 0) {
            break; /* not every file system can; fsync has the last word on errors too */
        }
    }
    if (err == 0 && fsync(fd) < 0) {
        err = errno;
    }
    return err == 0 || fail_errno(error, err, "%s: sync", path);
}

static bool sync_files(const TemplateSave *save, GError **error)
{
    const TemplateDir *dir = &save->dir;

    return !save->sync ||
           (sync_file(save, dir->memory_fd, dir->memory_path, save->map->length, error) &&
            sync_file(save, dir->state_fd, dir->state_path, 0, error));
}

static bool publish(TemplateSave *save, GError **error)
{
    return sync_files(save, error) && check_cancelled(save, error) &&
           template_dir_publish(&save->dir, save->sync, error);
}

static bool run_timed(TemplateSave *save, bool (*part)(TemplateSave *save, GError **error),
                      atomic_uint_fast64_t *ret_ns, GError **error)
{
    int64_t began = loop_now_ns();

    if (!part(save, error)) {
        return false;
    }
    atomic_store(ret_ns, (uint64_t)(loop_now_ns() - began));
    return true;
}

bool template_save_run(TemplateSave *save, GError **error)
{
    TemplateProgress *progress = &save->progress;

    return check_cancelled(save, error) &&
           run_timed(save, save_memory, &progress->memory_ns, error) &&
           run_timed(save, save_state, &progress->state_ns, error) &&
           run_timed(save, publish, &progress->publish_ns, error);
}

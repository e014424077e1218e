/* SPDX-License-Identifier: Apache-2.0 */
/* A save into a folder: two files that change places as one (template_dir.h). */
#include "migration/template_dir.h"
#include "migration/template_sink.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fault.h"
#include "util/fd.h"
#include "util/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

typedef struct TemplateFolder {
    TemplateSink sink;
    TemplateDir dir;
    const TemplateMap *map;
    bool sync;
} TemplateFolder;

static bool write_run(void *opaque, const MemoryRun *run, GError **error)
{
    const TemplateFolder *folder = opaque;
    const TemplateDir *dir = &folder->dir;
    uint64_t offset = folder->map->images[run->image].offset + run->offset;
    int err = fault_errno("template-memory-write");

    if (err != 0) {
        return fail_errno(error, err, "%s: write %" PRIu64 " bytes at %" PRIu64, dir->memory_path,
                          run->len, offset);
    }
    return fd_pwrite_all(dir->memory_fd, dir->memory_path, run->data, run->len, offset, error);
}

static bool write_trailer(const TemplateFolder *folder, TemplateSave *save, GError **error)
{
    FormatLabel label = {.length = folder->map->length};
    /* Direct I/O wants it aligned. */
    _Alignas(FORMAT_TRAILER_BYTES) uint8_t trailer[FORMAT_TRAILER_BYTES] = {0};

    memcpy(label.identity, folder->dir.identity, sizeof(label.identity));
    format_put_label(FORMAT_MEMORY, &label, trailer);
    template_save_count(save, sizeof(trailer));
    return fd_pwrite_all(folder->dir.memory_fd, folder->dir.memory_path, trailer, sizeof(trailer),
                         label.length - sizeof(trailer), error);
}

static bool write_state(const TemplateFolder *folder, TemplateSave *save, GError **error)
{
    const TemplateDir *dir = &folder->dir;
    int64_t began = loop_now_ns();
    const GByteArray *bytes = template_save_finish_state(save, dir->identity, error);
    int err = fault_errno("template-state-write");

    if (!bytes) {
        return false;
    }
    if (err != 0) {
        return fail_errno(error, err, "%s: write %u bytes", dir->state_path, bytes->len);
    }
    if (!fd_write_all(dir->state_fd, dir->state_path, bytes->data, bytes->len, error)) {
        return false;
    }
    template_save_took(save, TEMPLATE_PART_STATE, began);
    return true;
}

/* Written back in slices, so that a cancel does not wait for all of it. */
#define SYNC_SLICE_BYTES (16 * MIB)

static bool sync_file(const TemplateSave *save, int fd, const char *path, uint64_t len,
                      GError **error)
{
    int err = fault_errno("template-sync");

    for (uint64_t at = 0; err == 0 && at < len; at += SYNC_SLICE_BYTES) {
        if (!template_save_check_cancelled(save, error)) {
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

static bool sync_files(const TemplateFolder *folder, const TemplateSave *save, GError **error)
{
    const TemplateDir *dir = &folder->dir;

    return !folder->sync ||
           (sync_file(save, dir->memory_fd, dir->memory_path, folder->map->length, error) &&
            sync_file(save, dir->state_fd, dir->state_path, 0, error));
}

static bool publish(TemplateFolder *folder, TemplateSave *save, GError **error)
{
    int64_t began = loop_now_ns();

    if (!sync_files(folder, save, error) || !template_save_check_cancelled(save, error) ||
        !template_dir_publish(&folder->dir, folder->sync, error)) {
        return false;
    }
    template_save_took(save, TEMPLATE_PART_PUBLISH, began);
    return true;
}

static bool run_folder(TemplateSink *sink, TemplateSave *save, GError **error)
{
    TemplateFolder *folder = (TemplateFolder *)sink;

    return template_save_write_memory(save, /* threads= */ 0, write_run, folder, error) &&
           write_trailer(folder, save, error) && write_state(folder, save, error) &&
           publish(folder, save, error);
}

static void free_folder(TemplateSink *sink)
{
    TemplateFolder *folder = (TemplateFolder *)sink;

    template_dir_fini(&folder->dir);
    g_free(folder);
}

static const TemplateSinkOps folder_ops = {.run = run_folder, .free = free_folder};

TemplateSink *template_folder_new(const TemplateSaveParams *params, const TemplateMap *map,
                                  GError **error)
{
    TemplateFolder *folder = g_new0(TemplateFolder, 1);

    folder->sink.ops = &folder_ops;
    folder->map = map;
    folder->sync = params->sync;
    if (!template_dir_init(&folder->dir, params->dir, params->direct_io, error)) {
        free_folder(&folder->sink);
        return NULL;
    }
    if (ftruncate(folder->dir.memory_fd, (off_t)map->length) < 0) {
        fail_errno(error, errno, "'%s': set size %" PRIu64, folder->dir.memory_path, map->length);
        free_folder(&folder->sink);
        return NULL;
    }
    return &folder->sink;
}

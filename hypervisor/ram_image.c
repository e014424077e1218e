/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RAM that begins with the content of a file: mapped where that can be, else filled while it is in
 * use, else copied before.
 */
#include "hypervisor/ram_image.h"

#include "hypervisor/ram_lazy.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/thread.h"

#include <inttypes.h>
#include <stdatomic.h>

#define MAX_COPY_THREADS 16
#define COPY_STEP        (4 * MIB)
#define STEP_PAGES       (COPY_STEP / PAGE_BYTES)

bool ram_image_can_map(const RamBackendConfig *config)
{
    return config->kind == RAM_ANONYMOUS && !config->shared && !config->rom;
}

/* One copy, shared by its threads. */
typedef struct Copy {
    const RamBackend *backend;
    const RamImage *image;
    PageMap *map;
    atomic_uint_fast64_t next; /* the first byte that nobody has taken yet */
    atomic_bool stop;
} Copy;

typedef struct CopyThread {
    Copy *copy;
    GThread *thread; /* NULL: the caller's own */
    GError *error;
} CopyThread;

/* What was there before, as in a file that the user gave as RAM, gives way to zeroes. */
static void zero_hole(const Copy *copy, uint64_t offset, uint64_t len)
{
    const RamBackend *backend = copy->backend;
    uint64_t bits[PAGE_BITS_WORDS(STEP_PAGES)] = {0};
    uint64_t first = 0;
    uint64_t count = 0;

    ram_backend_find_data(backend, copy->map, offset, len, bits);
    while (page_bits_next_run(bits, first + count, len / PAGE_BYTES, &first, &count)) {
        uint8_t *at = backend->hva + offset + first * PAGE_BYTES;

        if (!page_is_zero(at, count * PAGE_BYTES)) {
            memset(at, 0, count * PAGE_BYTES);
        }
    }
}

static bool copy_step(const Copy *copy, uint64_t offset, uint64_t len, GError **error)
{
    const RamImage *image = copy->image;
    uint64_t bits[PAGE_BITS_WORDS(STEP_PAGES)] = {0};
    uint64_t pages = len / PAGE_BYTES;
    uint64_t done = 0;
    uint64_t first;
    uint64_t count;

    page_map_find_file_data(image->fd, image->offset + offset, len, bits);
    while (page_bits_next_run(bits, done, pages, &first, &count)) {
        uint64_t at = offset + first * PAGE_BYTES;

        if (first > done) {
            zero_hole(copy, offset + done * PAGE_BYTES, (first - done) * PAGE_BYTES);
        }
        if (!fd_pread_all(image->fd, image->name, copy->backend->hva + at, count * PAGE_BYTES,
                          image->offset + at, error)) {
            return false;
        }
        done = first + count;
    }
    if (pages > done) {
        zero_hole(copy, offset + done * PAGE_BYTES, (pages - done) * PAGE_BYTES);
    }
    return true;
}

static void *copy_thread(void *opaque)
{
    CopyThread *self = opaque;
    Copy *copy = self->copy;

    while (!atomic_load(&copy->stop)) {
        uint64_t offset = atomic_fetch_add(&copy->next, COPY_STEP);

        if (offset >= copy->backend->size) {
            break;
        }
        if (!copy_step(copy, offset, MIN(COPY_STEP, copy->backend->size - offset), &self->error)) {
            atomic_store(&copy->stop, true);
        }
    }
    return NULL;
}

static bool copy_all(const RamBackend *backend, const RamImage *image, GError **error)
{
    g_autoptr(PageMap) map = page_map_new(PAGE_MAP_BEST);
    Copy copy = {.backend = backend, .image = image, .map = map};
    CopyThread threads[MAX_COPY_THREADS] = {{.copy = &copy}};
    uint64_t steps = (backend->size + COPY_STEP - 1) / COPY_STEP;
    unsigned count = (unsigned)MIN(MIN(g_get_num_processors(), MAX_COPY_THREADS), steps);
    GError *first = NULL;

    for (unsigned i = 1; i < count; i++) {
        threads[i].copy = &copy;
        threads[i].thread =
            thread_start(THREAD_MIGRATION, "ram-copy", copy_thread, &threads[i], NULL);
    }
    copy_thread(&threads[0]);
    for (unsigned i = 0; i < count; i++) {
        if (threads[i].thread) {
            g_thread_join(threads[i].thread);
        }
        if (threads[i].error && !first) {
            first = g_steal_pointer(&threads[i].error);
        }
        g_clear_error(&threads[i].error);
    }
    if (first) {
        g_propagate_error(error, first);
        return false;
    }
    return true;
}

static bool check_image(const RamBackend *backend, const RamImage *image, GError **error)
{
    return image->size == backend->size ||
           fail(error, VMM_ERROR_CONFIG, "%s holds %" PRIu64 " bytes for it, expected %" PRIu64,
                image->name, image->size, backend->size);
}

/* As ram_image_can_map, of what has been made. */
static bool is_mappable(const RamBackend *backend)
{
    return backend->fd < 0 && !backend->rom;
}

bool ram_image_map(RamBackend *backend, const RamImage *image, GError **error)
{
    if (!image || (image->mode != RAM_IMAGE_MAP &&
                   !(image->mode == RAM_IMAGE_AUTO && is_mappable(backend)))) {
        return true;
    }
    if (!is_mappable(backend)) {
        return fail(error, VMM_ERROR_CONFIG,
                    "an image can be mapped over private anonymous memory only: expected a copy");
    }

    const FilePart file = {
        .fd = image->fd,
        .name = image->name,
        .offset = image->offset,
        .len = image->size,
    };

    return check_image(backend, image, error) && ram_backend_overlay(backend, 0, &file, error);
}

static bool fill_lazily(RamBackend *backend, const RamImage *image, GError **error)
{
    backend->lazy = ram_lazy_new(backend, image, error);
    return backend->lazy != NULL;
}

/*
 * Others may look into a file that has a name, and would see what is not there yet as zeroes; and who
 * wants all memory at the start wants it filled.
 */
static bool may_be_lazy(RamBackend *backend, const RamImage *image)
{
    g_autoptr(GError) error = NULL;

    if (backend->has_name || backend->prealloc) {
        return false;
    }
    if (!fill_lazily(backend, image, &error)) {
        log_line(LOG_LEVEL_INFO, "memory %s is copied before the guest starts: %s", backend->id,
                 error->message);
    }
    return backend->lazy != NULL;
}

bool ram_image_fill(RamBackend *backend, const RamImage *image, GError **error)
{
    if (!image || image->mode == RAM_IMAGE_MAP ||
        (image->mode == RAM_IMAGE_AUTO && is_mappable(backend))) {
        return true;
    }
    if (backend->readonly && backend->shared) {
        return fail(error, VMM_ERROR_CONFIG, "it is read-only: nothing can be loaded into it");
    }
    if (!check_image(backend, image, error)) {
        return false;
    }
    if (image->mode == RAM_IMAGE_LAZY) {
        return fill_lazily(backend, image, error);
    }
    return (image->mode == RAM_IMAGE_AUTO && may_be_lazy(backend, image)) ||
           copy_all(backend, image, error);
}

bool guest_mem_load_image(RamBackend *backend, const RamImage *image, GError **error)
{
    bool ok;

    g_clear_pointer(&backend->lazy, ram_lazy_free);
    ok = (backend->fd >= 0 || ram_backend_clear(backend, error)) &&
         ram_image_map(backend, image, error) && ram_backend_bind(backend, error) &&
         ram_image_fill(backend, image, error);
    if (!ok) {
        g_prefix_error(error, "memory %s: ", backend->id);
    }
    return ok;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads over the chunks of one `memory`. */
#include "migration/memory_save.h"

#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/thread.h"

#include <inttypes.h>

#define MAX_THREADS 16

typedef struct Walk {
    const TemplateMap *map;
    MemoryChunkFn fn;
    void *opaque;
    atomic_uint_fast32_t next; /* the first chunk that nobody has taken yet */
    atomic_bool stop;
} Walk;

typedef struct WalkThread {
    Walk *walk;
    GThread *thread; /* NULL: the caller's own */
    GError *error;
} WalkThread;

static bool find_chunk(const TemplateMap *map, uint32_t number, MemoryChunk *ret_chunk)
{
    uint64_t left = number;

    for (uint32_t i = 0; i < map->num_images; i++) {
        const TemplateImage *image = &map->images[i];
        uint64_t chunks = template_image_chunks(map, image);

        if (left < chunks) {
            ret_chunk->image = i;
            ret_chunk->number = number;
            ret_chunk->offset = left * map->chunk_bytes;
            ret_chunk->len = MIN(map->chunk_bytes, image->size - ret_chunk->offset);
            return true;
        }
        left -= chunks;
    }
    return false;
}

static void *walk_thread(void *opaque)
{
    WalkThread *self = opaque;
    Walk *walk = self->walk;
    MemoryChunk chunk;

    while (!atomic_load(&walk->stop) &&
           find_chunk(walk->map, (uint32_t)atomic_fetch_add(&walk->next, 1), &chunk)) {
        if (!walk->fn(walk->opaque, &chunk, &self->error)) {
            atomic_store(&walk->stop, true);
        }
    }
    return NULL;
}

bool memory_each_chunk(const TemplateMap *map, unsigned threads, MemoryChunkFn fn, void *opaque,
                       GError **error)
{
    Walk walk = {.map = map, .fn = fn, .opaque = opaque};
    WalkThread pool[MAX_THREADS] = {{.walk = &walk}};
    unsigned wanted = threads != 0 ? threads : g_get_num_processors();
    unsigned count = (unsigned)MIN(MIN(wanted, MAX_THREADS), MAX(map->num_checksums, 1));
    g_autoptr(GError) first = NULL;

    for (unsigned i = 1; i < count; i++) {
        pool[i].walk = &walk;
        /* Without it the others do its part. */
        pool[i].thread = thread_start(THREAD_MIGRATION, "template", walk_thread, &pool[i], NULL);
    }
    walk_thread(&pool[0]);
    for (unsigned i = 0; i < count; i++) {
        if (pool[i].thread) {
            g_thread_join(pool[i].thread);
        }
        if (pool[i].error && !first) {
            first = g_steal_pointer(&pool[i].error);
        }
        g_clear_error(&pool[i].error);
    }
    if (first) {
        g_propagate_error(error, g_steal_pointer(&first));
        return false;
    }
    return true;
}

uint32_t memory_chunk_checksum(uint32_t crc, const uint8_t *data, size_t len, uint64_t page)
{
    for (size_t at = 0; at < len; at += PAGE_BYTES) {
        uint8_t number[sizeof(uint64_t)];

        store_le64(number, page + at / PAGE_BYTES);
        crc = crc32c(crc32c(crc, number, sizeof(number)), data + at, PAGE_BYTES);
    }
    return crc;
}

/* --- verifying --- */

#define VERIFY_STEP (256 * KIB)

typedef struct Verify {
    int fd;
    const char *name;
    const TemplateMap *map;
} Verify;

static bool verify_chunk(void *opaque, const MemoryChunk *chunk, GError **error)
{
    const Verify *verify = opaque;
    const TemplateImage *image = &verify->map->images[chunk->image];
    g_autofree uint8_t *buffer = g_malloc(VERIFY_STEP);
    uint32_t crc = 0;

    for (uint64_t at = 0; at < chunk->len; at += VERIFY_STEP) {
        uint64_t n = MIN(VERIFY_STEP, chunk->len - at);

        if (!fd_pread_all(verify->fd, verify->name, buffer, n, image->offset + chunk->offset + at,
                          error)) {
            return false;
        }
        for (uint64_t page = 0; page < n; page += PAGE_BYTES) {
            if (!page_is_zero(buffer + page, PAGE_BYTES)) {
                crc = memory_chunk_checksum(crc, buffer + page, PAGE_BYTES,
                                            (chunk->offset + at + page) / PAGE_BYTES);
            }
        }
    }
    if (crc != verify->map->checksums[chunk->number]) {
        return fail(error, VMM_ERROR_WIRE,
                    "%s: memory %s at 0x%" PRIx64 " +0x%" PRIx64
                    " is damaged: checksum 0x%08" PRIx32 ", expected 0x%08" PRIx32,
                    verify->name, template_image_id(image), chunk->offset, chunk->len, crc,
                    verify->map->checksums[chunk->number]);
    }
    return true;
}

bool memory_verify_run(int fd, const char *name, const TemplateMap *map, GError **error)
{
    Verify verify = {.fd = fd, .name = name, .map = map};

    /* What came in records was verified when it came. */
    return map->in_records ||
           memory_each_chunk(map, /* threads= */ 0, verify_chunk, &verify, error);
}

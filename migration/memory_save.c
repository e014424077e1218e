/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/memory_save.h"

#include "hypervisor/ram_backend.h"
#include "hypervisor/ram_lazy.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/lock.h"

#include <time.h>

/* What is checked, summed and written in one go: fits the cache next to the page cache's pages. */
#define PIECE_PAGES   (MEMORY_RUN_MAX_BYTES / PAGE_BYTES)

#define NS_PER_SECOND INT64_C(1000000000)

/* How soon a cancelled save notices while it waits for its bandwidth. */
#define MAX_NAP_NS INT64_C(2000000)

/* Writers book time, one after the other, and sleep until it has come. */
typedef struct Pace {
    uint64_t bandwidth;
    Mutex lock;
    int64_t free_ns; /* guarded by lock; when the next one may write */
} Pace;

typedef struct Work {
    const MemorySave *save;
    Pace pace;
} Work;

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

static bool check_cancelled(const MemorySave *save, GError **error)
{
    return !atomic_load_explicit(save->cancelled, memory_order_relaxed) ||
           fail(error, VMM_ERROR_STATE, "the save was cancelled");
}

static bool wait_for_pace(Work *work, uint64_t len, GError **error)
{
    Pace *pace = &work->pace;

    if (pace->bandwidth == 0) {
        return check_cancelled(work->save, error);
    }
    mutex_lock(&pace->lock);

    int64_t now = now_ns();
    int64_t start = MAX(pace->free_ns, now);

    /* len is a piece at most, so that the product fits. */
    pace->free_ns = start + (int64_t)(len * (uint64_t)NS_PER_SECOND / pace->bandwidth);
    mutex_unlock(&pace->lock);
    for (;;) {
        int64_t left = start - now_ns();

        if (!check_cancelled(work->save, error)) {
            return false;
        }
        if (left <= 0) {
            return true;
        }
        nanosleep(&(struct timespec){.tv_nsec = MIN(left, MAX_NAP_NS)}, NULL);
    }
}

static bool write_run(Work *work, const MemoryRun *run, GError **error)
{
    const MemorySave *save = work->save;

    if (!wait_for_pace(work, run->len, error) || !save->write(save->opaque, run, error)) {
        return false;
    }
    atomic_fetch_add(&save->progress->normal, run->len / PAGE_BYTES);
    atomic_fetch_add(&save->progress->bytes_written, run->len);
    return true;
}

/* Where in the pages from *at on up to end the next run without zero pages is. */
static bool next_filled(const uint8_t *hva, uint64_t *at, uint64_t end, uint64_t *ret_count)
{
    uint64_t first = *at;
    uint64_t past;

    while (first < end && page_is_zero(hva + first * PAGE_BYTES, PAGE_BYTES)) {
        first++;
    }
    past = first;
    while (past < end && past - first < PIECE_PAGES &&
           (past == first || !page_is_zero(hva + past * PAGE_BYTES, PAGE_BYTES))) {
        past++;
    }
    *at = first;
    *ret_count = past - first;
    return past > first;
}

static void add_to_checksum(const TemplateMap *map, const MemoryChunk *chunk, const MemoryRun *run)
{
    if (!map->in_records) {
        uint32_t *crc = &map->checksums[chunk->number];

        *crc = memory_chunk_checksum(*crc, run->data, run->len, run->offset / PAGE_BYTES);
    }
}

/* Pages [first, first + count) of a chunk, all of which may hold something. */
static bool save_pages(Work *work, const MemoryChunk *chunk, uint64_t first, uint64_t count,
                       uint64_t *written, GError **error)
{
    const MemorySave *save = work->save;
    const uint8_t *hva = save->ram[chunk->image]->hva + chunk->offset;
    uint64_t at = first;
    uint64_t filled;

    while (next_filled(hva, &at, first + count, &filled)) {
        const MemoryRun run = {
            .image = chunk->image,
            .offset = chunk->offset + at * PAGE_BYTES,
            .data = hva + at * PAGE_BYTES,
            .len = filled * PAGE_BYTES,
        };

        add_to_checksum(save->map, chunk, &run);
        if (!write_run(work, &run, error)) {
            return false;
        }
        at += filled;
        *written += filled;
    }
    return true;
}

static bool save_chunk(void *opaque, const MemoryChunk *chunk, GError **error)
{
    Work *work = opaque;
    const MemorySave *save = work->save;
    uint64_t pages = chunk->len / PAGE_BYTES;
    g_autofree uint64_t *bits = g_new0(uint64_t, PAGE_BITS_WORDS(pages));
    uint64_t first = 0;
    uint64_t count = 0;
    uint64_t written = 0;

    if (!check_cancelled(save, error)) {
        return false;
    }
    ram_backend_find_data(save->ram[chunk->image], save->pages, chunk->offset, chunk->len, bits);
    while (page_bits_next_run(bits, first + count, pages, &first, &count)) {
        if (!save_pages(work, chunk, first, count, &written, error)) {
            return false;
        }
    }
    atomic_fetch_add(&save->progress->duplicate, pages - written);
    atomic_fetch_add(&save->progress->transferred, chunk->len);
    return true;
}

/* RAM that came from a template which broke meanwhile is not what it should be. */
static bool check_ram(const MemorySave *save, GError **error)
{
    for (uint32_t i = 0; i < save->map->num_images; i++) {
        RamLazy *lazy = save->ram[i]->lazy;

        if (lazy && !ram_lazy_check(lazy, error)) {
            return false;
        }
    }
    return true;
}

bool memory_save_run(const MemorySave *save, GError **error)
{
    Work work = {.save = save, .pace = {.bandwidth = save->bandwidth}};
    bool ok;

    mutex_init(&work.pace.lock);
    ok = memory_each_chunk(save->map, save->threads, save_chunk, &work, error) &&
         check_ram(save, error);
    mutex_fini(&work.pace.lock);
    return ok;
}

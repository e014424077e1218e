/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_MEMORY_SAVE_H
#define MIGRATION_MEMORY_SAVE_H

/*
 * Walks through guest RAM and hands on what holds anything, on several threads.  Each takes one
 * chunk (template_map.h) after the other and goes through it in three steps, a piece at a time so
 * that the piece stays in the processor's cache: is the page zero, its checksum, write.
 *
 *     chunk    |  never written  | zero | data data data | zero | data |  never written  |
 *     write    |                        |       run      |      |  run |                 |
 *     memory   |            hole        |     pwrite     | hole |  pw  |      hole       |
 *     stream   |                        |     record     |      | rec. |                 |
 */

#include "hypervisor/memory.h"
#include "migration/template.h"
#include "migration/template_map.h"
#include "util/page_map.h"

/* Whole pages of an image, none of which is zero; MEMORY_RUN_MAX_BYTES at most. */
typedef struct MemoryRun {
    uint32_t image;  /* its number in the map */
    uint64_t offset; /* in the image */
    const uint8_t *data;
    uint64_t len;
} MemoryRun;

#define MEMORY_RUN_MAX_BYTES (UINT64_C(256) << 10)

/* On any of the threads; with one thread, in the order of images and offsets. */
typedef bool (*MemoryWriteFn)(void *opaque, const MemoryRun *run, GError **error);

/* What one save is about; all of it belongs to the caller. */
typedef struct MemorySave {
    MemoryWriteFn write;
    void *opaque;           /* write's own */
    TemplateMap *map;       /* its checksums are filled in, if it has any */
    RamBackend *const *ram; /* one for each image of map */
    const PageMap *pages;
    unsigned threads;
    uint64_t bandwidth; /* bytes a second; 0: no limit */
    const atomic_bool *cancelled;
    TemplateProgress *progress;
} MemorySave;

bool memory_save_run(const MemorySave *save, GError **error);

/* Compares a file with its map's checksums, in the same manner. */
bool memory_verify_run(int fd, const char *name, const TemplateMap *map, GError **error);

/*
 * Goes on with a chunk's checksum: the pages of [data, data + len), none of which is zero and the first
 * of which has this number in the image.
 */
uint32_t memory_chunk_checksum(uint32_t crc, const uint8_t *data, size_t len, uint64_t page);

/*
 * Calls fn for each chunk of map, on threads threads including the caller's, until one fails; the
 * error is the first one's.  opaque is fn's own.
 */
typedef struct MemoryChunk {
    uint32_t image;  /* its number in the map */
    uint64_t offset; /* in the image */
    uint64_t len;
    uint32_t number; /* among all chunks */
} MemoryChunk;

typedef bool (*MemoryChunkFn)(void *opaque, const MemoryChunk *chunk, GError **error);

bool memory_each_chunk(const TemplateMap *map, unsigned threads, MemoryChunkFn fn, void *opaque,
                       GError **error);

#endif

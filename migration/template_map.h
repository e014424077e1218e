/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_TEMPLATE_MAP_H
#define MIGRATION_TEMPLATE_MAP_H

/*
 * What `memory` holds and where: the payload of the section MEMORY.
 *
 * Images are cut into chunks, each with a checksum: the CRC-32C over all of its pages that are not
 * zero, each preceded by its number in the image (8 bytes); 0 if there is none.  So a hole counts
 * like written zeroes, and a copy of the file that filled its holes still verifies.
 *
 * In a stream the map comes first, when nothing was read yet: there it has no checksums and says
 * so (in_records), because each record of the stream has its own.
 */

#include "migration/format.h"
#include "migration/vmstate.h"

#define TEMPLATE_MAP_NAME_BYTES (FORMAT_MAX_NAME_BYTES + 1)

typedef struct TemplateImage {
    uint8_t id[TEMPLATE_MAP_NAME_BYTES]; /* of the backend; text that ends in a zero */
    uint8_t stored; /* 0: `memory` does not have it: ROM, or a file that has it */
    uint64_t offset;
    uint64_t size;
} TemplateImage;

typedef struct TemplateMap {
    uint64_t length; /* of `memory`, its trailer included */
    uint64_t chunk_bytes;
    TemplateImage *images; /* in the order of their offsets */
    uint32_t num_images;
    uint32_t *checksums; /* of the chunks of the first stored image, then of the next */
    uint32_t num_checksums;
    uint8_t in_records; /* 1: of a stream, and num_checksums is 0 */
} TemplateMap;

extern const VmStateDesc template_map_vmstate;

TemplateMap *template_map_new(void);
void template_map_free(TemplateMap *map); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TemplateMap, template_map_free)

/* Appends an image; then lays out: offsets, chunk size, room for checksums if any, length. */
void template_map_add(TemplateMap *map, const char *id, uint64_t size, bool stored);
void template_map_lay_out(TemplateMap *map);

const char *template_image_id(const TemplateImage *image);
uint64_t template_image_chunks(const TemplateMap *map, const TemplateImage *image);

/* NULL if there is none. */
const TemplateImage *template_map_find(const TemplateMap *map, const char *id);

#endif

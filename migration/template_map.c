/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/template_map.h"

#include "util/bytes.h"
#include "util/error.h"

#include <inttypes.h>
#include <string.h>

#define MAX_IMAGES    1024
#define MAX_CHECKSUMS (UINT32_C(1) << 20)

/* Chunks grow with the RAM, so that checksums stay a small part of a small file. */
#define MIN_CHUNK_BYTES (1 * MIB)
#define MAX_CHUNK_BYTES (64 * MIB)
#define WANTED_CHUNKS   4096

/* Of one image; what a 64-bit address space could hold, and no sum of it wraps. */
#define MAX_IMAGE_BYTES (UINT64_C(1) << 52)

TemplateMap *template_map_new(void)
{
    return g_new0(TemplateMap, 1);
}

void template_map_free(TemplateMap *map)
{
    if (map) {
        g_free(map->images);
        g_free(map->checksums);
        g_free(map);
    }
}

const char *template_image_id(const TemplateImage *image)
{
    return (const char *)image->id;
}

uint64_t template_image_chunks(const TemplateMap *map, const TemplateImage *image)
{
    return image->stored ? (image->size + map->chunk_bytes - 1) / map->chunk_bytes : 0;
}

const TemplateImage *template_map_find(const TemplateMap *map, const char *id)
{
    for (uint32_t i = 0; i < map->num_images; i++) {
        if (strcmp(template_image_id(&map->images[i]), id) == 0) {
            return &map->images[i];
        }
    }
    return NULL;
}

void template_map_add(TemplateMap *map, const char *id, uint64_t size, bool stored)
{
    TemplateImage image = {.size = size, .stored = stored};

    g_strlcpy((char *)image.id, id, sizeof(image.id));
    map->images = g_renew(TemplateImage, map->images, map->num_images + 1);
    map->images[map->num_images++] = image;
}

static uint64_t count_chunks(const TemplateMap *map)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < map->num_images; i++) {
        count += template_image_chunks(map, &map->images[i]);
    }
    return count;
}

void template_map_lay_out(TemplateMap *map)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < map->num_images; i++) {
        TemplateImage *image = &map->images[i];

        if (image->stored) {
            image->offset = end;
            end = align_up(end + image->size, FORMAT_IMAGE_ALIGN_BYTES);
        }
    }
    map->length = end + FORMAT_TRAILER_BYTES;
    map->chunk_bytes = MIN_CHUNK_BYTES;
    while (count_chunks(map) > WANTED_CHUNKS && map->chunk_bytes < MAX_CHUNK_BYTES) {
        map->chunk_bytes *= 2;
    }
    map->num_checksums = map->in_records ? 0 : (uint32_t)count_chunks(map);
    map->checksums = g_new0(uint32_t, map->num_checksums);
}

/* --- the payload --- */

static bool check_image(const TemplateMap *map, uint32_t index, uint64_t *end, GError **error)
{
    const TemplateImage *image = &map->images[index];
    uint64_t limit = map->length - FORMAT_TRAILER_BYTES;

    if (!memchr(image->id, 0, sizeof(image->id))) {
        return fail(error, VMM_ERROR_WIRE, "images[%" PRIu32 "].id: does not end", index);
    }
    if (template_map_find(map, template_image_id(image)) != image) {
        return fail(error, VMM_ERROR_WIRE, "images[%" PRIu32 "].id: is there twice", index);
    }
    if (image->size == 0 || image->size > MAX_IMAGE_BYTES || !is_aligned(image->size, PAGE_BYTES)) {
        return fail(error, VMM_ERROR_WIRE, "images[%" PRIu32 "].size: %" PRIu64 " is out of range",
                    index, image->size);
    }
    if (!image->stored) {
        return true;
    }
    if (!is_aligned(image->offset, FORMAT_IMAGE_ALIGN_BYTES) || image->offset < *end ||
        !range_fits(image->offset, image->size, limit)) {
        return fail(error, VMM_ERROR_WIRE,
                    "images[%" PRIu32 "].offset: %" PRIu64
                    " is not a multiple of 2 MiB, not behind its predecessor or beyond %" PRIu64,
                    index, image->offset, limit);
    }
    *end = image->offset + image->size;
    return true;
}

static bool check_map(void *opaque, uint32_t version, GError **error)
{
    const TemplateMap *map = opaque;
    uint64_t end = 0;

    (void)version;
    if (map->length < FORMAT_TRAILER_BYTES || map->length > INT64_MAX ||
        !is_aligned(map->length, PAGE_BYTES)) {
        return fail(error, VMM_ERROR_WIRE, "length: %" PRIu64 " is out of range", map->length);
    }
    if (!is_power_of_two(map->chunk_bytes) || map->chunk_bytes < MIN_CHUNK_BYTES ||
        map->chunk_bytes > MAX_CHUNK_BYTES) {
        return fail(error, VMM_ERROR_WIRE, "chunk_bytes: %" PRIu64 " is out of range",
                    map->chunk_bytes);
    }
    for (uint32_t i = 0; i < map->num_images; i++) {
        if (!check_image(map, i, &end, error)) {
            return false;
        }
    }
    uint64_t expected = map->in_records ? 0 : count_chunks(map);

    return map->num_checksums == expected ||
           fail(error, VMM_ERROR_WIRE, "num_checksums: %" PRIu32 ", expected %" PRIu64 "%s",
                map->num_checksums, expected,
                map->in_records ? " in a stream" : ", one for each chunk");
}

static const VmStateField image_fields[] = {
    VMSTATE_FIELD_BYTES(TemplateImage, id, 1),
    VMSTATE_FIELD_BOOL(TemplateImage, stored, 1),
    VMSTATE_FIELD_U64(TemplateImage, offset, 1),
    VMSTATE_FIELD_U64(TemplateImage, size, 1),
};

static const VmStateDesc image_vmstate = {
    .name = "template-image",
    .version = 1,
    .min_version = 1,
    .fields = image_fields,
    .num_fields = G_N_ELEMENTS(image_fields),
};

static const VmStateField map_fields[] = {
    VMSTATE_FIELD_U64(TemplateMap, length, 1),
    VMSTATE_FIELD_U64(TemplateMap, chunk_bytes, 1),
    VMSTATE_FIELD_STRUCT_BUFFER(TemplateMap, images, num_images, MAX_IMAGES, TemplateImage,
                                &image_vmstate, 1),
    VMSTATE_FIELD_U32_BUFFER(TemplateMap, checksums, num_checksums, MAX_CHECKSUMS, 1),
};

static bool is_in_records(const void *opaque)
{
    const TemplateMap *map = opaque;

    return map->in_records;
}

static const VmStateField records_fields[] = {
    VMSTATE_FIELD_BOOL(TemplateMap, in_records, 1),
};

/* What reads folders only does not know it, and refuses the map of a stream. */
static const VmStateDesc records_vmstate = {
    .name = "records",
    .version = 1,
    .min_version = 1,
    .fields = records_fields,
    .num_fields = G_N_ELEMENTS(records_fields),
    .needed = is_in_records,
};

static const VmStateDesc *const map_subsections[] = {&records_vmstate};

const VmStateDesc template_map_vmstate = {
    .name = "template-map",
    .version = 1,
    .min_version = 1,
    .fields = map_fields,
    .num_fields = G_N_ELEMENTS(map_fields),
    .subsections = map_subsections,
    .num_subsections = G_N_ELEMENTS(map_subsections),
    .post_load = check_map,
};

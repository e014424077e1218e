/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a template, byte by byte.  A fuzzer would only ever meet the checksums, so the input
 * comes without them: the first byte says how to go on.
 *
 *     even   the rest is a whole state, taken as it is
 *     odd    the rest is a list of sections, which get a label and checksums that are right
 */
#include "migration/state_file.h"
#include "migration/template_map.h"
#include "migration/vmstate.h"
#include "util/bytes.h"
#include "util/crc32c.h"

#include <json-c/json.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t identity[FORMAT_IDENTITY_BYTES] = {1, 2, 3};

static void use(const StateFile *state)
{
    const TemplateSection *map_section = state_file_find(state, TEMPLATE_SECTION_MEMORY, "");
    g_autoptr(TemplateMap) map = template_map_new();

    for (guint i = 0; i < state->sections->len; i++) {
        const TemplateSection *section = &g_array_index(state->sections, TemplateSection, i);

        g_assert(template_section_kind_name(section->kind));
        g_assert(state_file_find(state, section->kind, section->name) == section);
        json_object_put(vmstate_dump(section->data, section->len, NULL));
    }
    if (map_section &&
        vmstate_load(&template_map_vmstate, map, map_section->data, map_section->len, NULL)) {
        for (uint32_t i = 0; i < map->num_images; i++) {
            const TemplateImage *image = &map->images[i];

            g_assert(!image->stored || image->offset + image->size <= map->length);
            g_assert(template_map_find(map, template_image_id(image)) == image);
        }
    }
}

static void parse(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(StateFile) state = state_file_parse_take(g_memdup2(data, size), size, &error);

    g_assert((state != NULL) == (error == NULL));
    if (state) {
        use(state);
    }
}

/* kind u16, name length u8, payload length u16, name, payload */
#define HEAD_BYTES 5

static void parse_sections(const uint8_t *data, size_t size)
{
    StateBuilder builder;

    state_builder_init(&builder);
    while (size >= HEAD_BYTES) {
        uint16_t kind = load_le16(data);
        size_t name_len = data[2];
        size_t len = load_le16(data + 3);

        data += HEAD_BYTES;
        size -= HEAD_BYTES;
        if (name_len > size || len > size - name_len) {
            break;
        }

        g_autofree char *name = g_strndup((const char *)data, name_len);

        state_builder_add(&builder, kind, name, data + name_len, len);
        data += name_len + len;
        size -= name_len + len;
    }
    if (state_builder_finish(&builder, identity, NULL)) {
        parse(builder.bytes->data, builder.bytes->len);
    }
    state_builder_fini(&builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] % 2 == 0) {
        parse(data + 1, size - 1);
    } else if (size > 0) {
        parse_sections(data + 1, size - 1);
    }
    return 0;
}

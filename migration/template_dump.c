/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/template_dump.h"

#include "migration/state_file.h"
#include "migration/template_dir.h"
#include "migration/template_map.h"
#include "migration/template_reader_private.h"
#include "migration/vmstate.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/text.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>

static void add(json_object *to, const char *key, json_object *value)
{
    json_object_object_add(to, key, value);
}

static json_object *dump_config(const TemplateSection *section, GError **error)
{
    json_tokener *tokener = json_tokener_new();
    json_object *config = json_tokener_parse_ex(tokener, section->data, (int)section->len);

    json_tokener_free(tokener);
    return config ? config : fail_null(error, VMM_ERROR_WIRE, "it is not JSON");
}

static json_object *dump_image(const TemplateImage *image)
{
    json_object *json = json_object_new_object();

    add(json, "id", json_object_new_string(template_image_id(image)));
    add(json, "stored", json_object_new_boolean(image->stored));
    add(json, "offset", json_object_new_uint64(image->offset));
    add(json, "size", json_object_new_uint64(image->size));
    return json;
}

/* With ids as text, which the table knows as bytes only. */
static json_object *dump_map(const TemplateSection *section, GError **error)
{
    g_autoptr(TemplateMap) map = template_map_new();
    json_object *json;
    json_object *images;
    json_object *checksums;

    if (!vmstate_load(&template_map_vmstate, map, section->data, section->len, error)) {
        return NULL;
    }
    json = json_object_new_object();
    images = json_object_new_array();
    checksums = json_object_new_array();
    for (uint32_t i = 0; i < map->num_images; i++) {
        json_object_array_add(images, dump_image(&map->images[i]));
    }
    for (uint32_t i = 0; i < map->num_checksums; i++) {
        json_object_array_add(checksums, json_object_new_uint64(map->checksums[i]));
    }
    add(json, "length", json_object_new_uint64(map->length));
    add(json, "chunk-bytes", json_object_new_uint64(map->chunk_bytes));
    add(json, "images", images);
    add(json, "checksums", checksums);
    return json;
}

static json_object *dump_content(const TemplateSection *section, GError **error)
{
    switch (section->kind) {
    case TEMPLATE_SECTION_CONFIG:
        return dump_config(section, error);
    case TEMPLATE_SECTION_MEMORY:
        return dump_map(section, error);
    case TEMPLATE_SECTION_MACHINE:
    case TEMPLATE_SECTION_VM:
    case TEMPLATE_SECTION_DEVICE:
    case TEMPLATE_SECTION_VCPU:
        break;
    }
    return vmstate_dump(section->data, section->len, error);
}

static bool dump_section(const TemplateSection *section, json_object *list, GError **error)
{
    json_object *content = dump_content(section, error);
    json_object *json;

    if (!content) {
        g_prefix_error(error, "section %s '%s': ", template_section_kind_name(section->kind),
                       section->name);
        return false;
    }
    json = json_object_new_object();
    add(json, "kind", json_object_new_string(template_section_kind_name(section->kind)));
    add(json, "name", json_object_new_string(section->name));
    add(json, "length", json_object_new_uint64(section->len));
    add(json, "content", content);
    json_object_array_add(list, json);
    return true;
}

static json_object *dump_state(const StateFile *state, GError **error)
{
    json_object *json = json_object_new_object();
    json_object *list = json_object_new_array();
    char identity[TEXT_UUID_SIZE];

    text_format_uuid(state->identity, identity);
    add(json, "format-version", json_object_new_int(FORMAT_VERSION));
    add(json, "architecture", json_object_new_string(TEMPLATE_ARCH));
    add(json, "identity", json_object_new_string(identity));
    add(json, "length", json_object_new_uint64(state->len));
    add(json, "sections", list);
    for (guint i = 0; i < state->sections->len; i++) {
        if (!dump_section(&g_array_index(state->sections, TemplateSection, i), list, error)) {
            json_object_put(json);
            return NULL;
        }
    }
    return json;
}

static bool is_stream(const char *path)
{
    auto_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    uint8_t bytes[FORMAT_HEADER_BYTES];
    FormatLabel label;

    return fd >= 0 && fd_pread_all(fd, path, bytes, sizeof(bytes), 0, NULL) &&
           format_parse_label(FORMAT_STREAM, bytes, &label, NULL);
}

/* Its state comes first, so that its memory is not looked at. */
static json_object *dump_stream(const char *path, GError **error)
{
    auto_fd int fd = fd_open(path, O_RDONLY, 0, error);
    g_autoptr(Channel) channel =
        fd >= 0 ? channel_new_take(fd_steal(&fd), path, CHANNEL_READ, error) : NULL;
    g_autoptr(TemplateReader) reader = channel ? template_reader_begin(channel, error) : NULL;

    return reader ? dump_state(reader->state, error) : NULL;
}

json_object *template_dump(const char *path, GError **error)
{
    if (is_stream(path)) {
        return dump_stream(path, error);
    }

    g_autofree char *file = g_file_test(path, G_FILE_TEST_IS_DIR)
                                ? g_build_filename(path, TEMPLATE_STATE_NAME, NULL)
                                : g_strdup(path);
    g_autoptr(StateFile) state = state_file_read(AT_FDCWD, file, file, error);
    json_object *json = state ? dump_state(state, error) : NULL;

    if (state && !json) {
        g_prefix_error(error, "'%s': ", file);
    }
    return json;
}

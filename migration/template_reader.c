/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/memory_save.h"
#include "migration/state_file.h"
#include "migration/template.h"
#include "migration/template_dir.h"
#include "migration/template_reader_private.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

/* How often a save may put another template in place while this one is being opened. */
#define MAX_ATTEMPTS 16

static bool read_state(TemplateReader *reader, GError **error)
{
    g_clear_pointer(&reader->state, state_file_free);
    reader->state = state_file_read(reader->dir_fd, TEMPLATE_STATE_NAME, reader->state_path, error);
    return reader->state != NULL;
}

bool template_reader_read_map(TemplateReader *reader, GError **error)
{
    const TemplateSection *section = state_file_find(reader->state, TEMPLATE_SECTION_MEMORY, "");

    g_clear_pointer(&reader->map, template_map_free);
    reader->map = template_map_new();
    if (!section) {
        return fail(error, VMM_ERROR_WIRE, "'%s': it has no section memory", reader->state_path);
    }
    if (!vmstate_load(&template_map_vmstate, reader->map, section->data, section->len, error)) {
        g_prefix_error(error, "'%s': section memory: ", reader->state_path);
        return false;
    }
    return true;
}

static bool read_folder_map(TemplateReader *reader, GError **error)
{
    return template_reader_read_map(reader, error) &&
           (!reader->map->in_records ||
            fail(error, VMM_ERROR_WIRE, "'%s': it is the state of a stream, not of a folder",
                 reader->state_path));
}

typedef enum {
    MEMORY_IS_OURS,
    MEMORY_IS_ANOTHERS, /* a whole one, of another state */
    MEMORY_IS_BAD,
} MemoryVerdict;

static MemoryVerdict try_memory(TemplateReader *reader, const char *name, GError **error)
{
    uint64_t length = reader->map->length;
    uint8_t label_bytes[FORMAT_HEADER_BYTES];
    FormatLabel label;
    uint64_t size = 0;
    auto_fd int fd = template_open_regular(reader->dir_fd, name, reader->memory_path, &size, error);

    if (fd < 0) {
        return MEMORY_IS_BAD;
    }
    /* Its own end says whose it is; only then is it known what length it should have. */
    if (size >= FORMAT_TRAILER_BYTES &&
        fd_pread_all(fd, name, label_bytes, sizeof(label_bytes), size - FORMAT_TRAILER_BYTES,
                     NULL) &&
        format_parse_label(FORMAT_MEMORY, label_bytes, &label, NULL) &&
        memcmp(label.identity, reader->state->identity, sizeof(label.identity)) != 0) {
        fail(error, VMM_ERROR_WIRE, "'%s' belongs to another template than '%s'",
             reader->memory_path, reader->state_path);
        return MEMORY_IS_ANOTHERS;
    }
    if (size != length) {
        fail(error, VMM_ERROR_WIRE, "'%s' is %s: it has %" PRIu64 " bytes, expected %" PRIu64,
             reader->memory_path, size < length ? "cut short" : "too long", size, length);
        return MEMORY_IS_BAD;
    }
    if (!fd_pread_all(fd, reader->memory_path, label_bytes, sizeof(label_bytes),
                      length - FORMAT_TRAILER_BYTES, error)) {
        return MEMORY_IS_BAD;
    }
    if (!format_parse_label(FORMAT_MEMORY, label_bytes, &label, error)) {
        g_prefix_error(error, "'%s': ", reader->memory_path);
        return MEMORY_IS_BAD;
    }
    if (label.length != length) {
        fail(error, VMM_ERROR_WIRE, "'%s': its trailer says %" PRIu64 " bytes, expected %" PRIu64,
             reader->memory_path, label.length, length);
        return MEMORY_IS_BAD;
    }
    reader->memory_fd = fd_steal(&fd);
    return MEMORY_IS_OURS;
}

/* Under its own name, or under the hidden one after a save that died half way (template_dir.h). */
static MemoryVerdict find_memory(TemplateReader *reader, GError **error)
{
    g_autofree char *hidden = template_dir_hidden_memory(reader->state->identity);
    g_autoptr(GError) first = NULL;
    MemoryVerdict verdict = try_memory(reader, TEMPLATE_MEMORY_NAME, &first);

    if (verdict == MEMORY_IS_OURS || try_memory(reader, hidden, NULL) == MEMORY_IS_OURS) {
        return MEMORY_IS_OURS;
    }
    g_propagate_error(error, g_steal_pointer(&first));
    return verdict;
}

static bool open_files(TemplateReader *reader, GError **error)
{
    g_autoptr(GError) last = NULL;

    for (unsigned i = 0; i < MAX_ATTEMPTS; i++) {
        uint8_t seen[FORMAT_IDENTITY_BYTES] = {0};
        MemoryVerdict verdict;

        if (reader->state) {
            memcpy(seen, reader->state->identity, sizeof(seen));
        }
        if (!read_state(reader, error) || !read_folder_map(reader, error)) {
            return false;
        }
        if (i > 0 && memcmp(seen, reader->state->identity, sizeof(seen)) == 0) {
            break; /* no save in between: what was found is how it is */
        }
        g_clear_error(&last);
        verdict = find_memory(reader, &last);
        if (verdict == MEMORY_IS_OURS) {
            return true;
        }
    }
    g_propagate_error(error, g_steal_pointer(&last));
    return false;
}

TemplateReader *template_reader_open(const char *dir, GError **error)
{
    g_autoptr(TemplateReader) reader = g_new0(TemplateReader, 1);

    reader->memory_fd = -1;
    reader->state_path = g_build_filename(dir, TEMPLATE_STATE_NAME, NULL);
    reader->memory_path = g_build_filename(dir, TEMPLATE_MEMORY_NAME, NULL);
    reader->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (reader->dir_fd < 0) {
        return fail_errno_null(error, errno, "cannot open the folder '%s'", dir);
    }
    return open_files(reader, error) ? g_steal_pointer(&reader) : NULL;
}

void template_reader_free(TemplateReader *reader)
{
    if (reader) {
        fd_close(&reader->memory_fd);
        fd_close(&reader->dir_fd);
        state_file_free(reader->state);
        template_map_free(reader->map);
        g_free(reader->state_path);
        g_free(reader->memory_path);
        g_free(reader);
    }
}

const uint8_t *template_reader_identity(const TemplateReader *reader)
{
    return reader->state->identity;
}

const void *template_reader_section(const TemplateReader *reader, TemplateSectionKind kind,
                                    const char *name, size_t *ret_len)
{
    const TemplateSection *section = state_file_find(reader->state, kind, name);

    if (!section) {
        return NULL;
    }
    *ret_len = section->len;
    return section->data;
}

size_t template_reader_num_sections(const TemplateReader *reader)
{
    return reader->state->sections->len;
}

const TemplateSection *template_reader_section_at(const TemplateReader *reader, size_t index)
{
    return &g_array_index(reader->state->sections, TemplateSection, index);
}

uint64_t template_reader_memory_bytes(const TemplateReader *reader)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < reader->map->num_images; i++) {
        sum += reader->map->images[i].stored ? reader->map->images[i].size : 0;
    }
    return sum;
}

bool template_reader_image(const TemplateReader *reader, const char *backend_id, uint64_t size,
                           RamImage *ret_image, GError **error)
{
    const TemplateImage *image = template_map_find(reader->map, backend_id);

    if (!image) {
        return fail(error, VMM_ERROR_WIRE, "'%s' has no memory '%s'", reader->memory_path,
                    backend_id);
    }
    if (image->size != size) {
        return fail(error, VMM_ERROR_WIRE,
                    "'%s': memory %s has %" PRIu64 " bytes, expected %" PRIu64, reader->memory_path,
                    backend_id, image->size, size);
    }
    *ret_image = (RamImage){
        .fd = image->stored ? reader->memory_fd : -1,
        .name = reader->memory_path,
        .offset = image->offset,
        .size = size,
        .mode = RAM_IMAGE_MAP,
    };
    return true;
}

bool template_verify_memory(const TemplateReader *reader, GError **error)
{
    return memory_verify_run(reader->memory_fd, reader->memory_path, reader->map, error);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/template_sample.h"

#include "util/bytes.h"
#include "util/error.h"

#include <glib/gstdio.h>
#include <string.h>

TempDir temp_dir_new(void)
{
    TempDir dir = {.path = g_dir_make_tmp("stencil-template-XXXXXX", NULL)};

    g_assert(dir.path);
    return dir;
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) list = g_dir_open(path, 0, NULL);
    const char *name;

    while (list && (name = g_dir_read_name(list)) != NULL) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        if (g_file_test(file, G_FILE_TEST_IS_DIR) && !g_file_test(file, G_FILE_TEST_IS_SYMLINK)) {
            remove_tree(file);
        } else {
            g_unlink(file);
        }
    }
    g_rmdir(path);
}

void temp_dir_remove(TempDir *dir)
{
    if (dir->path) {
        remove_tree(dir->path);
    }
    g_clear_pointer(&dir->path, g_free);
}

char *temp_dir_file(const TempDir *dir, const char *name)
{
    return g_build_filename(dir->path, name, NULL);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *temp_dir_list(const char *path)
{
    g_autoptr(GDir) list = g_dir_open(path, 0, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    while (list && (name = g_dir_read_name(list)) != NULL) {
        g_ptr_array_add(names, g_strdup(name));
    }
    g_ptr_array_sort(names, compare_names);
    g_ptr_array_add(names, NULL);
    return g_strjoinv(" ", (char **)names->pdata);
}

GuestMemory *sample_memory(uint64_t size)
{
    GuestMemory *memory = guest_mem_new(NULL);
    bool ok = guest_mem_add_plain(memory, size, NULL);

    g_assert(ok);
    return memory;
}

static void make_page(uint8_t *page, uint64_t number, uint32_t seed)
{
    uint32_t x = seed * 2654435761u + (uint32_t)number + 1;

    for (size_t i = 0; i < PAGE_BYTES; i += sizeof(x)) {
        x = x * 1664525u + 1013904223u;
        memcpy(page + i, &x, sizeof(x));
    }
}

static uint8_t *page_at(const GuestMemory *memory, uint64_t number)
{
    return guest_mem_ptr(memory, GPA(number * PAGE_BYTES), PAGE_BYTES, GUEST_READ, NULL);
}

void sample_fill(const GuestMemory *memory, uint64_t first, uint64_t count, uint32_t seed)
{
    for (uint64_t i = first; i < first + count; i++) {
        make_page(page_at(memory, i), i, seed);
    }
}

bool sample_has(const GuestMemory *memory, uint64_t first, uint64_t count, uint32_t seed)
{
    uint8_t page[PAGE_BYTES];

    for (uint64_t i = first; i < first + count; i++) {
        make_page(page, i, seed);
        if (memcmp(page, page_at(memory, i), PAGE_BYTES) != 0) {
            return false;
        }
    }
    return true;
}

TemplateSaveParams sample_params(const char *dir)
{
    return (TemplateSaveParams){.dir = dir, .threads = 2};
}

TemplateSave *sample_save(const TemplateSaveParams *params, const GuestMemory *memory,
                          const char *text)
{
    static const uint8_t device[] = {1, 0, 0, 0};
    g_autoptr(GError) error = NULL;
    TemplateSave *save = template_save_new(params, memory, &error);

    if (!save) {
        g_error("%s", error->message);
    }
    template_save_add(save, TEMPLATE_SECTION_CONFIG, "", text, strlen(text));
    template_save_add(save, TEMPLATE_SECTION_DEVICE, "blk0", device, sizeof(device));
    return save;
}

bool sample_save_all(const char *dir, const GuestMemory *memory, const char *text, GError **error)
{
    TemplateSaveParams params = sample_params(dir);
    g_autoptr(TemplateSave) save = template_save_new(&params, memory, error);

    if (!save) {
        return false;
    }
    template_save_add(save, TEMPLATE_SECTION_CONFIG, "", text, strlen(text));
    return template_save_run(save, error);
}

char *sample_config(const char *dir, GError **error)
{
    g_autoptr(TemplateReader) reader = template_reader_open(dir, error);
    const char *text;
    size_t len;

    if (!reader) {
        return NULL;
    }
    text = template_reader_section(reader, TEMPLATE_SECTION_CONFIG, "", &len);
    return text ? g_strndup(text, len)
                : fail_null(error, VMM_ERROR_WIRE, "'%s' has no config", dir);
}

GuestMemory *sample_restore(const char *dir, const RamBackendConfig *config, GError **error)
{
    g_autoptr(TemplateReader) reader = template_reader_open(dir, error);
    g_autoptr(GuestMemory) memory = guest_mem_new(NULL);
    RamBackendConfig with_image = *config;
    RamBackend *backend;
    RamImage image;

    if (!reader || !template_reader_image(reader, config->id, config->size, &image, error)) {
        return NULL;
    }
    if (!ram_image_can_map(config)) {
        image.mode = RAM_IMAGE_COPY;
    }
    with_image.image = &image;
    backend = guest_mem_add_backend(memory, &with_image, error);
    if (!backend || !guest_mem_add_block(memory, backend, 0, GPA(0), config->size, error)) {
        return NULL;
    }
    return g_steal_pointer(&memory);
}

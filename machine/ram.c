/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/ram.h"

#include "machine/objects.h"
#include "machine/vm_migration.h"
#include "util/error.h"

#include <inttypes.h>

/* Where the next piece of RAM goes; pieces follow each other and step over the hole. */
typedef struct Placement {
    const RamSources *sources;
    GuestMemory *memory;
    const RamLayout *layout;
    uint64_t next;
} Placement;

static bool place_backend(Placement *p, RamBackend *backend, GError **error)
{
    uint64_t offset = 0;

    while (offset < backend->size) {
        uint64_t len = backend->size - offset;

        if (p->next < p->layout->low_end) {
            len = MIN(len, p->layout->low_end - p->next);
        } else if (p->next < p->layout->high_base) {
            p->next = p->layout->high_base;
        }
        if (!guest_mem_add_block(p->memory, backend, offset, GPA(p->next), len, error)) {
            return false;
        }
        p->next += len;
        offset += len;
    }
    return true;
}

/* How it becomes what the template has, as -incoming says. */
static bool choose_mode(const RamSources *sources, const char *id, bool can_map, RamImage *image,
                        GError **error)
{
    static const RamImageMode modes[] = {
        [INCOMING_MEMORY_AUTO] = RAM_IMAGE_AUTO,
        [INCOMING_MEMORY_MAP] = RAM_IMAGE_MAP,
        [INCOMING_MEMORY_COPY] = RAM_IMAGE_COPY,
        [INCOMING_MEMORY_LAZY] = RAM_IMAGE_LAZY,
    };

    image->mode = modes[vm_incoming_memory(sources->config)];
    image->on_demand = !vm_incoming_fill(sources->config);
    image->trouble = sources->trouble;
    return can_map || image->mode != RAM_IMAGE_MAP ||
           fail(error, VMM_ERROR_CONFIG,
                "memory %s: is shared or a file, so a template cannot be mapped in its place: "
                "expected memory=copy or memory=lazy",
                id);
}

static bool add_and_place(Placement *p, RamBackendConfig *config, GError **error)
{
    RamImage image;
    RamBackend *backend;

    const TemplateReader *template = p->sources->template;

    if (template) {
        if (!template_reader_image(template, config->id, config->size, &image, error) ||
            !choose_mode(p->sources, config->id, ram_image_can_map(config), &image, error)) {
            return false;
        }
        if (image.fd < 0 && config->kind != RAM_FILE) {
            return fail(error, VMM_ERROR_CONFIG,
                        "memory %s: the template does not hold it: expected the file that does",
                        config->id);
        }
        config->image = image.fd >= 0 ? &image : NULL;
    }
    backend = guest_mem_add_backend(p->memory, config, error);
    config->image = NULL; /* the backend has it by now */
    return backend && place_backend(p, backend, error);
}

/* RAM that no -object describes. */
static bool place_plain(Placement *p, const char *id, uint64_t size, GError **error)
{
    const VmConfig *config = p->sources->config;
    RamBackendConfig ram = {
        .id = id,
        .kind = config->memory.path         ? RAM_FILE
                : config->machine.mem_share ? RAM_MEMFD
                                            : RAM_ANONYMOUS,
        .size = size,
        .path = config->memory.path,
        .fd_sets = p->sources->fd_sets,
        .shared = config->machine.mem_share,
        .prealloc = config->memory.prealloc,
        .exclude_from_core = !config->machine.dump_guest_core,
    };

    return add_and_place(p, &ram, error);
}

/* RAM that -object memory-backend-* describes; its size must be what the user of it needs. */
static bool place_object(Placement *p, const char *id, uint64_t size, GError **error)
{
    const PropBag *object = vm_config_find(p->sources->config->objects, id);
    MemoryBackendConfig config;
    bool ok = false;

    if (!object) {
        return fail(error, VMM_ERROR_CONFIG, "there is no memory backend '%s'", id);
    }
    if (!memory_backend_parse(object, &config, error)) {
        return false;
    }
    if (config.size != size) {
        fail(error, VMM_ERROR_CONFIG,
             "memory backend %s has %" PRIu64 " bytes, the machine needs %" PRIu64 " from it", id,
             config.size, size);
    } else {
        RamBackendConfig ram =
            memory_backend_to_ram(&config, id, p->sources->config->machine.dump_guest_core);

        ram.fd_sets = p->sources->fd_sets;
        ok = add_and_place(p, &ram, error);
    }
    memory_backend_clear(&config);
    return ok;
}

static bool place_nodes(Placement *p, GError **error)
{
    for (guint i = 0; i < p->sources->config->numa_nodes->len; i++) {
        const NumaNode *node = p->sources->config->numa_nodes->pdata[i];
        g_autofree char *id = g_strdup_printf("ram-node%u", node->id);

        if (node->size == 0) {
            continue;
        }
        if (node->memdev ? !place_object(p, node->memdev, node->size, error)
                         : !place_plain(p, id, node->size, error)) {
            return false;
        }
    }
    return true;
}

static bool nodes_have_backends(const VmConfig *config)
{
    for (guint i = 0; i < config->numa_nodes->len; i++) {
        const NumaNode *node = config->numa_nodes->pdata[i];

        if (node->memdev) {
            return true;
        }
    }
    return false;
}

bool ram_map(const RamSources *sources, GuestMemory *memory, const RamLayout *layout,
             GError **error)
{
    const VmConfig *config = sources->config;
    Placement placement = {
        .sources = sources,
        .memory = memory,
        .layout = layout,
    };

    if (nodes_have_backends(config)) {
        return place_nodes(&placement, error);
    }
    if (config->machine.memory_backend) {
        return place_object(&placement, config->machine.memory_backend, config->memory.size, error);
    }
    return place_plain(&placement, "ram", config->memory.size, error);
}

static bool load_backend(const RamSources *sources, RamBackend *backend, GError **error)
{
    bool can_map = backend->fd < 0 && !backend->rom;
    RamImage image;

    if (!template_reader_image(sources->template, backend->id, backend->size, &image, error)) {
        return false;
    }
    if (image.fd < 0) {
        return backend->has_name ||
               fail(error, VMM_ERROR_CONFIG,
                    "memory %s: the template does not hold it: expected the file that does",
                    backend->id);
    }
    return choose_mode(sources, backend->id, can_map, &image, error) &&
           guest_mem_load_image(backend, &image, error);
}

bool ram_load(const RamSources *sources, GuestMemory *memory, GError **error)
{
    size_t count;
    const RamBlock *blocks = guest_mem_blocks(memory, &count);

    for (size_t i = 0; i < count; i++) {
        /* A backend has a block of its beginning, and perhaps one behind the hole. */
        if (blocks[i].backend_offset == 0 && !load_backend(sources, blocks[i].backend, error)) {
            return false;
        }
    }
    return true;
}

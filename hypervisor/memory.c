/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map from guest addresses to host memory, and the one checked door through it.  How a
 * backend gets its host memory is ram_backend.c's business.
 */
#include "hypervisor/memory.h"

#include "hypervisor/hypervisor.h"
#include "hypervisor/ram_backend.h"
#include "hypervisor/ram_lazy.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <inttypes.h>

/* KVM allows thousands; a machine has two, and one more per hot-plugged module. */
#define MAX_BLOCKS 64

struct GuestMemory {
    Hypervisor *hypervisor; /* may be NULL */
    GPtrArray *backends;
    RamBlock blocks[MAX_BLOCKS]; /* sorted by base; only grows while vCPUs are parked */
    size_t num_blocks;
    unsigned next_slot;
};

GuestMemory *guest_mem_new(Hypervisor *hypervisor)
{
    GuestMemory *mem = g_new0(GuestMemory, 1);

    mem->hypervisor = hypervisor;
    mem->backends = g_ptr_array_new_with_free_func((GDestroyNotify)ram_backend_free);
    return mem;
}

void guest_mem_free(GuestMemory *mem)
{
    if (mem) {
        g_ptr_array_unref(mem->backends);
        g_free(mem);
    }
}

RamBackend *guest_mem_add_backend(GuestMemory *mem, const RamBackendConfig *config, GError **error)
{
    RamBackend *backend = ram_backend_new(config, error);

    if (backend) {
        g_ptr_array_add(mem->backends, backend);
    }
    return backend;
}

static bool check_block(const GuestMemory *mem, const RamBlock *block, GError **error)
{
    const RamBackend *backend = block->backend;
    uint64_t end;

    if (block->size == 0 || !checked_add(block->base.v, block->size, &end) ||
        !is_aligned(block->base.v | block->size | block->backend_offset, PAGE_BYTES)) {
        return fail(error, VMM_ERROR_CONFIG,
                    "memory %s: guest range 0x%" PRIx64 " +0x%" PRIx64
                    " is empty, wraps or is not a whole number of 4 KiB pages",
                    backend->id, block->base.v, block->size);
    }
    if (!range_fits(block->backend_offset, block->size, backend->size)) {
        return fail(error, VMM_ERROR_CONFIG,
                    "memory %s: range 0x%" PRIx64 " +0x%" PRIx64 " exceeds its size 0x%" PRIx64,
                    backend->id, block->backend_offset, block->size, backend->size);
    }
    for (size_t i = 0; i < mem->num_blocks; i++) {
        const RamBlock *other = &mem->blocks[i];

        if (block->base.v < other->base.v + other->size && other->base.v < end) {
            return fail(error, VMM_ERROR_CONFIG,
                        "memory %s: guest range 0x%" PRIx64 "..0x%" PRIx64
                        " overlaps memory %s at 0x%" PRIx64,
                        backend->id, block->base.v, end - 1, other->backend->id, other->base.v);
        }
    }
    if (mem->num_blocks == MAX_BLOCKS) {
        return fail(error, VMM_ERROR_CONFIG, "memory %s: more than %d blocks of guest RAM",
                    backend->id, MAX_BLOCKS);
    }
    return true;
}

bool guest_mem_add_block(GuestMemory *mem, RamBackend *backend, uint64_t offset, Gpa base,
                         uint64_t size, GError **error)
{
    RamBlock block = {
        .base = base,
        .size = size,
        .backend = backend,
        .backend_offset = offset,
        .slot = mem->next_slot,
    };

    if (!check_block(mem, &block, error)) {
        return false;
    }
    block.hva = backend->hva + offset;
    if (mem->hypervisor) {
        const MemorySlot slot = {
            .index = block.slot,
            .gpa = base.v,
            .size = size,
            .hva = block.hva,
            .readonly = backend->rom,
        };

        if (!hypervisor_set_memory_slot(mem->hypervisor, &slot, error)) {
            g_prefix_error(error, "memory %s: ", backend->id);
            return false;
        }
    }

    size_t at = mem->num_blocks;

    while (at > 0 && mem->blocks[at - 1].base.v > base.v) {
        mem->blocks[at] = mem->blocks[at - 1];
        at--;
    }
    mem->blocks[at] = block;
    mem->num_blocks++;
    mem->next_slot++;
    return true;
}

bool guest_mem_add_plain(GuestMemory *mem, uint64_t size, GError **error)
{
    const RamBackendConfig config = {.id = "ram", .kind = RAM_ANONYMOUS, .size = size};
    RamBackend *backend = guest_mem_add_backend(mem, &config, error);

    return backend && guest_mem_add_block(mem, backend, 0, GPA(0), size, error);
}

const RamBlock *guest_mem_blocks(const GuestMemory *mem, size_t *ret_count)
{
    *ret_count = mem->num_blocks;
    return mem->blocks;
}

uint64_t guest_mem_total(const GuestMemory *mem)
{
    uint64_t total = 0;

    for (size_t i = 0; i < mem->num_blocks; i++) {
        total += mem->blocks[i].size;
    }
    return total;
}

static const RamBlock *find_block(const GuestMemory *mem, Gpa gpa)
{
    for (size_t i = 0; i < mem->num_blocks; i++) {
        const RamBlock *block = &mem->blocks[i];

        if (gpa.v >= block->base.v && gpa.v - block->base.v < block->size) {
            return block;
        }
    }
    return NULL;
}

void *guest_mem_ptr(const GuestMemory *mem, Gpa gpa, uint64_t len, GuestAccess access,
                    GError **error)
{
    const RamBlock *block = find_block(mem, gpa);

    if (!block || !range_fits(gpa.v - block->base.v, len, block->size)) {
        return fail_null(error, VMM_ERROR_GUEST,
                         "guest range 0x%" PRIx64 " +0x%" PRIx64 " is not in one block of RAM",
                         gpa.v, len);
    }
    if (access == GUEST_WRITE && block->backend->rom) {
        return fail_null(error, VMM_ERROR_GUEST,
                         "guest range 0x%" PRIx64 " +0x%" PRIx64 " is read-only memory %s", gpa.v,
                         len, block->backend->id);
    }
    return block->hva + (gpa.v - block->base.v);
}

bool guest_mem_address(const GuestMemory *mem, const void *hva, Gpa *ret_gpa, GError **error)
{
    size_t count;
    const RamBlock *blocks = guest_mem_blocks(mem, &count);

    for (size_t i = 0; i < count; i++) {
        uintptr_t into = (uintptr_t)hva - (uintptr_t)blocks[i].hva;

        if ((uintptr_t)hva >= (uintptr_t)blocks[i].hva && into < blocks[i].size) {
            *ret_gpa = gpa_add(blocks[i].base, into);
            return true;
        }
    }
    return fail(error, VMM_ERROR_STATE, "host address %p is not in guest RAM", hva);
}

/* The longest piece of [gpa, gpa + len) that lies in one block; len where there is none at all. */
static uint64_t piece_len(const GuestMemory *mem, Gpa gpa, uint64_t len)
{
    const RamBlock *block = find_block(mem, gpa);

    return block ? MIN(len, block->size - (gpa.v - block->base.v)) : len;
}

bool guest_mem_read(const GuestMemory *mem, Gpa gpa, void *data, uint64_t len, GError **error)
{
    uint8_t *to = data;

    while (len > 0) {
        uint64_t n = piece_len(mem, gpa, len);
        const void *from = guest_mem_ptr(mem, gpa, n, GUEST_READ, error);

        if (!from) {
            return false;
        }
        memcpy(to, from, n);
        to += n;
        gpa.v += n;
        len -= n;
    }
    return true;
}

bool guest_mem_write(const GuestMemory *mem, Gpa gpa, const void *data, uint64_t len,
                     GError **error)
{
    const uint8_t *from = data;

    while (len > 0) {
        uint64_t n = piece_len(mem, gpa, len);
        void *to = guest_mem_ptr(mem, gpa, n, GUEST_WRITE, error);

        if (!to) {
            return false;
        }
        memcpy(to, from, n);
        from += n;
        gpa.v += n;
        len -= n;
    }
    return true;
}

/* Mapping over is only right where nobody else sees the memory and pages are of the usual size. */
static bool can_map_over(const RamBackend *backend)
{
    return backend->fd < 0 && !backend->shared && !backend->rom && backend->page_size == PAGE_BYTES;
}

/* The part of file that is skip bytes in and at most len long, into hva. */
static bool read_part(const FilePart *file, uint64_t skip, uint64_t len, uint8_t *hva,
                      GError **error)
{
    return fd_pread_all(file->fd, file->name, hva + skip, len, file->offset + skip, error);
}

bool guest_mem_load_file(GuestMemory *mem, Gpa gpa, const FilePart *file, GError **error)
{
    const RamBlock *block = find_block(mem, gpa);
    uint8_t *hva = guest_mem_ptr(mem, gpa, file->len, GUEST_WRITE, error);

    if (!block || !hva) {
        g_prefix_error(error, "%s: ", file->name);
        return false;
    }

    uint64_t head = align_up(gpa.v, PAGE_BYTES) - gpa.v;
    uint64_t whole = file->len > head ? align_down(file->len - head, PAGE_BYTES) : 0;
    uint64_t mapped_end = head + whole;

    if (whole == 0 || !can_map_over(block->backend) ||
        !is_aligned(file->offset + head, PAGE_BYTES)) {
        return read_part(file, 0, file->len, hva, error);
    }

    const FilePart pages = {
        .fd = file->fd,
        .name = file->name,
        .offset = file->offset + head,
        .len = whole,
    };
    uint64_t at = block->backend_offset + (gpa.v - block->base.v) + head;

    return read_part(file, 0, head, hva, error) &&
           ram_backend_overlay(block->backend, at, &pages, error) &&
           read_part(file, mapped_end, file->len - mapped_end, hva, error);
}

bool guest_mem_discard(GuestMemory *mem, Gpa gpa, uint64_t len, GError **error)
{
    const RamBlock *block = find_block(mem, gpa);

    if (!block || !guest_mem_ptr(mem, gpa, len, GUEST_WRITE, error)) {
        return block
                   ? false
                   : fail(error, VMM_ERROR_GUEST, "guest address 0x%" PRIx64 " is not RAM", gpa.v);
    }
    if (!is_aligned(gpa.v | len, PAGE_BYTES)) {
        return fail(error, VMM_ERROR_GUEST,
                    "guest range 0x%" PRIx64 " +0x%" PRIx64 " is not a whole number of pages",
                    gpa.v, len);
    }
    return ram_backend_discard(block->backend, block->backend_offset + (gpa.v - block->base.v), len,
                               error);
}

bool guest_mem_check(const GuestMemory *mem, GError **error)
{
    for (guint i = 0; i < mem->backends->len; i++) {
        const RamBackend *backend = mem->backends->pdata[i];

        if (backend->lazy && !ram_lazy_check(backend->lazy, error)) {
            return false;
        }
    }
    return true;
}

void guest_mem_empty(const GuestMemory *mem)
{
    for (guint i = 0; i < mem->backends->len; i++) {
        const RamBackend *backend = mem->backends->pdata[i];

        if (!backend->rom) {
            ram_backend_empty(backend);
        }
    }
}

bool guest_mem_renew(GuestMemory *mem, GError **error)
{
    for (guint i = 0; i < mem->backends->len; i++) {
        RamBackend *backend = mem->backends->pdata[i];

        if (!backend->rom && !ram_backend_renew(backend, error)) {
            g_prefix_error(error, "memory %s: ", backend->id);
            return false;
        }
    }
    return true;
}

bool guest_mem_clear(GuestMemory *mem, GError **error)
{
    guest_mem_empty(mem);
    return guest_mem_renew(mem, error);
}

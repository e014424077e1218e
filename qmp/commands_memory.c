/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory, read from outside. */
#include "machine/vm_inspect.h"
#include "qmp/generated.h"
#include "qmp/output.h"
#include "qmp/work.h"
#include "util/bytes.h"
#include "util/error.h"

#include <inttypes.h>

#define SAVE_CHUNK (UINT64_C(1) << 20)
#define SAVE_PAGES (SAVE_CHUNK / PAGE_BYTES)

bool qmp_cmd_query_mem_gpa(QmpCall *call, const QmpQueryMemGpaArgs *args, QmpReply *reply,
                           GError **error)
{
    g_autofree char *text = NULL;
    uint64_t address;
    uint32_t value;

    if (!g_ascii_string_to_unsigned(args->gpa, 16, 0, UINT64_MAX, &address, NULL)) {
        return fail(error, VMM_ERROR_CONFIG,
                    "Parameter 'gpa' expects a number in hexadecimal (got: '%s')", args->gpa);
    }
    if (!guest_mem_read(call->vm->memory, GPA(address), &value, sizeof(value), error)) {
        return false;
    }
    text = g_strdup_printf("%X", GUINT32_FROM_LE(value));
    reply->value = json_object_new_string(text);
    return true;
}

/* ---- pmemsave and memsave ---- */

typedef struct MemorySave {
    Vm *vm;
    QmpOutput out;
    bool is_done;
    uint64_t address;
    uint64_t left;

    /* memsave: whose tables are asked, a chunk at a time, and what they said. */
    unsigned vcpu;
    uint64_t pages[SAVE_PAGES];
    size_t num_pages; /* 0: why says why */
    GError *why;
} MemorySave;

static void memory_save_free(void *opaque)
{
    MemorySave *save = opaque;

    qmp_output_close(&save->out, /* keep= */ save->is_done);
    g_clear_error(&save->why);
    g_free(save);
}

static void memory_save_end(void *opaque, const GError *error)
{
    MemorySave *save = opaque;

    save->is_done = !error;
}

static bool write_chunk(const QmpWork *work, MemorySave *save, const uint8_t *chunk, uint64_t len,
                        GError **error)
{
    save->address += len;
    save->left -= len;
    return qmp_work_write(work, save->out.fd, save->out.name, chunk, len, error);
}

static bool save_physical(QmpWork *work, void *opaque, GError **error)
{
    MemorySave *save = opaque;
    g_autofree uint8_t *chunk = g_malloc(SAVE_CHUNK);

    while (save->left > 0 && !qmp_work_is_cancelled(work)) {
        uint64_t n = MIN(save->left, SAVE_CHUNK);

        if (!guest_mem_read(save->vm->memory, GPA(save->address), chunk, n, error) ||
            !write_chunk(work, save, chunk, n, error)) {
            return false;
        }
    }
    return save->left == 0;
}

static uint64_t part_of_page(uint64_t address, uint64_t len)
{
    return MIN(len, PAGE_BYTES - address % PAGE_BYTES);
}

/* The error tells the address that was asked for, too. */
static bool read_page(const Vm *vm, uint64_t address, uint64_t page, uint8_t *data, uint64_t len,
                      GError **error)
{
    if (!guest_mem_read(vm->memory, GPA(page + address % PAGE_BYTES), data, len, error)) {
        g_prefix_error(error, "virtual address 0x%" PRIx64 ": ", address);
        return false;
    }
    return true;
}

/* The loop's thread: as many pages as may take as long as that, vCPUs standing still. */
static void look_up_pages(void *opaque)
{
    MemorySave *save = opaque;
    uint64_t bytes = save->address % PAGE_BYTES + MIN(save->left, SAVE_CHUNK);
    uint64_t count = MIN((bytes + PAGE_BYTES - 1) / PAGE_BYTES, SAVE_PAGES);

    save->num_pages =
        vm_translate(save->vm, save->vcpu, save->address, save->pages, count, &save->why);
}

static bool save_pages(const QmpWork *work, MemorySave *save, uint8_t *chunk, GError **error)
{
    uint64_t len = 0;

    for (size_t i = 0; i < save->num_pages; i++) {
        uint64_t address = save->address + len;
        uint64_t n = part_of_page(address, save->left - len);

        if (!read_page(save->vm, address, save->pages[i], chunk + len, n, error)) {
            return false;
        }
        len += n;
    }
    return write_chunk(work, save, chunk, len, error);
}

/* The tables may change while the VM runs: each chunk is where they put it when its turn comes. */
static bool save_virtual(QmpWork *work, void *opaque, GError **error)
{
    MemorySave *save = opaque;
    g_autofree uint8_t *chunk = g_malloc(SAVE_CHUNK);

    while (save->left > 0 && qmp_work_on_loop(work, look_up_pages, save)) {
        if (save->num_pages == 0) {
            g_propagate_error(error, g_steal_pointer(&save->why));
            return false;
        }
        if (!save_pages(work, save, chunk, error)) {
            return false;
        }
    }
    return save->left == 0;
}

static const QmpWorkOps pmemsave_ops = {
    .thread_name = "memsave",
    .run = save_physical,
    .end = memory_save_end,
    .free = memory_save_free,
};

static const QmpWorkOps memsave_ops = {
    .thread_name = "memsave",
    .run = save_virtual,
    .end = memory_save_end,
    .free = memory_save_free,
};

/* All of it, before a file is made for it. */
static bool check_range(const GuestMemory *memory, uint64_t address, uint64_t size, GError **error)
{
    size_t count;
    const RamBlock *blocks = guest_mem_blocks(memory, &count); /* sorted by address */
    uint64_t at = address;
    uint64_t left = size;

    for (size_t i = 0; i < count && left > 0; i++) {
        uint64_t offset = at - blocks[i].base.v;

        if (at >= blocks[i].base.v && offset < blocks[i].size) {
            uint64_t n = MIN(left, blocks[i].size - offset);

            at += n;
            left -= n;
        }
    }
    return left == 0 ||
           fail(error, VMM_ERROR_CONFIG,
                "0x%" PRIx64 " bytes at guest address 0x%" PRIx64 ": there is no RAM at 0x%" PRIx64,
                size, address, at);
}

static MemorySave *open_save(const QmpCall *call, const char *filename, uint64_t address,
                             uint64_t size, GError **error)
{
    QmpOutput out;
    MemorySave *save;

    if (!qmp_output_open(call, filename, &out, error)) {
        return NULL;
    }
    save = g_new0(MemorySave, 1);
    save->vm = call->vm;
    save->out = out;
    save->address = address;
    save->left = size;
    return save;
}

bool qmp_cmd_pmemsave(QmpCall *call, const QmpPmemsaveArgs *args, QmpReply *reply, GError **error)
{
    MemorySave *save = NULL;

    (void)reply;
    if (check_range(call->vm->memory, args->val, args->size, error)) {
        save = open_save(call, args->filename, args->val, args->size, error);
    }
    return save && qmp_work_start(call, &pmemsave_ops, save, error);
}

static bool check_virtual_range(Vm *vm, unsigned vcpu, uint64_t address, uint64_t size,
                                GError **error)
{
    uint64_t page;
    uint8_t byte;

    if (size == 0) {
        return true;
    }
    if (size - 1 > UINT64_MAX - address) {
        return fail(error, VMM_ERROR_CONFIG,
                    "0x%" PRIx64 " bytes at virtual address 0x%" PRIx64
                    " go beyond the last address",
                    size, address);
    }
    return vm_translate(vm, vcpu, address, &page, 1, error) > 0 &&
           read_page(vm, address, page, &byte, sizeof(byte), error);
}

bool qmp_cmd_memsave(QmpCall *call, const QmpMemsaveArgs *args, QmpReply *reply, GError **error)
{
    Vm *vm = call->vm;
    int64_t vcpu = args->has_cpu_index ? args->cpu_index : 0;
    MemorySave *save = NULL;

    (void)reply;
    if (vm_has_vcpu(vm, vcpu, error) &&
        check_virtual_range(vm, (unsigned)vcpu, args->val, args->size, error)) {
        save = open_save(call, args->filename, args->val, args->size, error);
    }
    if (!save) {
        return false;
    }
    save->vcpu = (unsigned)vcpu;
    return qmp_work_start(call, &memsave_ops, save, error);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory, read from outside. */
#include "qmp/generated.h"
#include "qmp/work.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#define SAVE_CHUNK (UINT64_C(1) << 20)

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

/* ---- pmemsave ---- */

typedef struct MemorySave {
    const GuestMemory *memory;
    int fd;
    char *filename;
    uint64_t address;
    uint64_t left;
} MemorySave;

static void memory_save_free(void *opaque)
{
    MemorySave *save = opaque;

    fd_close(&save->fd);
    g_free(save->filename);
    g_free(save);
}

static bool memory_save_run(QmpWork *work, void *opaque, GError **error)
{
    MemorySave *save = opaque;
    g_autofree uint8_t *chunk = g_malloc(SAVE_CHUNK);

    while (save->left > 0 && !qmp_work_is_cancelled(work)) {
        uint64_t n = MIN(save->left, SAVE_CHUNK);

        if (!guest_mem_read(save->memory, GPA(save->address), chunk, n, error) ||
            !qmp_work_write(work, save->fd, save->filename, chunk, n, error)) {
            return false;
        }
        save->address += n;
        save->left -= n;
    }
    return save->left == 0;
}

static const QmpWorkOps memory_save_ops = {
    .thread_name = "memsave",
    .run = memory_save_run,
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

bool qmp_cmd_pmemsave(QmpCall *call, const QmpPmemsaveArgs *args, QmpReply *reply, GError **error)
{
    const Vm *vm = call->vm;
    MemorySave *save;
    int fd;

    (void)reply;
    if (!check_range(vm->memory, args->val, args->size, error)) {
        return false;
    }
    /* O_NONBLOCK: nobody waits for the reader of a pipe. */
    fd = fd_sets_open(vm->fd_sets, args->filename, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0600,
                      error);
    if (fd < 0) {
        return false;
    }
    save = g_new(MemorySave, 1);
    *save = (MemorySave){
        .memory = vm->memory,
        .fd = fd,
        .filename = g_strdup(args->filename),
        .address = args->val,
        .left = args->size,
    };
    return qmp_work_start(call, &memory_save_ops, save, error);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Registers and memory, as the current vCPU has and sees them. */
#include "machine/gdb/private.h"
#include "util/bytes.h"
#include "util/error.h"

/* ---- registers ----------------------------------------------------------------------------- */

/* An errand for a vCPU. */
typedef struct RegisterAccess {
    const GdbStub *stub;
    uint8_t *block;
} RegisterAccess;

static bool read_block(Vcpu *vcpu, void *opaque, GError **error)
{
    const RegisterAccess *access = opaque;

    return access->stub->ops->read_registers(vcpu, access->block, error);
}

static bool write_block(Vcpu *vcpu, void *opaque, GError **error)
{
    const RegisterAccess *access = opaque;

    return access->stub->ops->write_registers(vcpu, access->block, error);
}

static Vcpu *current_vcpu(const GdbStub *stub)
{
    return vcpus_get(stub->vm->vcpus, stub->current);
}

/* Does fn to the registers of the current vCPU. */
static bool move_registers(VcpuFn fn, RegisterAccess *access)
{
    return vcpu_call(current_vcpu(access->stub), fn, access, NULL);
}

void gdb_read_registers(GdbStub *stub, GdbRequest *request)
{
    g_autofree uint8_t *block = g_malloc0(stub->block_bytes);
    RegisterAccess access = {.stub = stub, .block = block};

    if (move_registers(read_block, &access)) {
        gdb_append_hex(request->reply, block, stub->block_bytes);
    } else {
        g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
    }
}

/* Fewer than all leave the rest as it is. */
void gdb_write_registers(GdbStub *stub, GdbRequest *request)
{
    g_autofree uint8_t *block = g_malloc0(stub->block_bytes);
    RegisterAccess access = {.stub = stub, .block = block};
    size_t given = request->len / 2;

    bool ok = given <= stub->block_bytes && move_registers(read_block, &access) &&
              gdb_parse_bytes(request->arguments, block, given) &&
              move_registers(write_block, &access);

    g_string_assign(request->reply, ok ? "OK" : GDB_ERROR_ARGUMENT);
}

void gdb_read_register(GdbStub *stub, GdbRequest *request)
{
    g_autofree uint8_t *block = g_malloc0(stub->block_bytes);
    RegisterAccess access = {.stub = stub, .block = block};
    const char *cursor = request->arguments;
    uint64_t index;

    if (!gdb_parse_hex_until(&cursor, '\0', &index) || index >= stub->target->num_registers ||
        !move_registers(read_block, &access)) {
        g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
        return;
    }
    gdb_append_hex(request->reply, block + debug_register_offset(stub->target, index),
                   debug_register_bytes(&stub->target->registers[index]));
}

static bool set_register(const GdbStub *stub, size_t index, const uint8_t *value)
{
    g_autofree uint8_t *block = g_malloc0(stub->block_bytes);
    RegisterAccess access = {.stub = stub, .block = block};

    if (stub->target->registers[index].readonly || !move_registers(read_block, &access)) {
        return false;
    }
    memcpy(block + debug_register_offset(stub->target, index), value,
           debug_register_bytes(&stub->target->registers[index]));
    return move_registers(write_block, &access);
}

void gdb_write_register(GdbStub *stub, GdbRequest *request)
{
    const char *cursor = request->arguments;
    uint8_t value[64];
    uint64_t index;

    bool ok =
        gdb_parse_hex_until(&cursor, '=', &index) && index < stub->target->num_registers &&
        debug_register_bytes(&stub->target->registers[index]) <= sizeof(value) &&
        gdb_parse_bytes(cursor, value, debug_register_bytes(&stub->target->registers[index])) &&
        set_register(stub, index, value);

    g_string_assign(request->reply, ok ? "OK" : GDB_ERROR_ARGUMENT);
}

bool gdb_set_pc(GdbStub *stub, uint64_t address)
{
    uint8_t value[8];

    store_le64(value, address);
    return set_register(stub, stub->target->pc, value);
}

/* ---- memory -------------------------------------------------------------------------------- */

/* Another errand: moves bytes page by page, until one that is not there. */
typedef struct MemoryAccess {
    const GdbStub *stub;
    uint64_t address;
    uint8_t *data;
    uint64_t len;
    bool write;
    uint64_t done;
} MemoryAccess;

static bool move_page(const MemoryAccess *access, Vcpu *vcpu, uint64_t len)
{
    const GuestMemory *mem = access->stub->vm->memory;
    uint64_t address = access->address + access->done;
    uint64_t gpa = address;
    uint8_t *ram;

    if (!access->stub->physical && !access->stub->ops->translate(vcpu, mem, address, &gpa)) {
        return false;
    }
    ram = guest_mem_ptr(mem, GPA(gpa), len, access->write ? GUEST_WRITE : GUEST_READ, NULL);
    if (!ram) {
        return false;
    }
    if (access->write) {
        memcpy(ram, access->data + access->done, len);
        /* It may be code. */
        __builtin___clear_cache((char *)ram, (char *)ram + len);
    } else {
        memcpy(access->data + access->done, ram, len);
    }
    return true;
}

static bool move_memory(Vcpu *vcpu, void *opaque, GError **error)
{
    MemoryAccess *access = opaque;

    (void)error;
    while (access->done < access->len) {
        uint64_t at = access->address + access->done;
        uint64_t len = MIN(access->len - access->done, PAGE_BYTES - at % PAGE_BYTES);

        if (!move_page(access, vcpu, len)) {
            break;
        }
        access->done += len;
    }
    return true;
}

/* How many bytes were moved. */
static uint64_t access_memory(MemoryAccess *access)
{
    return vcpu_call(current_vcpu(access->stub), move_memory, access, NULL) ? access->done : 0;
}

/* An errand that only looks an address up. */
typedef struct Translation {
    const GdbStub *stub;
    uint64_t address;
    uint64_t gpa;
} Translation;

static bool translate(Vcpu *vcpu, void *opaque, GError **error)
{
    Translation *t = opaque;

    return t->stub->ops->translate(vcpu, t->stub->vm->memory, t->address, &t->gpa) ||
           fail(error, VMM_ERROR_GUEST, "the address is not mapped");
}

bool gdb_translate(const GdbStub *stub, uint64_t address, uint64_t *ret_gpa)
{
    Translation t = {.stub = stub, .address = address, .gpa = address};

    if (!stub->physical && !vcpu_call(current_vcpu(stub), translate, &t, NULL)) {
        return false;
    }
    *ret_gpa = t.gpa;
    return true;
}

/* What is there before the first byte that is not. */
void gdb_read_memory(GdbStub *stub, GdbRequest *request)
{
    uint8_t data[GDB_PACKET_BYTES / 2];
    MemoryAccess access = {.stub = stub, .data = data};
    const char *cursor = request->arguments;
    uint64_t len;

    if (!gdb_parse_hex_until(&cursor, ',', &access.address) ||
        !gdb_parse_hex_until(&cursor, '\0', &len)) {
        g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
        return;
    }
    access.len = MIN(len, sizeof(data));
    len = access_memory(&access);
    if (len == 0) {
        g_string_assign(request->reply, GDB_ERROR_MEMORY);
    }
    gdb_append_hex(request->reply, data, len);
}

static void write_memory(GdbRequest *request, MemoryAccess *access)
{
    bool ok = access_memory(access) == access->len;

    g_string_assign(request->reply, ok ? "OK" : GDB_ERROR_MEMORY);
}

void gdb_write_memory(GdbStub *stub, GdbRequest *request)
{
    uint8_t data[GDB_PACKET_BYTES / 2];
    MemoryAccess access = {.stub = stub, .data = data, .write = true};
    const char *cursor = request->arguments;

    if (!gdb_parse_hex_until(&cursor, ',', &access.address) ||
        !gdb_parse_hex_until(&cursor, ':', &access.len) || access.len > sizeof(data) ||
        !gdb_parse_bytes(cursor, data, access.len)) {
        g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
        return;
    }
    write_memory(request, &access);
}

void gdb_write_binary(GdbStub *stub, GdbRequest *request)
{
    g_autofree uint8_t *data = NULL;
    MemoryAccess access = {.stub = stub, .write = true};
    const char *cursor = request->arguments;

    if (!gdb_parse_hex_until(&cursor, ',', &access.address) ||
        !gdb_parse_hex_until(&cursor, ':', &access.len) ||
        access.len != request->len - (size_t)(cursor - request->arguments)) {
        g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
        return;
    }
    data = g_memdup2(cursor, access.len);
    access.data = data;
    write_memory(request, &access);
}
